package content

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/osteele/liquid/parser"
)

// The limits of a Messenger message, in characters.
const (
	MaxMessengerText = 2000
	MaxButtonText    = 640 // of the text, when there are buttons
	MaxTitle         = 20
	MaxPayload       = 1000
	MaxQuickReplies  = 13
	MaxButtons       = 3
)

const pointerMessenger = "/content/messenger"

type messenger struct {
	text    *template
	limit   int // of the text
	replies []tap
	buttons []tap
}

// tap is a quick reply or a button.
type tap struct {
	kind         string
	title        *template
	payload, url *template
}

func (c *compiler) messenger(src *Messenger) *messenger {
	if src == nil {
		return nil
	}
	m := &messenger{limit: MaxMessengerText}
	if len(src.Buttons) > 0 {
		m.limit = MaxButtonText
	}
	var links bool
	if t := c.read(pointerMessenger+"/text", src.Text); t != nil {
		m.text = c.bind(t, plain)
		c.checkText(t.pointer, m.text, m.limit)
		links = t.links || strings.Contains(m.text.everything(t), "http")
	}
	c.checkCount("quick_replies", len(src.QuickReplies), MaxQuickReplies)
	c.checkCount("buttons", len(src.Buttons), MaxButtons)
	for i, q := range src.QuickReplies {
		m.replies = append(m.replies, c.quickReply(fmt.Sprintf("%s/quick_replies/%d", pointerMessenger, i), q))
	}
	for i, b := range src.Buttons {
		m.buttons = append(m.buttons, c.button(fmt.Sprintf("%s/buttons/%d", pointerMessenger, i), b))
	}
	if len(m.replies)+len(m.buttons) == 0 && !links {
		c.warn(pointerMessenger, WarnNothingToTap, "There is nothing to tap: a quick reply makes it easy to answer.")
	}
	return m
}

func (c *compiler) checkCount(name string, n, limit int) {
	if n > limit {
		c.fail(pointerMessenger+"/"+name, "too_many", "At most %d are possible.", limit)
	}
}

func (c *compiler) quickReply(pointer string, q QuickReply) tap {
	return tap{
		kind:    "text",
		title:   c.short(pointer+"/title", q.Title, MaxTitle),
		payload: c.short(pointer+"/payload", q.Payload, MaxPayload),
	}
}

func (c *compiler) button(pointer string, b Button) tap {
	out := tap{kind: b.Type, title: c.short(pointer+"/title", b.Title, MaxTitle)}
	switch b.Type {
	case ButtonURL:
		c.refuseExtra(pointer+"/payload", b.Payload)
		out.url = c.buttonURL(pointer+"/url", b.URL)
	case ButtonPostback:
		c.refuseExtra(pointer+"/url", b.URL)
		out.payload = c.short(pointer+"/payload", b.Payload, MaxPayload)
	default:
		c.fail(pointer+"/type", "unknown_type", "A button is a %s or a %s.", ButtonURL, ButtonPostback)
	}
	return out
}

func (c *compiler) refuseExtra(pointer, value string) {
	if value != "" {
		c.fail(pointer, "not_allowed", "This type of button does not have it.")
	}
}

func (c *compiler) short(pointer, source string, limit int) *template {
	t := c.read(pointer, source)
	if t == nil {
		return nil
	}
	out := c.bind(t, line)
	c.checkText(pointer, out, limit)
	return out
}

// buttonURL takes a fixed host, or one of our own links: a contact's value must
// not decide where a button leads.
func (c *compiler) buttonURL(pointer, source string) *template {
	t := c.read(pointer, source)
	if t == nil {
		return nil
	}
	out := c.bind(t, line)
	c.checkText(pointer, out, maxURL)
	if len(t.pieces) > 0 && !c.leadsSomewhere(t.pieces) {
		c.fail(pointer, "bad_url", "Write an address that starts with https:// and a host, or {{ link }}.")
	}
	return out
}

func (c *compiler) leadsSomewhere(p []piece) bool {
	host := `^https?://[^/?#@\s]+`
	if len(p) > 1 {
		host += `[/?#]`
	}
	return ourLink(p[0]) || regexp.MustCompile(host).MatchString(p[0].text)
}

const maxURL = 2000

func ourLink(p piece) bool {
	return len(p.hole) == 1 && p.hole[0].Type == parser.ObjTokenType &&
		slices.Contains([]string{"link", "unsubscribe_url"}, p.hole[0].Args)
}

// The wire form of a message; see the Send API reference.
type (
	wireMessage struct {
		Text         string          `json:"text,omitempty"`
		Attachment   *wireAttachment `json:"attachment,omitempty"`
		QuickReplies []wireTap       `json:"quick_replies,omitempty"`
	}
	wireAttachment struct {
		Type    string       `json:"type"`
		Payload wireTemplate `json:"payload"`
	}
	wireTemplate struct {
		Type    string    `json:"template_type"`
		Text    string    `json:"text"`
		Buttons []wireTap `json:"buttons"`
	}
	wireTap struct {
		ContentType string `json:"content_type,omitempty"`
		Type        string `json:"type,omitempty"`
		Title       string `json:"title"`
		URL         string `json:"url,omitempty"`
		Payload     string `json:"payload,omitempty"`
	}
)

// Messenger returns the "message" object for one contact, as JSON. Errors are
// fault.Invalid: it cannot be sent to this contact.
func (c *Compiled) Messenger(v *Vars) ([]byte, error) {
	m := c.messenger
	if m == nil {
		return nil, refuse(CodeNone, "There is no Messenger message.")
	}
	f := &frame{vars: v}
	text, err := m.text.within(f, m.limit)
	if err != nil {
		return nil, err
	}
	var wire wireMessage
	if wire.QuickReplies, err = render(f, m.replies); err != nil {
		return nil, err
	}
	for i := range wire.QuickReplies {
		wire.QuickReplies[i].ContentType, wire.QuickReplies[i].Type = wire.QuickReplies[i].Type, ""
	}
	buttons, err := render(f, m.buttons)
	if err != nil {
		return nil, err
	}
	if len(buttons) > 0 {
		wire.Attachment = &wireAttachment{"template", wireTemplate{"button", text, buttons}}
	} else {
		wire.Text = text
	}
	return json.Marshal(wire)
}

func render(f *frame, taps []tap) ([]wireTap, error) {
	if len(taps) == 0 {
		return nil, nil
	}
	out := make([]wireTap, len(taps))
	for i, t := range taps {
		var err error
		if out[i], err = t.render(f); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (t *tap) render(f *frame) (out wireTap, err error) {
	out.Type = t.kind
	if out.Title, err = t.title.within(f, MaxTitle); err != nil {
		return out, err
	}
	if t.payload != nil {
		if out.Payload, err = t.payload.within(f, MaxPayload); err != nil {
			return out, err
		}
	}
	if t.url != nil {
		out.URL, err = t.address(f)
	}
	return out, err
}

// address renders a button's URL and makes sure that it leads somewhere.
func (t *tap) address(f *frame) (string, error) {
	raw, err := t.url.within(f, maxURL)
	if err != nil {
		return "", err
	}
	raw = strings.ReplaceAll(strings.TrimSpace(raw), " ", "%20")
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", refuse(CodeBadURL, "A button would lead nowhere for this contact.")
	}
	return raw, nil
}
