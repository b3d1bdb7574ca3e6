package messenger_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/fault"
)

// shape is an event as Meta writes it, without its sender, recipient and
// timestamp, and what it means.
type shape struct {
	in   string
	want channel.Event
}

const psid = "24680135791113"

// fromPeople are the events of a thread that people send, and of what becomes
// of messages to them.
func fromPeople() map[string]shape {
	return map[string]shape{
		"text":     {`"message":{"mid":"m_1","text":"Labas! 👋"}`, channel.Event{Kind: channel.EventMessage, MID: "m_1", Text: "Labas! 👋"}},
		"no mid":   {`"message":{"text":"Hi"}`, channel.Event{Kind: channel.EventMessage, Text: "Hi"}},
		"with NUL": {`"message":{"mid":"m\u0000_1","text":"\u0000Hi"}`, channel.Event{Kind: channel.EventMessage, MID: "m_1", Text: "Hi"}},
		"quick reply": {`"message":{"mid":"m_1","text":"Yes","quick_reply":{"payload":"ASK_YES"}}`,
			channel.Event{Kind: channel.EventMessage, MID: "m_1", Text: "Yes", QuickReply: true, Payload: "ASK_YES"}},
		"quick reply of an e-mail address": {`"message":{"mid":"m_1","text":"ann@example.com","quick_reply":{"payload":"ann@example.com"}}`,
			channel.Event{Kind: channel.EventMessage, MID: "m_1", Text: "ann@example.com", QuickReply: true, Payload: "ann@example.com"}},
		"quick reply without a payload": {`"message":{"mid":"m_1","text":"Yes","quick_reply":{}}`,
			channel.Event{Kind: channel.EventMessage, MID: "m_1", Text: "Yes", QuickReply: true}},
		"attachment": {`"message":{"mid":"m_1","attachments":[{"type":"image","payload":{"url":"https://cdn.example/cat.jpg"}}]}`,
			channel.Event{Kind: channel.EventMessage, MID: "m_1"}},
		"sticker": {`"message":{"mid":"m_1","attachments":[{"type":"sticker","payload":{"url":"https://cdn.example/s","sticker_id":369239263222822}}]}`,
			channel.Event{Kind: channel.EventMessage, MID: "m_1"}},
		"fallback": {`"message":{"mid":"m_1","text":"see","attachments":[{"type":"fallback","title":"t","payload":null}]}`,
			channel.Event{Kind: channel.EventMessage, MID: "m_1", Text: "see"}},
		"answer to a message": {`"message":{"mid":"m_1","text":"this one","reply_to":{"mid":"m_0"}}`,
			channel.Event{Kind: channel.EventMessage, MID: "m_1", Text: "this one"}},
		"after an ad": {`"message":{"mid":"m_1","text":"Hi","referral":{"ref":"adRef","source":"ADS","type":"OPEN_THREAD","ad_id":"1"}}`,
			channel.Event{Kind: channel.EventMessage, MID: "m_1", Text: "Hi", Ref: "adRef"}},
		"referral beside the message": {`"referral":{"ref":"k7Qp2Zx9"},"message":{"mid":"m_1","text":"Hi"}`,
			channel.Event{Kind: channel.EventMessage, MID: "m_1", Text: "Hi", Ref: "k7Qp2Zx9"}},
		"postback": {`"postback":{"mid":"m_1","title":"More","payload":"MORE"}`,
			channel.Event{Kind: channel.EventPostback, MID: "m_1", Payload: "MORE"}},
		"Get Started behind a link": {`"postback":{"title":"Get Started","payload":"GET_STARTED","referral":{"ref":"k7Qp2Zx9","source":"SHORTLINK","type":"OPEN_THREAD"}}`,
			channel.Event{Kind: channel.EventPostback, Payload: "GET_STARTED", Ref: "k7Qp2Zx9"}},
		"referral": {`"referral":{"ref":"w3Hn8Tt1","source":"SHORTLINK","type":"OPEN_THREAD"}`,
			channel.Event{Kind: channel.EventReferral, Ref: "w3Hn8Tt1"}},
		"referral of an ad": {`"referral":{"source":"ADS","type":"OPEN_THREAD","ad_id":"6045246247433","ads_context_data":{"ad_title":"t"}}`,
			channel.Event{Kind: channel.EventReferral}},
		"reaction": {`"reaction":{"mid":"m_0","action":"react","reaction":"love","emoji":"❤"}`,
			channel.Event{Kind: channel.EventReaction, ProviderIDs: []string{"m_0"}}},
		"reaction taken back": {`"reaction":{"mid":"m_0","action":"unreact"}`,
			channel.Event{Kind: channel.EventOther, ProviderIDs: []string{"m_0"}}},
		"delivery": {`"delivery":{"mids":["m_0","m_2"],"watermark":1763999990000}`,
			channel.Event{Kind: channel.EventDelivered, ProviderIDs: []string{"m_0", "m_2"}, Watermark: at(-10000)}},
		"delivery without mids": {`"delivery":{"watermark":1763999990}`,
			channel.Event{Kind: channel.EventDelivered, Watermark: at(-10000)}},
		"read": {`"read":{"watermark":1763999995000}`,
			channel.Event{Kind: channel.EventRead, Watermark: at(-5000)}},
	}
}

func permissions() map[string]shape {
	recurring := `"type":"notification_messages","payload":"topic=courses","title":"Course news","notification_messages_token":"NMT","notification_messages_timezone":"Europe/Vilnius","token_expiry_timestamp":1779552000000`
	granted := channel.Event{Kind: channel.EventOptIn, OptInType: channel.OptInRecurring, Payload: "topic=courses", Title: "Course news", Token: "NMT",
		Expires: time.UnixMilli(1779552000000).UTC()}
	renewed, stopped, resumed := granted, granted, granted
	renewed.Renewed = true
	stopped.Kind, stopped.Status = channel.EventOptInEnds, channel.StatusStop
	resumed.Kind, resumed.Status = channel.EventOptInEnds, channel.StatusResume
	return map[string]shape{
		"one-time": {`"optin":{"type":"one_time_notif_req","payload":"otn:v1:topic=courses:c=8f2a","one_time_notif_token":"TOKEN"}`,
			channel.Event{Kind: channel.EventOptIn, OptInType: channel.OptInOneTime, Payload: "otn:v1:topic=courses:c=8f2a", Token: "TOKEN"}},
		"recurring":                    {`"optin":{` + recurring + `,"user_token_status":"NOT_REFRESHED"}`, granted},
		"recurring, expiry in seconds": {`"optin":{` + strings.Replace(recurring, "1779552000000", "1779552000", 1) + `}`, granted},
		"renewed":                      {`"optin":{` + recurring + `,"user_token_status":"REFRESHED"}`, renewed},
		"stopped":                      {`"optin":{` + recurring + `,"notification_messages_status":"STOP_NOTIFICATIONS"}`, stopped},
		"stopped, with a space":        {`"optin":{` + recurring + `,"notification_messages_status":"STOP NOTIFICATIONS"}`, stopped},
		"resumed":                      {`"optin":{` + recurring + `,"notification_messages_status":"RESUME_NOTIFICATIONS"}`, resumed},
		"resumed, with a space":        {`"optin":{` + recurring + `,"notification_messages_status":"Resume Notifications"}`, resumed},
		"by an m.me link": {`"optin":{"type":"notification_messages","notification_messages_token":"NMT","notification_messages_topic":"Course news","source":"link","ref":"r1"}`,
			channel.Event{Kind: channel.EventOptIn, OptInType: channel.OptInRecurring, Title: "Course news", Token: "NMT", Ref: "r1"}},
		"old plugin": {`"optin":{"ref":"from-plugin","user_ref":"u-1"}`, channel.Event{Kind: channel.EventOptIn, Ref: "from-plugin"}},
		"all ended":  {`"optout":{}`, channel.Event{Kind: channel.EventOptInEnds, Status: channel.StatusStop, OptInType: channel.OptInRecurring}},
		"one ended": {`"optout":{"type":"notification_messages","notification_messages_token":"NMT"}`,
			channel.Event{Kind: channel.EventOptInEnds, Status: channel.StatusStop, OptInType: channel.OptInRecurring, Token: "NMT"}},
	}
}

func ofThreads() map[string]shape {
	thread := func(status, app string) channel.Event {
		return channel.Event{Kind: channel.EventThread, Status: status, App: app}
	}
	return map[string]shape{
		"pass":               {`"pass_thread_control":{"previous_owner_app_id":"11","new_owner_app_id":"263902037430900","metadata":"please"}`, thread(channel.StatusPass, "263902037430900")},
		"pass, with numbers": {`"pass_thread_control":{"new_owner_app_id":263902037430900}`, thread(channel.StatusPass, "263902037430900")},
		"take":               {`"take_thread_control":{"previous_owner_app_id":"11","new_owner_app_id":"12"}`, thread(channel.StatusTake, "12")},
		"take, not said who": {`"take_thread_control":{"previous_owner_app_id":"11","metadata":"m"}`, thread(channel.StatusTake, "")},
		"request":            {`"request_thread_control":{"requested_owner_app_id":"13","metadata":"m"}`, thread(channel.StatusRequest, "13")},
		"roles":              {`"app_roles":{"14":["primary_receiver"]}`, thread(channel.StatusRoles, "14")},
	}
}

// unheardOf are events that Meta sends, or may send one day, and that mean
// nothing here.
func unheardOf() []string {
	return []string{`"account_linking":{"status":"linked"}`, `"game_play":{"game_id":"1"}`, `"message_edit":{"mid":"m_1","text":"again","num_edit":1}`,
		`"policy_enforcement":{"action":"party"}`, `"optin":{"type":"notification_messages","notification_messages_status":"PAUSE"}`, `"what":7`}
}

// in puts an event into a body: key is messaging or standby.
func in(key, event string) string {
	return `{"object":"page","entry":[{"id":"` + pageID + `","time":1764000009000,"` + key + `":[` + event + `]}]}`
}

func fromPSID(event string) string {
	return `{"sender":{"id":"` + psid + `"},"recipient":{"id":"` + pageID + `"},"timestamp":1764000000000,` + event + `}`
}

// one reads a body that holds one event.
func one(t *testing.T, body string) channel.Event {
	t.Helper()
	events, err := receiver().Events(signed(body))
	require.NoError(t, err)
	require.Len(t, events, 1)
	return events[0]
}

func TestEveryEventOfAThreadIsUnderstood(t *testing.T) {
	t.Parallel()
	for _, family := range []map[string]shape{fromPeople(), permissions(), ofThreads()} {
		for name, c := range family {
			want := c.want
			want.Page, want.PSID, want.At = pageID, psid, at(0)
			require.Equal(t, want, one(t, in("messaging", fromPSID(c.in))), name)
		}
	}
}

func TestWhatThePageSaysIsAnEcho(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		message, app, mark string
		mids               []string
	}{
		"ours":              {`"mid":"m_1","is_echo":true,"app_id":555,"metadata":"bk:4hT0pQ9zLw2KxN7b","text":"They are back"`, "555", "4hT0pQ9zLw2KxN7b", []string{"m_1"}},
		"of a person":       {`"mid":"m_1","is_echo":true,"app_id":"263902037430900","text":"typed by hand"`, "263902037430900", "", []string{"m_1"}},
		"nobody says whose": {`"is_echo":true,"attachments":[{"type":"template"}]`, "", "", nil},
	} {
		event := `{"sender":{"id":"` + pageID + `"},"recipient":{"id":"` + psid + `"},"timestamp":1764000000000,"message":{` + c.message + `}}`
		want := channel.Event{Kind: channel.EventEcho, Page: pageID, PSID: psid, At: at(0), App: c.app, Mark: c.mark, ProviderIDs: c.mids}
		require.Equal(t, want, one(t, in("messaging", event)), name)
		if c.mark == "" {
			want.Kind = channel.EventStandby
		}
		require.Equal(t, want, one(t, in("standby", event)), "our own stays proof in standby: "+name)
	}
}

func TestMetasWordAboutThePageIsAboutNobody(t *testing.T) {
	t.Parallel()
	for _, status := range []string{channel.StatusWarning, channel.StatusBlock, channel.StatusUnblock} {
		for _, sender := range []string{"", `"sender":{"id":"` + pageID + `"},`, `"sender":null,`} {
			e := one(t, in("messaging", `{`+sender+`"recipient":{"id":"`+pageID+`"},"timestamp":1764000000000,"policy_enforcement":{"action":"`+status+`","reason":"Links"}}`))
			require.Equal(t, channel.Event{Kind: channel.EventPolicy, Page: pageID, At: at(0), Status: status, Reason: "Links"}, e)
		}
	}
}

func TestWhoIsKnownByAReferenceOnlyIsNobody(t *testing.T) {
	t.Parallel()
	e := one(t, in("messaging", `{"sender":{"user_ref":"u-1"},"recipient":{"id":"`+pageID+`"},"timestamp":1764000000000,"postback":{"payload":"MORE"}}`))
	require.Equal(t, channel.Event{Kind: channel.EventPostback, Page: pageID, At: at(0), Payload: "MORE"}, e)
	e = one(t, in("messaging", `{"recipient":{"id":"`+pageID+`"},"timestamp":1764000000000,"optin":{"ref":"from-plugin","user_ref":"u-1"}}`))
	require.Equal(t, channel.Event{Kind: channel.EventOptIn, Page: pageID, At: at(0), Ref: "from-plugin"}, e)
}

func TestStandbyOpensAndGrantsNothing(t *testing.T) {
	t.Parallel()
	for _, family := range []map[string]shape{fromPeople(), permissions(), ofThreads()} {
		for name, c := range family {
			e := one(t, in("standby", fromPSID(c.in)))
			require.False(t, e.Kind.OpensWindow(), name)
			require.Empty(t, e.Token+e.Payload+e.Status, name)
			require.Equal(t, c.want.Text, e.Text, "for who asks to be forgotten")
			switch c.want.Kind {
			case channel.EventDelivered, channel.EventRead:
				require.Equal(t, c.want.Kind, e.Kind, "what became of our messages stays true")
				require.Equal(t, c.want.Watermark, e.Watermark)
			default:
				require.Equal(t, channel.EventStandby, e.Kind, name)
			}
		}
	}
	e := one(t, in("standby", fromPSID(`"postback":{"title":"More"}`)))
	require.Equal(t, channel.Event{Kind: channel.EventStandby, Page: pageID, PSID: psid, At: at(0)}, e, "a postback without its payload")
}

func TestChangesOfThePage(t *testing.T) {
	t.Parallel()
	value := `{"event":"APPROVED","message_template_id":12345,"message_template_name":"visit_reminder","message_template_language":"en_US","reason":"NONE"}`
	want := channel.Event{Kind: channel.EventTemplate, Page: pageID, At: at(9000), Status: "approved", Template: "visit_reminder", Language: "en_US"}
	for _, field := range []string{"message_template_status_update", "messenger_template_status_update"} {
		require.Equal(t, want, one(t, in("changes", `{"field":"`+field+`","value":`+value+`}`)))
	}
	want.Status, want.Reason = "rejected", "TAG_SHOULD_BE_MARKETING"
	refused := strings.NewReplacer("APPROVED", "REJECTED", "NONE", "TAG_SHOULD_BE_MARKETING").Replace(value)
	require.Equal(t, want, one(t, in("changes", `{"field":"message_template_status_update","value":`+refused+`}`)))

	ended := channel.Event{Kind: channel.EventOptInEnds, Page: pageID, PSID: psid, At: at(0), Status: channel.StatusStop, OptInType: channel.OptInRecurring}
	require.Equal(t, ended, one(t, in("changes", `{"field":"messaging_optouts","value":`+fromPSID(`"optout":{}`)+`}`)))
	ended.Token = "NMT"
	require.Equal(t, ended, one(t, in("changes", `{"field":"messaging_optouts","value":`+fromPSID(`"notification_messages_token":"NMT"`)+`}`)))
	for _, unknown := range []string{`{"field":"feed","value":{"item":"post"}}`, `{"field":"message_template_status_update","value":{}}`,
		`{"field":"message_template_status_update","value":7}`, `{"field":"messaging_optouts","value":{}}`, `{"field":"messaging_optouts"}`, `{}`} {
		require.Equal(t, channel.Event{Kind: channel.EventOther, Page: pageID, At: at(9000), Raw: []byte(unknown)}, one(t, in("changes", unknown)))
	}
}

func TestWhatNobodyKnowsIsKept(t *testing.T) {
	t.Parallel()
	for _, what := range unheardOf() {
		event := fromPSID(what)
		require.Equal(t, channel.Event{Kind: channel.EventOther, Page: pageID, PSID: psid, At: at(0), Raw: []byte(event)}, one(t, in("messaging", event)))
	}
	e := one(t, `{"object":"instagram","entry":[{"id":"1","messaging":[{"message":{"text":"private"}}]}]}`)
	require.Equal(t, channel.Event{Kind: channel.EventOther, Raw: []byte(`{"object":"instagram"}`)}, e)
}

func TestTimesAreReadInEveryForm(t *testing.T) {
	t.Parallel()
	for form, want := range map[string]time.Time{
		"1764000000000": at(0), "1764000000": at(0), `"1764000000000"`: at(0), `"1764000000"`: at(0), "1.764e12": at(0), "1764000000001": at(1),
		// What is no time gives way to the entry's.
		"0": at(9000), "-5": at(9000), "null": at(9000), "1e300": at(9000), "253402300800000": at(9000), "333333333333": at(9000),
	} {
		e := one(t, in("messaging", `{"sender":{"id":"1"},"timestamp":`+form+`,"message":{}}`))
		require.Equal(t, want, e.At, form)
	}
	e := one(t, `{"object":"page","entry":[{"id":1357924680,"time":"soon","messaging":[{"sender":{"id":24680135791113},"message":{}}]}]}`)
	require.Equal(t, channel.Event{Kind: channel.EventMessage, Page: pageID, PSID: psid}, e, "ids as numbers, and no time at all")
}

func TestRubbishCostsOnlyItself(t *testing.T) {
	t.Parallel()
	good := fromPSID(`"message":{"mid":"m_good"}`)
	rubbish := []string{`7`, `null`, `"private words"`, `[]`, `{"sender":7.5e1,"message":{"text":"private words"}}`, `{"message":"private words"}`,
		`{"sender":{"id":["24680135791113"]}}`, `{"timestamp":{}}`, `{"delivery":{"mids":"m"}}`, `{"read":{"watermark":"not a number"}}`, `{"app_roles":[]}`}
	for _, bad := range rubbish {
		for key, name := range map[string]string{"messaging": "event", "standby": "standby event"} {
			events, err := receiver().Events(signed(in(key, bad+","+good)))
			require.True(t, fault.Is(err, fault.Malformed), bad)
			require.ErrorContains(t, err, "entry 0, "+name+" 0.", bad)
			require.NotContains(t, err.Error(), "private")
			require.NotContains(t, err.Error(), psid)
			require.Len(t, events, 1, bad)
			require.Equal(t, "m_good", events[0].MID)
		}
	}
	entry := `{"id":"` + pageID + `","messaging":[` + good + `]}`
	for bad, place := range map[string]string{
		`"private words"`: "entry 0.", `7`: "entry 0.", `null`: "entry 0.", `{"id":{}}`: "entry 0.",
		`{"messaging":7}`: "entry 0, events.", `{"standby":{}}`: "entry 0, standby events.", `{"changes":"x"}`: "entry 0, changes.", `{"changes":[null]}`: "entry 0, change 0.",
	} {
		events, err := receiver().Events(signed(`{"object":"page","entry":[` + bad + `,` + entry + `]}`))
		require.ErrorContains(t, err, "Cannot read "+place)
		require.Len(t, events, 1, bad)
	}
	for _, bad := range []string{"", "{", "[]", "7", `"page"`, `{"object":[]}`, `{"object":"page","entry":{}}`} {
		events, err := receiver().Events(signed(bad))
		require.True(t, fault.Is(err, fault.Malformed), bad)
		require.Empty(t, events)
	}
}

func TestOneBodyMayHoldManyEntries(t *testing.T) {
	t.Parallel()
	events, err := receiver().Events(signed(fixture(t, "webhook_all.json")))
	require.NoError(t, err)
	var kinds []string
	for _, e := range events {
		require.Equal(t, pageID, e.Page)
		kinds = append(kinds, string(e.Kind))
	}
	require.Equal(t, "message message message postback referral opt_in opt_in_ends echo echo delivered delivered read reaction other policy opt_in message standby template",
		strings.Join(kinds, " "))
}

// FuzzEvents holds what everybody who is told of events relies on, whatever a
// body looks like.
func FuzzEvents(f *testing.F) {
	for _, family := range []map[string]shape{fromPeople(), permissions(), ofThreads()} {
		for _, c := range family {
			f.Add([]byte(in("messaging", fromPSID(c.in))))
			f.Add([]byte(in("standby", fromPSID(c.in))))
		}
	}
	for _, what := range unheardOf() {
		f.Add([]byte(in("messaging", fromPSID(what))))
	}
	all, err := os.ReadFile(filepath.Join("testdata", "webhook_all.json"))
	require.NoError(f, err)
	f.Add(all)
	f.Fuzz(func(t *testing.T, body []byte) {
		events, err := receiver().Events(channel.Callback{Body: body})
		if err != nil {
			require.True(t, fault.Is(err, fault.Malformed))
			require.Regexp(t, `^(unreadable_event: Cannot read (the body|the entries|entry \d+(, (standby event|event|change)(s| \d+))?)\.\n?)+$`, err.Error())
		}
		if !json.Valid(body) {
			require.Empty(t, events)
		}
		for _, e := range events {
			sound(t, e)
		}
	})
}

// sound holds of every event.
func sound(t *testing.T, e channel.Event) {
	t.Helper()
	require.NotEmpty(t, e.Kind)
	for _, text := range append([]string{e.Page, e.PSID, e.Mark, e.MID, e.Payload, e.Text, e.Ref, e.Token, e.OptInType, e.Title, e.Status, e.Reason, e.App, e.Template, e.Language}, e.ProviderIDs...) {
		require.NotContains(t, text, "\x00", "no database keeps it")
		require.Equal(t, strings.ToValidUTF8(text, "?"), text)
	}
	for _, at := range []time.Time{e.At, e.Watermark, e.Expires} {
		require.LessOrEqual(t, at.Year(), 9999)
		require.True(t, at.IsZero() || at.Year() >= 1970)
	}
	if len(e.Raw) > 0 {
		require.Equal(t, channel.EventOther, e.Kind)
		require.True(t, json.Valid(e.Raw))
	}
	require.Zero(t, e.Delivery, "whose mark it is, is not for the channel to say")
	if e.Kind == channel.EventStandby {
		require.Empty(t, e.Token+e.Payload+e.Mark)
	}
}
