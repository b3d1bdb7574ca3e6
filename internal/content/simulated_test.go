package content_test

import (
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/content"
	"beckon/internal/simulator"
)

// What is taken as content is taken by the stand-in for Messenger, whose checks
// are written from Meta's description and share nothing with ours.
func TestEachFormIsAcceptedByTheSimulator(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Config{AppSecret: "s", Pages: map[string]string{"1001": "page-token"}})
	t.Cleanup(sim.Close)
	srv := httptest.NewServer(sim.Handler())
	t.Cleanup(srv.Close)
	client, err := messenger.New(messenger.Settings{GraphURL: srv.URL + "/graph", GraphVersion: "v25.0", AppSecret: "s"}, nil)
	require.NoError(t, err)
	page := channel.Page{GraphID: "1001", AccessToken: "page-token"}
	psid := sim.AddPeople("1001", 1)[0]
	id, res := client.Upload(t.Context(), page, content.MediaImage, "https://a.example/a.png")
	require.Equal(t, channel.Accepted, res.Outcome, res.Detail)

	for name, src := range forms() {
		if name == "raw" { // of a kind that the simulator does not model
			continue
		}
		if src.Media != nil && src.Media.AttachmentID != "" {
			src.Media.AttachmentID = id
		}
		if src.Attachment != nil && src.Attachment.AttachmentID != "" {
			src.Attachment.AttachmentID = id
		}
		c := compile(t, content.Source{Messenger: &src})
		body, err := c.Messenger(ann())
		require.NoError(t, err)
		got := client.Send(t.Context(), channel.Batch{Lane: channel.Window, Page: page,
			Messages: []channel.Message{{To: psid, Mark: "m", Body: body, Quiet: c.NotificationType()}}})
		require.Equal(t, channel.Accepted, got[0].Outcome, "%s: %s %s", name, got[0].Code, got[0].Detail)
	}
	require.Len(t, sim.Received("1001", psid), len(forms())-1)
}
