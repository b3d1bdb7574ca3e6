package campaign

import (
	"encoding/json"
	"errors"

	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/fault"
)

// Recipient is one person a batch goes to.
type Recipient struct {
	Delivery    int64
	To          string // PSID, E.164 number or e-mail address
	Token       string // one-time token, instead of To
	ExternalID  string
	FirstName   string
	LastName    string
	Email       string
	Phone       string
	Locale      string
	Attributes  json.RawMessage
	Link        string
	Unsubscribe string
}

func (d *Definition) vars(r *Recipient, page string) content.Vars {
	return content.Vars{Link: r.Link, Unsubscribe: r.Unsubscribe, PageName: page, CampaignName: d.Name, Sender: d.Sender,
		Contact: content.Contact{ExternalID: r.ExternalID, FirstName: r.FirstName, LastName: r.LastName,
			Email: r.Email, Phone: r.Phone, Locale: r.Locale, Attributes: r.Attributes}}
}

// Compose renders the campaign's messages for a lane. Recipients for whom the
// content cannot be rendered get no message: their results are returned as
// refused, by delivery.
func (d *Definition) Compose(lane channel.Lane, page string, recipients []Recipient) (channel.Batch, map[int64]channel.Result) {
	b := channel.Batch{Lane: lane, Messages: make([]channel.Message, 0, len(recipients))}
	if lane.Kind() == channel.Email {
		b.Mail = d.Content.Mail()
	}
	refused := map[int64]channel.Result{}
	for i := range recipients {
		r := &recipients[i]
		m := channel.Message{Delivery: r.Delivery, To: r.To, Token: r.Token, Unsubscribe: r.Unsubscribe}
		if err := d.render(lane, r, page, &m); err != nil {
			refused[r.Delivery] = refusal(err)
			continue
		}
		b.Messages = append(b.Messages, m)
	}
	return b, refused
}

func (d *Definition) render(lane channel.Lane, r *Recipient, page string, m *channel.Message) (err error) {
	v := d.vars(r, page)
	if lane == channel.Utility {
		m.Body, err = d.Content.Utility(&v)
		return err
	}
	switch lane.Kind() {
	case channel.Messenger:
		m.Quiet = d.Content.NotificationType()
		m.Body, err = d.Content.Messenger(&v)
	case channel.SMS:
		var text string
		text, err = d.Content.SMS(&v)
		m.Body = []byte(text)
	case channel.Email:
		m.Fill, err = d.Content.Fill(&v)
	}
	return err
}

func refusal(err error) channel.Result {
	res := channel.Result{Outcome: channel.Refused, Code: "content", Detail: "the content cannot be rendered for this contact"}
	var f *fault.Error
	if errors.As(err, &f) {
		res.Code, res.Detail = f.Code, f.Detail
	}
	return res
}

// Sample is what one recipient would read on each channel; empty where nothing
// is said.
type Sample struct {
	Messenger json.RawMessage // the "message" object
	Utility   json.RawMessage // that of the lane utility
	SMS       string
	Email     *content.Email
	Problems  []fault.Field // why a channel that is spoken on is empty
}

// Sample renders every channel of the campaign for one recipient.
func (d *Definition) Sample(page string, r Recipient) Sample {
	v, out := d.vars(&r, page), Sample{}
	problem := func(part channel.Kind, err error) {
		if err != nil {
			res := refusal(err)
			out.Problems = append(out.Problems, fault.Field{Pointer: "/content/" + string(part), Code: res.Code, Detail: res.Detail})
		}
	}
	var err error
	if d.Content.Has(channel.Messenger) {
		out.Messenger, err = d.Content.Messenger(&v)
		problem(channel.Messenger, err)
	}
	if name, _ := d.Template(); name != "" {
		out.Utility, err = d.Content.Utility(&v)
		problem("utility", err)
	}
	if d.Content.Has(channel.SMS) {
		out.SMS, err = d.Content.SMS(&v)
		problem(channel.SMS, err)
	}
	if d.Content.Has(channel.Email) {
		var e content.Email
		if e.Subject, e.HTML, e.Text, err = d.Content.RenderMail(&v); err == nil {
			out.Email = &e
		}
		problem(channel.Email, err)
	}
	return out
}
