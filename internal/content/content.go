// Package content is what a campaign says: Liquid templates, checked and
// compiled once, then filled in for each contact on each channel.
package content

import (
	"beckon/internal/channel"
	"beckon/internal/fault"
)

// Source is the content of a campaign as its author wrote it; a channel left
// out is nil. Every text is a Liquid template.
type Source struct {
	Messenger *Messenger `json:"messenger,omitempty"`
	SMS       *SMS       `json:"sms,omitempty"`
	Email     *Email     `json:"email,omitempty"`
	Utility   *Utility   `json:"utility,omitempty"` // what the lane utility says
}

// SMS is a text message.
type SMS struct {
	Text string `json:"text"`
	// Normalise lets look-alikes take the place of characters outside the SMS
	// alphabet - straight quotes of curly ones, three dots of an ellipsis - where
	// that makes the whole text fit into it; nil is true.
	Normalise *bool `json:"normalise,omitempty"`
}

// Email is an e-mail. Of HTML and Text one may be left out: it is made from the
// other.
type Email struct {
	Subject string `json:"subject"`
	HTML    string `json:"html,omitempty"`
	Text    string `json:"text,omitempty"`
	// Layout is what stands around HTML and Text; left out it is LayoutBase, but
	// LayoutNone for HTML that is a whole document.
	Layout    string  `json:"layout,omitempty"`
	Preheader string  `json:"preheader,omitempty"` // shown beside the subject in the inbox; needs LayoutBase
	Button    *Action `json:"button,omitempty"`    // leads to the bot; needs LayoutBase
	// Language is what the e-mail is written in, as a BCP 47 tag: for screen readers,
	// and for the words at the foot where the contact's own language is not known.
	Language string `json:"language,omitempty"`
}

// Action is a button that leads to the bot.
type Action struct {
	Title string `json:"title"`
}

// The layouts of an Email.
const (
	LayoutBase = "base" // ours: the sender's name above, at the foot address and a way to refuse
	LayoutNone = "none" // what the author wrote and nothing else
)

// Warning is something that may be meant but is worth a look before sending.
type Warning struct {
	Pointer string
	Code    string
	Detail  string
}

// The codes of warnings.
const (
	WarnNothingToTap        = "nothing_to_tap"
	WarnSMSWithoutLink      = "sms_without_link"
	WarnSMSWithoutOptOut    = "sms_without_opt_out"
	WarnSMSIsUnicode        = "sms_is_unicode" // 70 characters cost a segment, not 160
	WarnEmailWithoutLink    = "email_without_link"
	WarnEmailWithoutOptOut  = "email_without_unsubscribe"
	WarnEmailWithoutAddress = "email_without_postal_address"
	WarnEmailWithoutSender  = "email_without_sender_name"
	WarnEmailClipped        = "email_clipped" // Gmail cuts it off before its end
	WarnFailsWithoutDetails = "may_fail"      // an expression fails for contacts who lack a value it uses
)

// Stops reports whether no e-mail may go out before that is mended: the law, and
// those who run mailboxes, want it in each one.
func (w Warning) Stops() bool {
	return w.Code == WarnEmailWithoutOptOut || w.Code == WarnEmailWithoutAddress || w.Code == WarnEmailWithoutSender
}

// Compiled is content ready to be filled in. It is safe for use by many
// goroutines.
type Compiled struct {
	messenger *messenger
	sms       *template
	asWritten bool // the SMS: look-alikes do not take the place of anything
	mail      *mail
	utility   *utility
	attrs     bool
}

// Compile checks everything and compiles it, with e-mails as the sender's; one
// for whom Vars.Sender is filled in must be the same. The error is fault.Invalid
// with a field for every mistake found; pointers start at /content.
func Compile(src Source, by Sender) (*Compiled, []Warning, error) {
	c := newCompiler()
	c.sender = by.clean()
	return c.finish(&Compiled{
		messenger: c.messenger(pointerMessenger, src.Messenger),
		sms:       c.sms(src.SMS),
		asWritten: src.SMS.asWritten(),
		mail:      c.mail(src.Email),
		utility:   c.utility(src.Utility),
	})
}

func (c *compiler) finish(out *Compiled) (*Compiled, []Warning, error) {
	out.attrs = c.attrs
	if err := fault.InvalidFields(c.fields...); err != nil {
		return nil, c.warnings, err
	}
	return out, c.warnings, nil
}

// Has reports whether there is something to say on that channel.
func (c *Compiled) Has(kind channel.Kind) bool {
	switch kind {
	case channel.Messenger:
		return c.messenger != nil
	case channel.SMS:
		return c.sms != nil
	case channel.Email:
		return c.mail != nil
	}
	return false
}

// UsesAttributes reports whether any text looks at contact.attributes; when it
// does not, Contact.Attributes need not be loaded.
func (c *Compiled) UsesAttributes() bool { return c.attrs }

// The codes of the errors that filling in can end with. All are fault.Invalid:
// this content cannot be sent to this contact, another lane may work.
const (
	CodeEmpty        = "content_empty"         // nothing is left to say
	CodeTooLong      = "content_too_long"      // over the channel's limit
	CodeBadURL       = "content_bad_url"       // a link would lead nowhere
	CodeBadPhone     = "content_bad_phone"     // a button would call nobody
	CodeRenderFailed = "content_render_failed" // an expression fails on this contact's values
	CodeNone         = "content_missing"       // the campaign says nothing on this channel
)

func refuse(code, detail string) error { return fault.New(fault.Invalid, code, "%s", detail) }
