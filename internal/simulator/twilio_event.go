package simulator

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"encoding/base64"
	"encoding/xml"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// smsStatus is one status callback of a text.
type smsStatus struct {
	sms    *SMS
	status string
}

// queueReceipts queues the callbacks of an accepted text: sent, then how it
// ended. There is none for the first status.
func (t *twilio) queueReceipts(c *call, m *SMS) {
	if !t.s.receipts() || m.StatusCallback == "" {
		return
	}
	tell(c, t.receipts, smsStatus{m, "sent"}, smsStatus{m, m.Status})
}

func (t *twilio) postStatus(ctx context.Context, items []smsStatus) error {
	e := items[0] // batches are of one
	target, fragment, _ := strings.Cut(e.sms.StatusCallback, "#")
	form := url.Values{
		"MessageSid": {e.sms.SID}, "SmsSid": {e.sms.SID}, "MessageStatus": {e.status}, "SmsStatus": {e.status},
		"AccountSid": {t.s.cfg.TwilioAccountSID}, "ApiVersion": {twilioVersion}, "To": {e.sms.To},
		"From": {t.sender(e.sms)},
	}
	if e.sms.Service != "" {
		form.Set("MessagingServiceSid", e.sms.Service)
	}
	if e.status == "undelivered" {
		form.Set("ErrorCode", strconv.Itoa(e.sms.ErrorCode))
	}
	if e.status != "sent" {
		form.Set("RawDlrDoneDate", e.sms.Created.Format("0601021504"))
	}
	cb := t.form(target, form)
	cb.retries, cb.retryOn = retryPolicy(fragment)
	if n := t.s.cfg.Receipts.Retries; n > 0 {
		cb.retries, cb.retryOn = n, nil
	}
	return t.s.post(ctx, cb)
}

// sender is the number that the text was sent from in the end.
func (t *twilio) sender(m *SMS) string {
	if m.From != "" {
		return m.From
	}
	return t.s.cfg.TwilioNumber
}

// form is a signed post of a form.
func (t *twilio) form(target string, form url.Values) *callback {
	return &callback{
		provider: Twilio, url: target, body: []byte(form.Encode()),
		header: http.Header{
			"Content-Type":               {"application/x-www-form-urlencoded; charset=UTF-8"},
			"X-Twilio-Signature":         {twilioSignature(t.s.cfg.TwilioAuthToken, target, form)},
			"I-Twilio-Idempotency-Token": {newID()},
		},
	}
}

// twilioSignature is over the URL and the form's keys and values, sorted.
func twilioSignature(token, target string, form url.Values) string {
	keys := make([]string, 0, len(form))
	for k := range form {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	mac := hmac.New(sha1.New, []byte(token))
	mac.Write([]byte(target))
	for _, k := range keys {
		values := slices.Clone(form[k])
		slices.Sort(values)
		for _, v := range slices.Compact(values) {
			mac.Write([]byte(k + v))
		}
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// retryPolicy reads the fragment of a callback URL: rc is how many retries, rp
// what for. Left out: one, for a connection that failed.
func retryPolicy(fragment string) (retries int, on func(status int) bool) {
	options, err := url.ParseQuery(fragment)
	if err != nil {
		options = url.Values{} // what cannot be read is not asked for
	}
	retries = 1
	if n, err := strconv.Atoi(options.Get("rc")); err == nil && n >= 0 && n <= 5 {
		retries = n
	}
	policies := options.Get("rp")
	if policies == "" {
		policies = "ct"
	}
	return retries, func(status int) bool {
		return slices.ContainsFunc(strings.Split(policies, ","), func(p string) bool { return retriedBy(p, status) })
	}
}

// retriedBy reports whether one word of rp covers an answer; 0 is none.
func retriedBy(policy string, status int) bool {
	switch policy {
	case "all":
		return true
	case "ct", "rt":
		return status == 0
	case "4xx":
		return status/100 == 4
	case "5xx":
		return status/100 == 5
	}
	return false
}

// Text lets somebody text us, and posts the signed webhook at once. As with
// Twilio, STOP makes every later text to them fail with 21610, until START, and the
// answer must be empty or TwiML: a message in it is a text to them.
func (s *Simulator) Text(ctx context.Context, from, body string) error {
	t := s.twilio
	word := t.keyword(from, body)
	if s.CallbackURL() == "" {
		return errNoCallbackURL
	}
	sid := "SM" + newID()
	form := url.Values{
		"MessageSid": {sid}, "SmsSid": {sid}, "SmsMessageSid": {sid}, "AccountSid": {s.cfg.TwilioAccountSID},
		"From": {from}, "To": {s.cfg.TwilioNumber}, "Body": {body}, "NumMedia": {"0"},
		"NumSegments": {strconv.Itoa(segments(body))}, "SmsStatus": {"received"}, "ApiVersion": {twilioVersion},
	}
	if word != "" && s.cfg.AdvancedOptOut {
		form.Set("OptOutType", word)
	}
	return t.answered(ctx, from, t.form(s.CallbackURL()+"/webhooks/twilio/inbound", form))
}

// errNoTwiML is Twilio's warning 12100 or 12200: the answer is not what it can act upon.
var errNoTwiML = errors.New("simulator: the answer to a text is not TwiML")

// answered posts a text and does what the answer says.
func (t *twilio) answered(ctx context.Context, from string, cb *callback) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, cb.url, bytes.NewReader(cb.body))
	if err != nil {
		return &postError{provider: Twilio, cause: bare(err)}
	}
	req.Header = cb.header
	body, failed := t.s.do(req, Twilio)
	if failed != nil {
		return failed
	}
	if len(body) == 0 {
		return nil
	}
	var answer struct {
		XMLName  xml.Name `xml:"Response"`
		Messages []string `xml:"Message"`
	}
	if xml.Unmarshal(body, &answer) != nil {
		return errNoTwiML
	}
	for _, text := range answer.Messages {
		m := &SMS{SID: "SM" + newID(), To: from, From: t.s.cfg.TwilioNumber, Body: text, Status: "delivered", Segments: segments(text), Created: t.s.clock(), order: t.order.Add(1)}
		t.texts.with(from, func(all map[string][]*SMS) { all[from] = append(all[from], m) })
	}
	return nil
}

// keyword acts on STOP and START, and names what the text is: STOP, START,
// HELP or nothing.
func (t *twilio) keyword(from, body string) string {
	switch strings.ToUpper(strings.TrimSpace(body)) {
	case "STOP", "UNSUBSCRIBE", "END", "QUIT", "STOPALL", "REVOKE", "OPTOUT", "CANCEL":
		t.optedOut.with(from, func(m map[string]bool) { m[from] = true })
		return "STOP"
	case "START", "UNSTOP":
		t.optedOut.with(from, func(m map[string]bool) { delete(m, from) })
		return "START"
	case "HELP", "INFO":
		return "HELP"
	}
	return ""
}
