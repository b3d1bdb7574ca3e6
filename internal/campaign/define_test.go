package campaign_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/fault"
)

// written is a campaign as it is stored.
func written(t *testing.T, src content.Source, route ...channel.Lane) campaign.Campaign {
	t.Helper()
	return campaign.Campaign{ID: uuid.Must(uuid.NewV7()), Name: "Spring", Topic: "courses", FallThrough: true,
		Audience: "{}", Route: jsonOf(t, route), Content: jsonOf(t, src)}
}

var everything = content.Source{Messenger: chat, SMS: text, Email: email}

func TestDefineReadsWhatIsStored(t *testing.T) {
	t.Parallel()
	c := written(t, everything, channel.OneTime, channel.LaneEmail)
	def, err := c.Define(school)
	require.NoError(t, err)
	require.Equal(t, c.ID, def.ID)
	require.Equal(t, "Spring", def.Name)
	require.Equal(t, "courses", def.Topic)
	require.True(t, def.FallThrough)
	require.Equal(t, []channel.Lane{channel.OneTime, channel.LaneEmail}, def.Route)
	require.True(t, def.Content.Has(channel.SMS))
	require.Empty(t, def.Warnings)
}

func TestDefineTellsEachMistakeInTheRoute(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		src   content.Source
		route []channel.Lane
		want  []string
	}{
		"nothing to say":     {content.Source{}, nil, []string{"/content required"}},
		"no lane":            {everything, []channel.Lane{}, []string{"/content required"}},
		"unknown lane":       {everything, []channel.Lane{channel.Window, "pigeon"}, []string{"/route/1 not_allowed"}},
		"no utility message": {everything, []channel.Lane{channel.Utility, channel.Recurring}, []string{"/content/utility required"}},
		"not transactional":  {content.Source{Utility: visit}, []channel.Lane{channel.Utility}, []string{"/transactional not_transactional"}},
		"twice":              {everything, []channel.Lane{channel.LaneSMS, channel.Window, channel.LaneSMS}, []string{"/route/2 duplicate"}},
		"nothing to say on it": {content.Source{SMS: text}, []channel.Lane{channel.Window, channel.LaneSMS, channel.LaneEmail},
			[]string{"/content/messenger required", "/content/email required"}},
		"no text": {content.Source{Email: email}, []channel.Lane{channel.LaneSMS}, []string{"/content/sms required"}},
	} {
		_, err := written(t, c.src, c.route...).Define(school)
		require.True(t, fault.Is(err, fault.Invalid), name)
		require.Equal(t, c.want, mistakes(t, err), name)
	}
}

func TestDefineTellsAllMistakesAtOnce(t *testing.T) {
	t.Parallel()
	c := written(t, content.Source{SMS: &content.SMS{Text: "{{ nonsense }}"}, Email: &content.Email{Subject: "{% if %}", Text: "x"}}, "pigeon")
	c.Audience = `{"field": "age", "op": "like", "value": 1}`
	_, err := c.Define(school)
	got := strings.Join(mistakes(t, err), "\n")
	for _, pointer := range []string{"/audience", "/content/sms/text", "/content/email/subject", "/route/0"} {
		require.Contains(t, got, pointer)
	}
}

func TestDefineSaysWhenTheStoreIsBroken(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(*campaign.Campaign){
		"route":   func(c *campaign.Campaign) { c.Route = "{" },
		"content": func(c *campaign.Campaign) { c.Content = "[]" },
	} {
		c := written(t, everything, channel.Window)
		spoil(&c)
		_, err := c.Define(school)
		require.True(t, fault.Is(err, fault.Internal), name)
		require.ErrorContains(t, err, name)
	}
}
