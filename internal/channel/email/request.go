package email

import (
	"github.com/sendgrid/sendgrid-go/helpers/mail"

	"beckon/internal/channel"
)

// markArg is the name under which the mark travels and comes back.
const markArg = "bk_delivery"

// body writes one mail/send request: the texts once, and a personalization
// with exactly one recipient for each message, as those in one would see each other.
func (c *Client) body(m channel.Mail, messages []channel.Message, at []int) []byte {
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
	if m.Text != "" {
		request.Content = append(request.Content, &mail.Content{Type: "text/plain", Value: m.Text})
	}
	if m.HTML != "" {
		request.Content = append(request.Content, &mail.Content{Type: "text/html", Value: m.HTML})
	}
	request.Personalizations = make([]*mail.Personalization, len(at))
	for place, i := range at {
		request.Personalizations[place] = personalization(m.Holes, &messages[i])
	}
	return mail.GetRequestBody(&request)
}

func personalization(holes []string, m *channel.Message) *mail.Personalization {
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
	if m.Unsubscribe != "" {
		p.Headers = map[string]string{
			"List-Unsubscribe":      "<" + m.Unsubscribe + ">",
			"List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
		}
	}
	return p
}
