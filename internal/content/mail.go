package content

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"beckon/internal/channel"
)

// The limits of an e-mail: the subject in characters, the texts in bytes, and
// all that is filled in for one person in bytes, markers included.
const (
	MaxSubject  = 500
	MaxMailText = 1 << 20
	MaxFill     = 10_000
)

const pointerEmail = "/content/email"

// mail is an e-mail whose holes are numbered over subject, HTML and text.
type mail struct {
	shared  channel.Mail
	holes   []*hole
	sign    string  // the first character of every marker
	spoken  [][]int // of each set of holes, one must say something
	subject *template
	html    *template
	text    *template
	title   *template // of the button, nil without one
}

func (c *compiler) mail(src *Email) *mail {
	if src == nil {
		return nil
	}
	before := len(c.fields)
	m := &mail{}
	subject := c.read(pointerEmail+"/subject", strings.TrimSpace(oneLine(src.Subject)))
	html, text := c.bodies(src)
	based, extra := c.based(src), c.frills(src)
	if len(c.fields) > before {
		return nil
	}
	m.subject = c.bind(subject, line)
	c.checkText(subject.pointer, m.subject, MaxSubject)
	m.html = c.bind(html, markup)
	if text != nil {
		m.text = c.bind(text, plain)
	} else {
		m.text = c.textFrom(html)
	}
	if m.text.empty() { // nothing but pictures: the text part must say something
		m.text = c.bind(subject, plain)
	}
	c.checkMail(m, html, text, src.Button != nil)
	if based {
		c.dress(m, src, extra)
	}
	m.mark(c)
	c.checkDuties(m, based)
	return m
}

// bodies reads HTML and text. HTML that was not written is made from the text;
// text that was not written is nil.
func (c *compiler) bodies(src *Email) (html, text *text) {
	c.checkSize("/html", src.HTML)
	c.checkSize("/text", src.Text)
	if strings.TrimSpace(src.Text) != "" {
		text = c.read(pointerEmail+"/text", src.Text)
	}
	switch {
	case strings.TrimSpace(src.HTML) != "":
		html = c.read(pointerEmail+"/html", src.HTML)
		c.checkQuotes(html)
	case text != nil:
		html = c.read(pointerEmail+"/text", htmlFrom(text.tokens))
	case strings.TrimSpace(src.Text) == "":
		c.fail(pointerEmail+"/html", "required", "An e-mail needs html or text.")
	}
	return html, text
}

func (c *compiler) checkSize(name, body string) {
	if len(body) > MaxMailText {
		c.fail(pointerEmail+name, "too_long", "At most %d bytes fit here.", MaxMailText)
	}
}

func (c *compiler) checkMail(m *mail, html, text *text, button bool) {
	if m.html.empty() {
		c.fail(html.pointer, "required", "Nothing is said here.")
	}
	if !button && !html.links && (text == nil || !text.links) {
		c.warn(pointerEmail, WarnEmailWithoutLink, "Without a button or {{ link }} nobody can come back from this e-mail.")
	}
}

// mark gives each hole its marker and writes the texts that all e-mails share.
//
// A marker is one of a few rare characters, a percent sign, a name and another
// percent sign. The rare character followed by a percent sign stands nowhere
// else: not in the fixed text, as seen here, and not in values, as guard sees
// to. So a provider that replaces the markers one after the other never finds
// one that was not put there.
func (m *mail) mark(c *compiler) {
	fixed := m.subject.fixed() + "\n" + m.html.fixed() + "\n" + m.text.fixed()
	for _, sign := range []string{"~", "^", "|", "`", "*", "_", "="} {
		if !strings.Contains(fixed, sign+"%") {
			m.sign = sign
			break
		}
	}
	if m.sign == "" {
		c.fail(pointerEmail, "unsupported", "Too many kinds of old merge markers.")
		return
	}
	numbers := map[string]int{}
	m.shared.Subject = m.share(m.subject, numbers)
	m.shared.HTML = m.share(m.html, numbers)
	m.shared.Text = m.share(m.text, numbers)
	m.mustSpeak(m.subject, numbers)
	if m.title != nil {
		m.mustSpeak(m.title, numbers)
	}
}

// mustSpeak remembers a text that may be nothing for some contacts, and must not be.
func (m *mail) mustSpeak(t *template, numbers map[string]int) {
	if strings.TrimSpace(t.fixed()) != "" {
		return
	}
	var of []int
	for _, p := range t.parts {
		if p.hole != nil {
			of = append(of, numbers[p.hole.place()])
		}
	}
	m.spoken = append(m.spoken, of)
}

// place is the same for holes that are filled with the same.
func (h *hole) place() string { return string(h.mode) + h.key }

// share writes a template with markers for its holes.
func (m *mail) share(t *template, numbers map[string]int) string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.hole == nil {
			continue
		}
		n, known := numbers[p.hole.place()]
		if !known {
			n = len(m.holes)
			numbers[p.hole.place()] = n
			m.holes = append(m.holes, p.hole)
			m.shared.Holes = append(m.shared.Holes, m.sign+"%b"+strconv.Itoa(n)+string(p.hole.mode)+"%")
		}
		b.WriteString(m.shared.Holes[n])
	}
	return b.String()
}

// Mail returns what the e-mails to all contacts share. The caller must not
// change it. It is empty when there is no e-mail.
func (c *Compiled) Mail() channel.Mail {
	if c.mail == nil {
		return channel.Mail{}
	}
	return c.mail.shared
}

// Fill returns the values of one contact for the holes of Mail, in their order.
// Errors are fault.Invalid: the e-mail cannot be sent to this contact.
func (c *Compiled) Fill(v *Vars) ([]string, error) {
	m := c.mail
	if m == nil {
		return nil, refuse(CodeNone, "There is no e-mail.")
	}
	return m.fill(v)
}

func (m *mail) fill(v *Vars) ([]string, error) {
	f := &frame{vars: v}
	out, size := make([]string, len(m.holes)), 0
	for i, h := range m.holes {
		value, err := h.render(f)
		if err != nil {
			return nil, refuse(CodeRenderFailed, "An expression fails on the values of this contact.")
		}
		out[i] = m.guard(value, h.mode)
		size += len(out[i]) + len(m.shared.Holes[i])
	}
	if size > MaxFill {
		return nil, refuse(CodeTooLong, "The personal parts of the e-mail are too long for this contact.")
	}
	for _, of := range m.spoken {
		if !slices.ContainsFunc(of, func(i int) bool { return strings.TrimSpace(out[i]) != "" }) {
			return nil, refuse(CodeEmpty, "Nothing is left of the subject or the button for this contact.")
		}
	}
	return out, nil
}

// guard keeps a value from containing a marker, or from making one up together
// with what stands beside it.
func (m *mail) guard(value string, how mode) string {
	if !strings.Contains(value, m.sign) && !strings.HasPrefix(value, "%") {
		return value
	}
	percent, last := "\u200b%", m.sign+"\u200b" // a space of no width
	if how == markup {
		percent, last = "&#37;", fmt.Sprintf("&#%d;", m.sign[0])
	}
	value = strings.ReplaceAll(value, m.sign+"%", m.sign+percent)
	if rest, ok := strings.CutPrefix(value, "%"); ok {
		value = percent + rest
	}
	if rest, ok := strings.CutSuffix(value, m.sign); ok {
		value = rest + last
	}
	return value
}

// RenderMail returns the whole e-mail as one contact gets it.
func (c *Compiled) RenderMail(v *Vars) (subject, html, text string, err error) {
	if c.mail == nil {
		return "", "", "", refuse(CodeNone, "There is no e-mail.")
	}
	return c.mail.render(v)
}

func (m *mail) render(v *Vars) (subject, html, text string, err error) {
	values, err := m.fill(v)
	if err != nil {
		return "", "", "", err
	}
	pairs := make([]string, 0, 2*len(values))
	for i, marker := range m.shared.Holes {
		pairs = append(pairs, marker, values[i])
	}
	r := strings.NewReplacer(pairs...)
	return r.Replace(m.shared.Subject), r.Replace(m.shared.HTML), r.Replace(m.shared.Text), nil
}
