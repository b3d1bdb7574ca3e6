package messenger

import (
	"strings"

	"beckon/internal/channel"
)

type referral struct {
	Ref word `json:"ref"`
}

// refOf returns the ref of the last referral there is.
func refOf(all ...*referral) (ref string) {
	for _, r := range all {
		if r != nil && r.Ref != "" {
			ref = string(r.Ref)
		}
	}
	return ref
}

// message is something said: by the person, or by the Page when it is an echo.
// What is attached to it, pictures and stickers among them, is not for us.
type message struct {
	MID        word      `json:"mid"`
	Text       word      `json:"text"`
	IsEcho     bool      `json:"is_echo"`
	App        word      `json:"app_id"`
	Metadata   word      `json:"metadata"`
	Referral   *referral `json:"referral"`
	QuickReply *struct {
		Payload word `json:"payload"`
	} `json:"quick_reply"`
}

// echo is a message that the Page sent: the person is its recipient.
func (m *message) echo(e *channel.Event, person word) {
	e.Kind, e.PSID, e.App, e.ProviderIDs = channel.EventEcho, string(person), string(m.App), words([]word{m.MID})
	if mark, found := strings.CutPrefix(string(m.Metadata), metadataPrefix); found {
		e.Mark = mark
	}
}

func (m *message) fill(e *channel.Event, beside *referral) {
	e.Kind, e.MID, e.Text, e.Ref = channel.EventMessage, string(m.MID), string(m.Text), refOf(m.Referral, beside)
	if m.QuickReply != nil {
		e.QuickReply, e.Payload = true, string(m.QuickReply.Payload)
	}
}

// postback is a tap on a button, or on Get Started. The payload comes to the
// app only that made the button.
type postback struct {
	MID      word      `json:"mid"`
	Payload  word      `json:"payload"`
	Referral *referral `json:"referral"`
}

func (p *postback) fill(e *channel.Event) {
	e.Kind, e.MID, e.Payload, e.Ref = channel.EventPostback, string(p.MID), string(p.Payload), refOf(p.Referral)
}

type reaction struct {
	MID    word `json:"mid"`
	Action word `json:"action"`
}

// fill leaves a reaction that is taken back without effect.
func (r *reaction) fill(e *channel.Event) {
	e.ProviderIDs = words([]word{r.MID})
	if r.Action.simple() != "unreact" {
		e.Kind = channel.EventReaction
	}
}

// receipt is Messenger's word that messages arrived or were read: those named,
// and everything up to the watermark.
type receipt struct {
	MIDs      []word `json:"mids"`
	Watermark moment `json:"watermark"`
}

func (r *receipt) fill(e *channel.Event, kind channel.EventKind) {
	e.Kind, e.ProviderIDs, e.Watermark = kind, words(r.MIDs), r.Watermark.Time
}
