package simulator

import (
	"strconv"
	"strings"
	"time"
)

// Limits of mail/send.
const (
	maxPersonalizations = 1000
	maxSubstitutions    = 10_000 // bytes per personalization
	maxCustomArgs       = 10_000 // bytes
	maxCategories       = 10
	maxCategory         = 255
	maxReplyTo          = 1000
	maxSchedule         = 72 * time.Hour
)

// mailRequest is the body of mail/send, as far as it has an effect here.
type mailRequest struct {
	Personalizations []personalization `json:"personalizations"`
	From             *mailAddress      `json:"from"`
	ReplyTo          *mailAddress      `json:"reply_to"`
	ReplyToList      []mailAddress     `json:"reply_to_list"`
	Subject          string            `json:"subject"`
	Content          []mailContent     `json:"content"`
	Headers          map[string]string `json:"headers"`
	CustomArgs       map[string]string `json:"custom_args"`
	Categories       []string          `json:"categories"`
	TemplateID       string            `json:"template_id"`
	SendAt           int64             `json:"send_at"`
	MailSettings     struct {
		Sandbox struct {
			Enable bool `json:"enable"`
		} `json:"sandbox_mode"`
	} `json:"mail_settings"`
}

type personalization struct {
	To            []mailAddress     `json:"to"`
	CC            []mailAddress     `json:"cc"`
	BCC           []mailAddress     `json:"bcc"`
	From          *mailAddress      `json:"from"`
	Subject       string            `json:"subject"`
	Headers       map[string]string `json:"headers"`
	Substitutions map[string]string `json:"substitutions"`
	CustomArgs    map[string]string `json:"custom_args"`
	SendAt        int64             `json:"send_at"`
}

type mailAddress struct {
	Email string `json:"email"`
	Name  string `json:"name"`
}

type mailContent struct {
	Type  string `json:"type"`
	Value string `json:"value"`
}

// check returns the first thing that is wrong with the request.
func (r *mailRequest) check(now time.Time) *mailError {
	if e := r.checkRoot(now); e != nil {
		return e
	}
	if n := len(r.Personalizations); n == 0 || n > maxPersonalizations {
		return wrong("personalizations", "The personalizations field is required and must have 1 to 1000 entries.")
	}
	for i := range r.Personalizations {
		if e := r.checkOne(&r.Personalizations[i], i, now); e != nil {
			return e
		}
	}
	return nil
}

func (r *mailRequest) checkRoot(now time.Time) *mailError {
	switch {
	case r.From == nil || !isMailAddress(r.From.Email):
		return wrong("from.email", "The from object must be provided for every email send, with a valid address.")
	case r.TemplateID != "":
		return wrong("template_id", "The template_id does not exist.")
	case r.ReplyTo != nil && len(r.ReplyToList) > 0, len(r.ReplyToList) > maxReplyTo:
		return wrong("reply_to", "Use either reply_to or reply_to_list, with at most 1000 entries.")
	case r.ReplyTo != nil && !isMailAddress(r.ReplyTo.Email):
		return wrong("reply_to.email", "Does not contain a valid address.")
	case size(r.CustomArgs) > maxCustomArgs:
		return wrong("custom_args", "The custom_args are larger than 10000 bytes.")
	case !isSchedule(r.SendAt, now):
		return wrong("send_at", "Scheduling more than 72 hours in advance is forbidden.")
	}
	if name := forbidden(r.Headers); name != "" {
		return wrong("headers."+name, "This header may not be set.")
	}
	if e := checkContent(r.Content); e != nil {
		return e
	}
	return checkCategories(r.Categories)
}

func checkContent(content []mailContent) *mailError {
	if len(content) == 0 {
		return wrong("content", "Unless a valid template_id is provided, the content parameter is required.")
	}
	for i, part := range content {
		at := "content." + strconv.Itoa(i)
		switch {
		case part.Type == "" || strings.ContainsAny(part.Type, ";\r\n") || !strings.Contains(part.Type, "/"):
			return wrong(at+".type", "The content type must be a MIME type with no parameters.")
		case part.Value == "":
			return wrong(at+".value", "The content value must be a string at least one character in length.")
		case part.Type == "text/plain" && i > 0:
			return wrong("content", "If present, text/plain must be first, followed by text/html.")
		}
	}
	return nil
}

func checkCategories(categories []string) *mailError {
	if len(categories) > maxCategories {
		return wrong("categories", "There may be at most 10 categories.")
	}
	for i, c := range categories {
		if len(c) > maxCategory {
			return wrong("categories."+strconv.Itoa(i), "A category may not exceed 255 characters.")
		}
	}
	return nil
}

// checkOne checks the i-th personalization.
func (r *mailRequest) checkOne(p *personalization, i int, now time.Time) *mailError {
	// Built only when needed: a request has up to a thousand of these.
	at := func(field string) string { return "personalizations." + strconv.Itoa(i) + "." + field }
	switch {
	case len(p.To) != 1 || len(p.CC)+len(p.BCC) > 0:
		// The real one takes more; here each person gets a mail of their own.
		return wrong(at("to"), "Exactly one recipient is taken per personalization.")
	case !isMailAddress(p.To[0].Email):
		return wrong(at("to.0.email"), "Does not contain a valid address.")
	case p.From != nil && !isMailAddress(p.From.Email):
		return wrong(at("from.email"), "Does not contain a valid address.")
	case p.Subject == "" && r.Subject == "":
		return wrong("subject", "The subject is required.")
	case size(p.Substitutions) > maxSubstitutions:
		return wrong(at("substitutions"), "The substitutions are larger than 10000 bytes.")
	case size(p.CustomArgs) > maxCustomArgs:
		return wrong(at("custom_args"), "The custom_args are larger than 10000 bytes.")
	case !isSchedule(p.SendAt, now):
		return wrong(at("send_at"), "Scheduling more than 72 hours in advance is forbidden.")
	}
	if name := forbidden(p.Headers); name != "" {
		return wrong(at("headers."+name), "This header may not be set.")
	}
	return nil
}

func size(m map[string]string) (n int) {
	for k, v := range m {
		n += len(k) + len(v)
	}
	return n
}

func isSchedule(at int64, now time.Time) bool {
	return at == 0 || at <= now.Add(maxSchedule).Unix()
}

// forbidden returns the first header that SendGrid sets itself, or "".
func forbidden(headers map[string]string) string {
	for name := range headers {
		switch strings.ToLower(name) {
		case "x-sg-id", "x-sg-eid", "received", "dkim-signature", "content-type", "content-transfer-encoding",
			"to", "from", "subject", "reply-to", "cc", "bcc":
			return name
		}
	}
	return ""
}

// isMailAddress is the syntax that SendGrid wants: something@host.tld.
func isMailAddress(address string) bool {
	local, host, found := strings.Cut(address, "@")
	if !found || local == "" || len(local) > 64 || len(address) > 254 || strings.ContainsAny(address, " \t\r\n<>(),;:\\\"[]") {
		return false
	}
	if local[0] == '.' || local[len(local)-1] == '.' || strings.Contains(local, "..") {
		return false
	}
	return isHost(host)
}

func isHost(host string) bool {
	if !strings.Contains(host, ".") || strings.Contains(host, "@") {
		return false
	}
	for label := range strings.SplitSeq(host, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
	}
	return true
}

// args are the custom args of one mail: the request's, overridden by its own.
func (r *mailRequest) args(p *personalization) map[string]string {
	if len(r.CustomArgs) == 0 {
		return p.CustomArgs
	}
	return merge(r.CustomArgs, p.CustomArgs)
}

func merge(base, over map[string]string) map[string]string {
	all := make(map[string]string, len(base)+len(over))
	for _, m := range []map[string]string{base, over} {
		for k, v := range m {
			all[k] = v
		}
	}
	return all
}

// render is the mail as it reaches one person.
func (r *mailRequest) render(p *personalization) Mail {
	fill := func(text string) string {
		for hole, value := range p.Substitutions {
			text = strings.ReplaceAll(text, hole, value)
		}
		return text
	}
	m := Mail{
		To: p.To[0].Email, From: r.From.Email, Subject: r.Subject,
		Headers: merge(r.Headers, p.Headers), CustomArgs: merge(r.CustomArgs, p.CustomArgs),
	}
	if p.From != nil {
		m.From = p.From.Email
	}
	if p.Subject != "" {
		m.Subject = p.Subject
	}
	m.Subject = fill(m.Subject)
	if r.ReplyTo != nil {
		m.ReplyTo = fill(r.ReplyTo.Email)
	}
	for _, part := range r.Content {
		switch part.Type {
		case "text/plain":
			m.Text = fill(part.Value)
		case "text/html":
			m.HTML = fill(part.Value)
		}
	}
	return m
}
