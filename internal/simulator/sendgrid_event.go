package simulator

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
)

// maxMailEvents is how many events share one post of the event webhook.
const maxMailEvents = 500

// mailEvent is one event of SendGrid's event webhook.
type mailEvent struct {
	event     string
	email     string
	at        int64
	messageID string
	place     int // which mail of its request it is about
	args      map[string]string
}

// queueEvents queues what SendGrid tells about a mail that ends in this way.
func (m *mailer) queueEvents(c *call, e mailEvent, end string) {
	var events []mailEvent
	for _, name := range story(end) {
		e.event = name
		events = append(events, e)
	}
	tell(c, m.receipts, events...)
}

// story is the order of events that leads to an end.
func story(end string) []string {
	switch end {
	case "dropped", "unsubscribed":
		return []string{end}
	case "spamreport":
		return []string{"processed", "delivered", end}
	}
	return []string{"processed", end}
}

// append writes the event as JSON. The id is of the event, not of the post.
func (e *mailEvent) append(b []byte) []byte {
	b = appendField(b, `{"email":`, e.email)
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendInt(b, e.at, 10)
	b = appendField(b, `,"smtp-id":`, "<"+e.messageID+"@geopod-ismtpd-1>")
	b = append(b, e.outcome()...)
	b = appendField(b, `,"sg_event_id":`, base64.RawURLEncoding.EncodeToString([]byte(e.eventID())))
	b = appendField(b, `,"sg_message_id":`, e.messageID+".recvd-0-1")
	for name, value := range e.args {
		if reserved(name) {
			continue
		}
		b = append(b, ',')
		b = appendField(append(appendString(b, name), ':'), "", value)
	}
	return append(b, '}')
}

// eventID is the same however often the event is posted.
func (e *mailEvent) eventID() string {
	sum := sha256.Sum256([]byte(e.messageID + strconv.Itoa(e.place) + e.event))
	return e.event + string(sum[:12])
}

// outcome is the part that differs by event, as JSON.
func (e *mailEvent) outcome() string {
	switch e.event {
	case "bounce":
		return `,"event":"bounce","type":"bounce","status":"5.1.1","bounce_classification":"Invalid Address",` +
			`"reason":"550 5.1.1 The email account that you tried to reach does not exist"`
	case "blocked":
		return `,"event":"bounce","type":"blocked","status":"4.7.1","bounce_classification":"Reputation",` +
			`"reason":"421 4.7.1 Try again later"`
	case "dropped":
		return `,"event":"dropped","reason":"Bounced Address","status":"5.0.0"`
	case "unsubscribed":
		return `,"event":"dropped","reason":"Unsubscribed Address","status":"5.0.0"`
	case "delivered":
		return `,"event":"delivered","response":"250 OK","attempt":"1"`
	}
	return `,"event":"` + e.event + `"`
}

// reserved are the names that win over custom args.
func reserved(name string) bool {
	switch name {
	case "email", "timestamp", "smtp-id", "event", "category", "sg_event_id", "sg_message_id", "reason", "status",
		"response", "attempt", "type", "ip", "useragent", "url":
		return true
	}
	return false
}

// mailBody is the array of events the way SendGrid lays it out.
func mailBody(events []mailEvent) []byte {
	b := make([]byte, 0, len(events)*400)
	b = append(b, '[')
	for i := range events {
		if i > 0 {
			b = append(b, ",\r\n"...)
		}
		b = events[i].append(b)
	}
	return append(b, "]\r\n"...)
}

func (m *mailer) postEvents(ctx context.Context, events []mailEvent) error {
	body := mailBody(events)
	header, err := m.signed(body)
	if err != nil {
		return err
	}
	return m.s.post(ctx, &callback{
		provider: SendGrid, url: m.s.CallbackURL() + "/webhooks/sendgrid", header: header, body: body,
		retries: m.s.cfg.Receipts.retries(8),
	})
}

// signed is the header of an event webhook, dated now.
func (m *mailer) signed(body []byte) (http.Header, error) {
	timestamp := strconv.FormatInt(m.s.clock().Unix(), 10)
	h := sha256.New()
	h.Write([]byte(timestamp))
	h.Write(body)
	sig, err := ecdsa.SignASN1(rand.Reader, m.s.cfg.SendGridWebhookKey, h.Sum(nil))
	if err != nil {
		return nil, &postError{provider: SendGrid, cause: err}
	}
	return http.Header{
		"Content-Type":                           {"application/json"},
		"X-Twilio-Email-Event-Webhook-Signature": {base64.StdEncoding.EncodeToString(sig)},
		"X-Twilio-Email-Event-Webhook-Timestamp": {timestamp},
	}, nil
}

// Unsubscribe lets the reader of an address use the one-click unsubscribe of
// the last mail they got, as a mailbox provider would (RFC 8058).
func (s *Simulator) Unsubscribe(ctx context.Context, to string) error {
	mails := s.Mail(to)
	if len(mails) == 0 {
		return ErrNothingToTap
	}
	target := oneClick(mails[len(mails)-1].Headers)
	if target == "" {
		return ErrNothingToTap
	}
	cb := &callback{
		provider: SendGrid, url: target, body: []byte("List-Unsubscribe=One-Click"),
		header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}},
	}
	if err := s.postOnce(ctx, cb); err != nil {
		return err
	}
	return nil
}

// oneClick is the web address in List-Unsubscribe, when one click is offered.
func oneClick(headers map[string]string) string {
	h := make(http.Header, len(headers))
	for k, v := range headers {
		h.Set(k, v)
	}
	if h.Get("List-Unsubscribe-Post") != "List-Unsubscribe=One-Click" {
		return ""
	}
	for part := range strings.SplitSeq(h.Get("List-Unsubscribe"), ",") {
		target := strings.Trim(strings.TrimSpace(part), "<>")
		if strings.HasPrefix(target, "http://") || strings.HasPrefix(target, "https://") {
			return target
		}
	}
	return ""
}
