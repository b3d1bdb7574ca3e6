package sms_test

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/channel/sms"
	"beckon/internal/fault"
)

func text(body string, more ...string) url.Values {
	form := url.Values{"MessageSid": {"SM5"}, "From": {phone}, "To": {"+15005550006"}, "Body": {body}, "NumMedia": {"0"}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return form
}

func read(t testing.TB, r *sms.Receiver, form url.Values) channel.Event {
	t.Helper()
	events, err := r.Events(callback(sms.InboundPath, form))
	require.NoError(t, err)
	require.Len(t, events, 1)
	return events[0]
}

func TestTextsAreReadByWhatTheyAskFor(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	for said, want := range map[string]channel.EventKind{
		"STOP": channel.EventStop, " stop. ": channel.EventStop, "Stop!!!": channel.EventStop, "«Stop»": channel.EventStop, "'STOP'": channel.EventStop, "stop 🙏": channel.EventStop,
		"S.T.O.P": channel.EventStop, "STOP STOP stop": channel.EventStop, "ＳＴＯＰ": channel.EventStop, "\ufeffSTOP\u200b": channel.EventStop, "stop\r\n": channel.EventStop,
		"STOPALL": channel.EventStop, "Unsubscribe": channel.EventStop, "END": channel.EventStop, "quit": channel.EventStop, "revoke": channel.EventStop,
		"OPTOUT": channel.EventStop, "opt-out": channel.EventStop, "Opt out": channel.EventStop, "Cancel": channel.EventStop, "Please STOP": channel.EventStop,
		"BAJA": channel.EventStop, "ARRÊT": channel.EventStop, "arret": channel.EventStop, "Désabonner": channel.EventStop, "Stopp": channel.EventStop, "Abmelden": channel.EventStop,
		"SAIR": channel.EventStop, "Basta!": channel.EventStop, "afmelden": channel.EventStop, "Rezygnuję": channel.EventStop, "Wypisz": channel.EventStop,
		"СТОП": channel.EventStop, "Відписатися": channel.EventStop, "Avsluta": channel.EventStop, "İPTAL": channel.EventStop, "ÇIK": channel.EventStop, "çık": channel.EventStop,
		"הסר": channel.EventStop, "إلغاء": channel.EventStop, "退订": channel.EventStop, "配信停止": channel.EventStop, "ストップ": channel.EventStop, "수신거부": channel.EventStop,
		"START": channel.EventStart, "unstop": channel.EventStart, "Старт": channel.EventStart, "HELP": channel.EventHelp, "Info?": channel.EventHelp, "Ayuda": channel.EventHelp,
		"": channel.EventMessage, "Thanks!": channel.EventMessage, "YES": channel.EventMessage, "Can I stop by tomorrow?": channel.EventMessage, "When does it end": channel.EventMessage,
		"fine": channel.EventMessage, "helpful": channel.EventMessage, "don't start": channel.EventMessage, "🛑": channel.EventMessage, strings.Repeat("stop ", 100): channel.EventMessage,
	} {
		got := read(t, r, text(said))
		require.Equal(t, want, got.Kind, "%q", said)
		require.Equal(t, want == channel.EventStop || want == channel.EventStart, got.Reason == channel.ByStop, "%q", said)
		require.Equal(t, []any{phone, "SM5", said}, []any{got.Address, got.MID, got.Text}, "%q", said)
		require.Zero(t, got.At, "Twilio does not say when")
	}
}

// With Advanced Opt-Out the operator has chosen the words at Twilio.
func TestTwiliosOwnReadingComesFirst(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	for _, c := range []struct {
		optOutType, said string
		want             channel.EventKind
	}{
		{"STOP", "enough", channel.EventStop}, {"START", "oui", channel.EventStart}, {"HELP", "what is this", channel.EventHelp},
		{"START", "STOP", channel.EventStart}, {"", "STOP", channel.EventStop}, {"LATER", "STOP", channel.EventStop},
	} {
		require.Equal(t, c.want, read(t, r, text(c.said, "OptOutType", c.optOutType)).Kind, "%v", c)
	}
	require.Equal(t, channel.StatusAnswered, read(t, r, text("HELP", "OptOutType", "HELP")).Status)
	require.Empty(t, read(t, r, text("HELP")).Status, "nobody answers it but us")
}

func TestAnOperatorAddsWordsThatMeanStop(t *testing.T) {
	t.Parallel()
	r, err := sms.NewReceiver(sms.Settings{AuthToken: authToken, StopWords: []string{"Enough is enough", "start", "", "!!"}})
	require.NoError(t, err)
	for said, want := range map[string]channel.EventKind{
		"enough is ENOUGH!": channel.EventStop, "start": channel.EventStop, "enough": channel.EventMessage, "": channel.EventMessage, "?": channel.EventMessage,
	} {
		require.Equal(t, want, read(t, r, text(said)).Kind, "%q", said)
	}
}

// "Any reasonable means" is more than keywords, but nobody is silenced by a guess.
func TestWhatSoundsLikeARefusalIsForAPersonToLookAt(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	for said, review := range map[string]bool{
		"please stop texting me": true, "Don’t text me again!": true, "I don't want this. Take me OFF your list": true, "you have the wrong number": true,
		"Ne plus recevoir ces messages svp": true, "Bitte keine SMS mehr": true, "no me envíen más mensajes": true, "Não quero mais receber": true, "не пишите мне больше": true,
		"もう送らないでください": true, "Hören Sie auf": true, "mesaj atmayın": true,
		"Yes please": false, "I will stop by at five": false, "Is there still room on Tuesday?": false, "Where is the nearest bus stop": false, "": false, "👍": false,
	} {
		got := read(t, r, text(said))
		require.Equal(t, channel.EventMessage, got.Kind, "%q", said)
		require.Equal(t, review, got.Status == channel.StatusReview, "%q", said)
	}
}

func TestWhatIsNoSMSTouchesNoPhone(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	for _, form := range []url.Values{
		text("STOP", "From", "whatsapp:"+phone), text("STOP", "From", "messenger:123"), text("", "MessageStatus", "delivered"),
	} {
		require.Equal(t, channel.Event{Kind: channel.EventOther}, read(t, r, form))
	}
	rich := read(t, r, text("STOP", "From", "rcs:"+phone, "NumMedia", "3"))
	require.Equal(t, []any{channel.EventStop, phone, 3}, []any{rich.Kind, rich.Address, rich.Attachments}, "RCS goes by the same sender to the same phone")
	for _, broken := range []url.Values{{}, {"MessageSid": {"SM1"}}, {"From": {phone}}, {"From": {"rcs:"}, "MessageSid": {"SM1"}}} {
		_, err := r.Events(callback(sms.InboundPath, broken))
		require.True(t, fault.Is(err, fault.Malformed), "%v", broken)
	}
}

// However a word is dressed up, it is the same word.
func TestDressingAWordUpChangesNothing(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	around := rapid.StringOf(rapid.RuneFrom([]rune(" \t\r\n.,!?;:\"«»()[]-–—…*_🙏🛑\u200b")))
	rapid.Check(t, func(rt *rapid.T) {
		word := rapid.SampledFrom([]string{"STOP", "stop", "Stop", "ARRÊT", "arrêt", "СТОП", "стоп", "unsubscribe"}).Draw(rt, "word")
		said := around.Draw(rt, "before") + word + around.Draw(rt, "after")
		if len(said) > 400 {
			return
		}
		require.Equal(rt, channel.EventStop, read(t, r, text(said)).Kind, "%q", said)
	})
}

// FuzzInbound holds that whatever a stranger texts is read without a fault, as
// something that can be kept, and that only whole words silence anybody.
func FuzzInbound(f *testing.F) {
	for _, said := range []string{"STOP", "stop it", "HELP", "\x00\xff", "Sto\u0301p", "🙏", "\u202estop", strings.Repeat("arrêt ", 400), "don't start"} {
		f.Add(text(said).Encode())
	}
	f.Add(text("hi", "OptOutType", "STOP", "NumMedia", "-7").Encode())
	f.Add("MessageSid=SM1&From=%2B1&Body=%00&NumMedia=99999999999999999999")
	f.Add("Body=STOP&Body=START&From=a:b:c&MessageSid=1")
	r, err := sms.NewReceiver(settings("https://twilio.example"))
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, form string) {
		events, err := r.Events(channel.Callback{URL: public + sms.InboundPath, Body: []byte(form)})
		if err != nil {
			require.Empty(t, events)
			require.NotContains(t, err.Error(), phone)
			return
		}
		require.Len(t, events, 1)
		e := events[0]
		require.True(t, utf8.ValidString(e.Text) && !strings.Contains(e.Text, "\x00"), "it can be kept")
		require.GreaterOrEqual(t, e.Attachments, 0)
		switch e.Kind {
		case channel.EventStop, channel.EventStart:
			require.Equal(t, channel.ByStop, e.Reason)
			require.NotEmpty(t, e.Address)
		case channel.EventMessage, channel.EventHelp:
			require.Empty(t, e.Reason)
			require.NotEmpty(t, e.MID)
		case channel.EventOther:
			require.Equal(t, channel.Event{Kind: channel.EventOther}, e)
		default:
			t.Fatalf("a text is not %q", e.Kind)
		}
	})
}
