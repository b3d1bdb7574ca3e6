package content

import (
	"encoding/json"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// wire is a JSON text with gaps: what is the same for everybody is written once,
// when compiling.
type wire struct {
	gaps []gap
	end  []byte
}

// gap is a place in a wire that is filled for each contact.
type gap struct {
	slot
	before []byte // written in any case
	name   []byte // written with the value
	text   *template
}

// slot says what may stand in a place.
type slot struct {
	limit    int // in characters
	mode     mode
	form     form
	optional bool // may be empty, and is left out then
	blank    bool // may be empty
}

// form is what a value must be.
type form byte

const (
	anyWords     form = iota
	webLink           // with a fixed host, or one of ours
	facebookLink      // to what is on Facebook already
	phoneNumber       // with + and country code
)

const maxURL = 2000

func (w *wire) render(f *frame) ([]byte, error) {
	size := len(w.end)
	for i := range w.gaps {
		size += len(w.gaps[i].before) + 64
	}
	b := make([]byte, 0, size)
	for i := range w.gaps {
		g := &w.gaps[i]
		v, err := g.value(f)
		if err != nil {
			return nil, err
		}
		b = append(b, g.before...)
		if v == "" && g.optional {
			continue
		}
		b = appendQuoted(append(b, g.name...), v)
	}
	return append(b, w.end...), nil
}

// value renders what stands in a gap and makes sure that it may.
func (g *gap) value(f *frame) (string, error) {
	out, err := g.text.render(f)
	if err != nil {
		return "", err
	}
	return g.fit(out)
}

// fit is the last check of every value: the limits hold, links lead somewhere.
func (s *slot) fit(out string) (string, error) {
	if strings.TrimSpace(out) == "" {
		if s.optional || s.blank {
			return "", nil
		}
		return "", refuse(CodeEmpty, "Nothing is left to say to this contact.")
	}
	switch s.form {
	case webLink, facebookLink:
		out = strings.ReplaceAll(strings.TrimSpace(out), " ", "%20")
		if !leads(out) {
			return "", refuse(CodeBadURL, "A link would lead nowhere for this contact.")
		}
	case phoneNumber:
		if out = strings.TrimSpace(out); !dialled.MatchString(out) {
			return "", refuse(CodeBadPhone, "A number could not be called for this contact.")
		}
	}
	if len(out) > s.limit && utf8.RuneCountInString(out) > s.limit {
		return "", refuse(CodeTooLong, "The text is too long for this contact.")
	}
	return out, nil
}

var dialled = regexp.MustCompile(`^\+[1-9][0-9 ()./-]{5,25}$`)

func leads(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != ""
}

// appendQuoted adds s as a JSON string. Most are plain characters.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			quoted, _ := json.Marshal(s) // a string cannot fail
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

// draft writes a wire.
type draft struct {
	c     *compiler
	buf   []byte
	gaps  []gap
	comma bool // before what comes next
	taps  bool // there is something to tap
}

func (d *draft) wire() wire { return wire{gaps: d.gaps, end: d.buf} }

func (d *draft) separate() {
	if d.comma {
		d.buf = append(d.buf, ',')
	}
	d.comma = true
}

func (d *draft) open(bracket byte) {
	d.separate()
	d.buf, d.comma = append(d.buf, bracket), false
}

func (d *draft) shut(bracket byte) { d.buf, d.comma = append(d.buf, bracket), true }

func (d *draft) name(name string) {
	d.separate()
	d.buf, d.comma = append(appendQuoted(d.buf, name), ':'), false
}

// literal writes JSON as it is.
func (d *draft) literal(value string) {
	d.separate()
	d.buf = append(d.buf, value...)
}

func (d *draft) member(name, value string) {
	d.name(name)
	d.separate()
	d.buf = appendQuoted(d.buf, value)
}

// filled writes a member whose value is a template. It returns the template as
// read; nil when it is not good.
func (d *draft) filled(name, pointer, source string, s slot) *text {
	g, t := d.gap(pointer, source, s)
	if t == nil {
		return nil
	}
	start := len(d.buf)
	d.name(name)
	g.name = append(g.name, d.buf[start:]...)
	d.buf = d.buf[:start]
	d.place(g)
	return t
}

// place writes a value: one that is the same for everybody at once.
func (d *draft) place(g gap) {
	d.comma = true
	if fixed := g.text.fixed(); g.text.constant() {
		if out, err := g.fit(fixed); err == nil {
			if out != "" || !g.optional {
				d.buf = appendQuoted(append(d.buf, g.name...), out)
			}
			return
		}
	}
	g.before, d.buf = d.buf, nil
	d.gaps = append(d.gaps, g)
}

// gap reads a template and checks what can be known of it before it is filled.
func (d *draft) gap(pointer, source string, s slot) (gap, *text) {
	c := d.c
	t := c.read(pointer, source)
	if t == nil {
		return gap{}, nil
	}
	g := gap{slot: s, text: c.bind(t, s.mode)}
	before := len(c.fields)
	c.checkFits(pointer, g.text, s)
	if s.form == webLink || s.form == facebookLink {
		c.checkHost(pointer, t, s.form)
	}
	if g.text.constant() && len(c.fields) == before {
		c.checkConstant(pointer, g)
	}
	return g, t
}

func (c *compiler) checkFits(pointer string, t *template, s slot) {
	if !s.optional && !s.blank {
		c.checkText(pointer, t, s.limit)
	} else if utf8.RuneCountInString(t.fixed()) > s.limit {
		c.fail(pointer, "too_long", "At most %d characters fit here.", s.limit)
	}
}

// checkConstant finds what would be refused for every contact.
func (c *compiler) checkConstant(pointer string, g gap) {
	if _, err := g.fit(g.text.fixed()); err == nil {
		return
	}
	switch g.form {
	case webLink, facebookLink:
		c.fail(pointer, "bad_url", "This is not a full address.")
	case phoneNumber:
		c.fail(pointer, "bad_phone", "Write the number with + and the country code, such as +442071838750.")
	default:
		c.fail(pointer, "too_long", "At most %d characters fit here.", g.limit)
	}
}

var onFacebook = regexp.MustCompile(`^https://([a-z0-9-]+\.)*facebook\.com/`)

// checkHost takes a fixed host, or one of our own links: a contact's value must
// not decide where a link leads.
func (c *compiler) checkHost(pointer string, t *text, want form) {
	switch {
	case len(t.pieces) == 0: // said already
	case want == facebookLink && !onFacebook.MatchString(t.pieces[0].text):
		c.fail(pointer, "bad_url", "Only media that are on Facebook already can be shown by their address; upload others for an attachment_id.")
	case !c.leadsSomewhere(t.pieces):
		c.fail(pointer, "bad_url", "Write an address that starts with https:// and a host, or {{ link }}.")
	}
}
