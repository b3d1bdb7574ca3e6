package sendgrid

import (
	"github.com/sendgrid/sendgrid-go/helpers/mail"

	"beckon/internal/channel"
	"beckon/internal/channel/email"
)

// markArg is the name under which the mark travels and comes back.
const markArg = "bk_delivery"

// body writes one mail/send request: the texts once, and a personalization
// with exactly one recipient for each message, as those in one would see each other.
func (c *Client) body(b *channel.Batch, m channel.Mail, at []int) []byte {
	off := false
	request := mail.SGMailV3{
		From:    &mail.Email{Name: c.fromName, Address: c.from},
		Subject: m.Subject,
		// Said even where off is the default: an account may have others. Links
		// are counted by our own.
		TrackingSettings: &mail.TrackingSettings{
			ClickTracking:        &mail.ClickTrackingSetting{Enable: &off, EnableText: &off},
			OpenTracking:         &mail.OpenTrackingSetting{Enable: &off},
			SubscriptionTracking: &mail.SubscriptionTrackingSetting{Enable: &off},
		},
	}
	if b.Campaign != "" { // statistics keep this for ever: it names nobody
		request.Categories = []string{b.Campaign}
	}
	if m.Text != "" {
		request.Content = append(request.Content, &mail.Content{Type: "text/plain", Value: m.Text})
	}
	if m.HTML != "" {
		request.Content = append(request.Content, &mail.Content{Type: "text/html", Value: m.HTML})
	}
	request.Personalizations = make([]*mail.Personalization, len(at))
	for place, i := range at {
		request.Personalizations[place] = personalization(b, m.Holes, &b.Messages[i], c.domain)
	}
	return mail.GetRequestBody(&request)
}

func personalization(b *channel.Batch, holes []string, m *channel.Message, domain string) *mail.Personalization {
	p := &mail.Personalization{
		To:         []*mail.Email{{Address: m.To}},
		CustomArgs: map[string]string{markArg: m.Mark},
	}
	if len(holes) > 0 {
		p.Substitutions = make(map[string]string, len(holes))
		for i, hole := range holes {
			p.Substitutions[hole] = m.Fill[i]
		}
	}
	if headers := email.Headers(b, m, domain); len(headers) > 0 {
		p.Headers = make(map[string]string, len(headers))
		for _, h := range headers {
			p.Headers[h.Name] = h.Value
		}
	}
	return p
}
