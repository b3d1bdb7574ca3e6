package content

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/osteele/liquid/parser"
)

// The limits of a Messenger message, in characters.
const (
	MaxMessengerText = 2000
	MaxButtonText    = 640 // of the text, when there are buttons
	MaxTitle         = 20
	MaxPayload       = 1000
	MaxElementText   = 80 // of an element's title, and of its subtitle
	MaxQuickReplies  = 13
	MaxButtons       = 3
	MaxElements      = 10
)

const pointerMessenger = "/content/messenger"

type messenger struct {
	wire wire
	push string
}

// CompileMessenger checks and compiles one Messenger message that is no part of
// a campaign's content; pointers start at at. Has, Messenger and
// NotificationType work on what it returns.
func CompileMessenger(at string, src Messenger) (*Compiled, []Warning, error) {
	c := newCompiler()
	return c.finish(&Compiled{messenger: c.messenger(at, &src)})
}

// Messenger returns the "message" object for one contact, as JSON. Errors are
// fault.Invalid: it cannot be sent to this contact.
func (c *Compiled) Messenger(v *Vars) ([]byte, error) {
	if c.messenger == nil {
		return nil, refuse(CodeNone, "There is no Messenger message.")
	}
	return c.messenger.wire.render(&frame{vars: v})
}

// NotificationType is how loudly the message arrives, in Meta's words; "" for
// the usual way.
func (c *Compiled) NotificationType() string {
	if c.messenger == nil {
		return ""
	}
	return c.messenger.push
}

// message compiles one Messenger message.
type message struct {
	draft
	at    string // pointer to it
	src   *Messenger
	links bool // its text has something to follow
}

func (c *compiler) messenger(at string, src *Messenger) *messenger {
	if src == nil {
		return nil
	}
	m := &message{draft: draft{c: c}, at: at, src: src}
	m.checkForm()
	c.refuseTag(at+"/tag", src.Tag)
	if src.MessagingType != "" {
		c.fail(at+"/messaging_type", "not_allowed", "The lane decides it: UPDATE in the window, UTILITY for utility messages, none with a token.")
	}
	switch {
	case src.Raw != nil:
		m.raw()
	default:
		m.open('{')
		m.body()
		m.quickReplies()
		m.shut('}')
	}
	if !m.taps && !m.links {
		c.warn(at, WarnNothingToTap, "There is nothing to tap: a quick reply makes it easy to answer.")
	}
	return &messenger{m.wire(), m.push()}
}

// checkForm lets one form stand alone, with what goes with it.
func (m *message) checkForm() {
	src, first := m.src, ""
	for _, f := range []struct {
		name  string
		given bool
	}{
		{"text", src.Text != ""}, {"elements", len(src.Elements) > 0}, {"media", src.Media != nil},
		{"attachment", src.Attachment != nil}, {"raw", src.Raw != nil},
	} {
		switch {
		case !f.given:
		case first == "":
			first = f.name
		default:
			m.c.fail(m.at+"/"+f.name, "not_allowed", "A message is one of text, elements, media, attachment and raw.")
		}
	}
	if len(src.Buttons) > 0 && first != "" && first != "text" && first != "media" {
		m.c.fail(m.at+"/buttons", "not_allowed", "Buttons stand under a text or a media message; elements have buttons of their own.")
	}
	if src.ImageAspectRatio != "" && first != "elements" {
		m.c.fail(m.at+"/image_aspect_ratio", "not_allowed", "Only elements have it.")
	}
	if len(src.QuickReplies) > 0 && first == "raw" {
		m.c.fail(m.at+"/quick_replies", "not_allowed", "Write quick replies into the raw message.")
	}
}

func (m *message) push() string {
	switch push := m.src.NotificationType; push {
	case "", Regular:
	case Silent, NoPush:
		return push
	default:
		m.c.fail(m.at+"/notification_type", "unknown_type", "It is one of %s, %s and %s.", Regular, Silent, NoPush)
	}
	return ""
}

func (m *message) body() {
	switch src := m.src; {
	case len(src.Elements) > 0:
		m.generic()
	case src.Media != nil:
		m.media()
	case src.Attachment != nil:
		m.attachment()
	case len(src.Buttons) > 0:
		m.template("button")
		m.text(MaxButtonText)
		m.buttons(m.at+"/buttons", src.Buttons)
		m.endTemplate()
	default:
		m.text(MaxMessengerText)
	}
}

func (m *message) text(limit int) {
	t := m.filled("text", m.at+"/text", m.src.Text, slot{limit: limit, mode: plain})
	m.links = t != nil && (t.links || strings.Contains(sourceOf(live(t.tokens)), "http"))
}

// template begins a template of Meta's.
func (m *message) template(kind string) {
	m.name("attachment")
	m.open('{')
	m.member("type", "template")
	m.name("payload")
	m.open('{')
	m.member("template_type", kind)
}

func (m *message) endTemplate() {
	m.shut('}')
	m.shut('}')
}

func (d *draft) checkCount(pointer string, n, limit int) {
	if n > limit {
		d.c.fail(pointer, "too_many", "At most %d are possible.", limit)
	}
}

func (m *message) quickReplies() {
	list := m.src.QuickReplies
	if len(list) == 0 {
		return
	}
	m.checkCount(m.at+"/quick_replies", len(list), MaxQuickReplies)
	m.name("quick_replies")
	m.open('[')
	for i, q := range list {
		m.quickReply(fmt.Sprintf("%s/quick_replies/%d", m.at, i), q)
	}
	m.shut(']')
	m.taps = true
}

func (d *draft) quickReply(at string, q QuickReply) {
	d.open('{')
	switch q.ContentType {
	case "", ReplyText:
		d.member("content_type", ReplyText)
		d.filled("title", at+"/title", q.Title, slot{limit: MaxTitle, mode: line})
		d.filled("payload", at+"/payload", q.Payload, slot{limit: MaxPayload, mode: line})
	case ReplyEmail, ReplyPhone:
		d.member("content_type", q.ContentType)
		d.refuseExtra(at+"/title", q.Title)
		d.refuseExtra(at+"/payload", q.Payload)
	default:
		d.c.fail(at+"/content_type", "unknown_type", "A quick reply is a %s, a %s or a %s.", ReplyText, ReplyEmail, ReplyPhone)
	}
	d.shut('}')
}

func (d *draft) refuseExtra(pointer, value string) {
	if value != "" {
		d.c.fail(pointer, "not_allowed", "This type does not have it.")
	}
}

func (d *draft) buttons(at string, list []Button) {
	if len(list) == 0 {
		return
	}
	d.checkCount(at, len(list), MaxButtons)
	d.name("buttons")
	d.open('[')
	for i, b := range list {
		d.button(at+"/"+strconv.Itoa(i), b)
	}
	d.shut(']')
	d.taps = true
}

func (d *draft) button(at string, b Button) {
	d.open('{')
	d.member("type", b.Type)
	d.filled("title", at+"/title", b.Title, slot{limit: MaxTitle, mode: line})
	switch b.Type {
	case ButtonURL:
		d.refuseExtra(at+"/payload", b.Payload)
		d.filled("url", at+"/url", b.URL, slot{limit: maxURL, mode: line, form: webLink})
	case ButtonPostback:
		d.refuseExtra(at+"/url", b.URL)
		d.filled("payload", at+"/payload", b.Payload, slot{limit: MaxPayload, mode: line})
	case ButtonPhone:
		d.refuseExtra(at+"/url", b.URL)
		d.filled("payload", at+"/payload", b.Payload, slot{limit: MaxPayload, mode: line, form: phoneNumber})
	default:
		d.c.fail(at+"/type", "unknown_type", "A button is a %s, a %s or a %s.", ButtonURL, ButtonPostback, ButtonPhone)
	}
	d.shut('}')
}

func (c *compiler) leadsSomewhere(p []piece) bool {
	host := `^https?://[^/?#@\s]+`
	if len(p) > 1 {
		host += `[/?#]`
	}
	return ourLink(p[0]) || regexp.MustCompile(host).MatchString(p[0].text)
}

func ourLink(p piece) bool {
	return len(p.hole) == 1 && p.hole[0].Type == parser.ObjTokenType &&
		slices.Contains([]string{"link", "unsubscribe_url"}, p.hole[0].Args)
}
