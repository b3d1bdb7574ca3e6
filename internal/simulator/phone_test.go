package simulator

import (
	"encoding/json"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPersonActsAndTheWebhookIsSigned(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := setup(t)
	s := b.sim
	for name, c := range map[string]struct {
		act  func() error
		want string
	}{
		"say":     {func() error { return s.Say(ctx, testPage, "p", "é / \"🎉\"\n") }, `{"message":{"text":"é / \"🎉\"\n"}}`},
		"ref":     {func() error { return s.Referral(ctx, testPage, "p", "c-1") }, `{"referral":{"ref":"c-1","source":"SHORTLINK","type":"OPEN_THREAD"}}`},
		"started": {func() error { return s.GetStarted(ctx, testPage, "p", "c-1") }, `{"postback":{"title":"Get Started","payload":"GET_STARTED","referral":{"ref":"c-1","source":"SHORTLINK","type":"OPEN_THREAD"}}}`},
		"no ref":  {func() error { return s.GetStarted(ctx, "1003", "p", "") }, `{"postback":{"title":"Get Started","payload":"GET_STARTED"}}`},
		"react":   {func() error { return s.React(ctx, testPage, "p", "m_1", "❤") }, `{"reaction":{"reaction":"other","action":"react","emoji":"❤","mid":"m_1"}}`},
		"read":    {func() error { return s.Read(ctx, testPage, "p") }, `{"read":{"watermark":1795338000000}}`},
	} {
		require.NoError(t, c.act(), name)
		events := messaging(t, b.bot.take())
		require.Len(t, events, 1, name)
		e := events[0]
		require.Equal(t, map[string]any{"id": "p"}, e["sender"])
		require.EqualValues(t, b.clock.Now().UnixMilli(), e["timestamp"])
		delete(e, "sender")
		delete(e, "recipient")
		delete(e, "timestamp")
		if m, ok := e["message"].(map[string]any); ok {
			require.NotEmpty(t, m["mid"])
			delete(m, "mid")
		}
		got, err := json.Marshal(e)
		require.NoError(t, err)
		require.JSONEq(t, c.want, string(got), name)
	}
}

func TestPersonTapsOnlyWhatWasOffered(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := setup(t)
	s := b.sim
	require.ErrorIs(t, s.TapQuickReply(ctx, testPage, "psid-1", "Y"), ErrNothingToTap)
	s.AddPeople(testPage, 1)
	for _, m := range []string{
		`{"text":"Want it?","quick_replies":[{"content_type":"text","title":"Yes please","payload":"Y"}]}`,
		`{"attachment":{"type":"template","payload":{"template_type":"button","text":"x","buttons":[{"type":"postback","title":"Go","payload":"GO"}]}}}`,
		`{"attachment":{"type":"template","payload":{"template_type":"generic","elements":[{"title":"T","buttons":[{"type":"postback","title":"Far","payload":"FAR"}]}]}}}`,
	} {
		require.Equal(t, http.StatusOK, b.graph(t, toPSID("psid-1", m)).status)
	}
	require.ErrorIs(t, s.TapQuickReply(ctx, testPage, "psid-1", "N"), ErrNothingToTap)
	require.ErrorIs(t, s.TapPostback(ctx, testPage, "psid-1", "N"), ErrNothingToTap)
	require.NoError(t, s.TapQuickReply(ctx, testPage, "psid-1", "Y"))
	require.NoError(t, s.TapPostback(ctx, testPage, "psid-1", "GO"))
	require.NoError(t, s.TapPostback(ctx, testPage, "psid-1", "FAR"))
	events := messaging(t, b.bot.take())
	require.Len(t, events, 3)
	require.Equal(t, map[string]any{"payload": "Y"}, events[0]["message"].(map[string]any)["quick_reply"])
	require.Equal(t, "Yes please", events[0]["message"].(map[string]any)["text"])
	require.Equal(t, map[string]any{"title": "Go", "payload": "GO"}, events[1]["postback"])
	require.Equal(t, map[string]any{"title": "Far", "payload": "FAR"}, events[2]["postback"])
}

func TestNotifyMeGivesATokenThatWorksOnce(t *testing.T) {
	t.Parallel()
	for name, lean := range map[string]bool{"full": false, "lean": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(c *Config) { c.Lean = lean })
			b.sim.AddPeople(testPage, 1)
			_, err := b.sim.TapNotifyMe(t.Context(), testPage, "psid-1")
			require.ErrorIs(t, err, ErrNothingToTap)
			ask := `{"attachment":{"type":"template","payload":{"template_type":"one_time_notif_req","title":"News","payload":"courses"}}}`
			require.Equal(t, http.StatusOK, b.graph(t, toPSID("psid-1", ask)).status)

			token, err := b.sim.TapNotifyMe(t.Context(), testPage, "psid-1")
			require.NoError(t, err)
			want := map[string]any{"type": "one_time_notif_req", "payload": "courses", "one_time_notif_token": token}
			require.Equal(t, want, messaging(t, b.bot.take())[0]["optin"])
			_, err = b.sim.TapNotifyMe(t.Context(), testPage, "psid-1")
			require.ErrorIs(t, err, ErrNothingToTap, "answered once")

			b.sim.CloseWindow(testPage, "psid-1")
			require.Equal(t, http.StatusOK, b.graph(t, toToken(token)).status)
			require.Equal(t, "100", b.graph(t, toToken(token)).code(t))
		})
	}
}

func TestLeanPhoneTapsAnything(t *testing.T) {
	t.Parallel()
	b := setup(t, func(c *Config) { c.Lean = true })
	require.NoError(t, b.sim.TapQuickReply(t.Context(), testPage, "p", "Y"))
	require.Len(t, messaging(t, b.bot.take()), 1)
}

func TestOpenChoosesByWhetherTheThreadExists(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.sim.Open(t.Context(), testPage, "p", "c-1"))
	require.NoError(t, b.sim.Open(t.Context(), testPage, "p", "c-2"))
	events := messaging(t, b.bot.take())
	require.Contains(t, events[0], "postback")
	require.Contains(t, events[1], "referral")
}

func TestPhoneTellsWhenNobodyAcknowledges(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.bot.answer(http.StatusInternalServerError)
	require.ErrorContains(t, b.sim.Say(t.Context(), testPage, "secret-psid", "x"), "graph callback: answered 500")
	b.bot.Close()
	err := b.sim.Say(t.Context(), testPage, "secret-psid", "x")
	require.Error(t, err)
	require.NotContains(t, err.Error(), "/webhooks")
	b.sim.SetCallbackURL("")
	require.ErrorIs(t, b.sim.Say(t.Context(), testPage, "p", "x"), errNoCallbackURL)
	require.ErrorIs(t, b.sim.Text(t.Context(), "+14155550100", "x"), errNoCallbackURL)
}

func TestManyEventsShareBodies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	events := make([]Event, 120)
	for i := range events {
		events[i] = Event{Kind: OptedIn, Page: []string{testPage, "1002"}[i/100], PSID: "p", Payload: "x", Token: newID()}
	}
	require.NoError(t, b.sim.PostEvents(t.Context(), events))
	calls := b.bot.take()
	require.Len(t, calls, 3)
	require.Len(t, messaging(t, calls), 120)
	b.sim.Block(testPage, "nobody") // known, with a closed window
	require.Equal(t, "10/2018278", b.graph(t, toPSID("p", `{"text":"x"}`)).code(t), "opting in opens no window")
	require.Equal(t, http.StatusOK, b.graph(t, toToken(events[0].Token)).status)
}

func TestVerifyWebhookWantsItsChallengeBack(t *testing.T) {
	t.Parallel()
	b := setup(t)
	require.NoError(t, b.sim.VerifyWebhook(t.Context()))
	require.Contains(t, b.bot.take()[0].path, "hub.mode=subscribe&hub.verify_token=verify")
	b.bot.echo = "hello "
	require.ErrorContains(t, b.sim.VerifyWebhook(t.Context()), "other than the challenge")
	b.bot.answer(http.StatusForbidden)
	require.ErrorContains(t, b.sim.VerifyWebhook(t.Context()), "answered 403")
	b.sim.SetCallbackURL("http://\x7f")
	require.Error(t, b.sim.VerifyWebhook(t.Context()))
}

func TestStringsAreEscapedToASCIIAndReadBackTheSame(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		want := rapid.String().Draw(t, "s")
		raw := appendString(nil, want)
		for _, c := range raw {
			require.True(t, c >= ' ' && c < 0x7f, "%q", raw)
		}
		var got string
		require.NoError(t, json.Unmarshal(raw, &got))
		require.Equal(t, want, got)
	})
}
