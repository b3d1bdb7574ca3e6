package content

import (
	"regexp"
	"strconv"
	"strings"
	"sync"
	texttemplate "text/template"

	"beckon"
)

// The limits of what the layout shows, in characters.
const (
	MaxPreheader   = 250
	MaxButtonTitle = 60
)

// gmailShows is how much of an e-mail Gmail shows, in bytes of HTML, with a
// margin for what is filled in and for how it is encoded on the way.
const gmailShows = 95_000

var (
	wholeDocument = regexp.MustCompile(`(?i)<(!doctype|html|head|body)[\s>]`)
	languageTag   = regexp.MustCompile(`^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$`)
)

// The layout is made for text/template: html/template would drop the comments
// by which Outlook is spoken to. All that is put into it is escaped here.
var layouts = sync.OnceValues(func() (*texttemplate.Template, error) {
	return texttemplate.New("").Option("missingkey=error").ParseFS(beckon.Templates, "templates/email.html", "templates/email.txt")
})

// sheet is what the layout is filled with; each text is fit to stand in HTML,
// or in plain text. Template texts are places.
type sheet struct {
	Language, Direction, Start      string
	Name, Note                      string
	Place                           []string // where the sender can be found, its first line being their name
	Preheader, Padding, Body        string
	Button, Link                    string
	WordsLanguage, Why, Unsubscribe string
	UnsubscribeURL                  string
}

// based reports whether the base layout goes around an e-mail, and notes what
// cannot be without it or with it.
func (c *compiler) based(src *Email) bool {
	whole := wholeDocument.MatchString(src.HTML)
	switch src.Layout {
	case "", LayoutBase:
		if !whole {
			return true
		}
		if src.Layout == LayoutBase {
			c.fail(pointerEmail+"/layout", "whole_document", "The html is a whole document: leave its <html>, <head> and <body> out, or choose the layout none.")
			return true
		}
	case LayoutNone:
	default:
		c.fail(pointerEmail+"/layout", "not_allowed", "Must be base or none.")
		return true
	}
	const why = "Has no place without the base layout, which does not go around a whole document either."
	if src.Preheader != "" {
		c.fail(pointerEmail+"/preheader", "needs_layout", why)
	}
	if src.Button != nil {
		c.fail(pointerEmail+"/button", "needs_layout", why)
	}
	return false
}

// frills are what the layout shows beside the body: plain text, and the same
// written for HTML. They are nil where there is none.
type frills struct {
	preheader   *text
	title, bare *text
}

func (c *compiler) frills(src *Email) (out frills) {
	if src.Language != "" && !languageTag.MatchString(src.Language) {
		c.fail(pointerEmail+"/language", "bad_format", "Must be a language tag, for example en or pt-BR.")
	}
	if strings.TrimSpace(src.Preheader) != "" {
		out.preheader, _ = c.words(pointerEmail+"/preheader", src.Preheader, MaxPreheader)
	}
	if src.Button != nil {
		out.title, out.bare = c.words(pointerEmail+"/button/title", src.Button.Title, MaxButtonTitle)
	}
	return out
}

// words reads a line of plain text, as it is and written for HTML.
func (c *compiler) words(pointer, source string, limit int) (markup, bare *text) {
	bare = c.read(pointer, strings.TrimSpace(oneLine(source)))
	if bare == nil {
		return nil, nil
	}
	c.checkText(pointer, c.bind(bare, plain), limit)
	return c.read(pointer, escaped(bare.tokens)), bare
}

// dress puts the base layout around the parts of an e-mail.
func (c *compiler) dress(m *mail, src *Email, f frills) {
	m.html = c.layout("email.html", markup, m.html, src.Language, f)
	m.text = c.layout("email.txt", plain, m.text, src.Language, f)
	if f.title != nil {
		m.title = c.bind(f.title, markup)
	}
}

// layout puts one part of an e-mail into the layout of that name.
func (c *compiler) layout(name string, how mode, body *template, language string, f frills) *template {
	var p places
	words := func(w word) string { return p.put(&template{parts: []part{{hole: wordHole(w, language, how)}}}) }
	field := func(f field, name string) string {
		return p.put(&template{parts: []part{{hole: &hole{mode: how, field: f, key: name + "|false|"}}}})
	}
	s := sheet{Language: how.write(strings.ReplaceAll(language, "_", "-")), Direction: "ltr", Start: "left", Padding: padding(),
		Name: how.write(c.sender.Name), Note: how.write(c.sender.Note), Body: p.put(body), Link: field(fieldLink, "link"),
		WordsLanguage: words(wordLanguage), Why: words(wordWhy), Unsubscribe: words(wordUnsubscribe), UnsubscribeURL: field(fieldUnsubscribe, "unsubscribe_url")}
	if rightToLeft(language) {
		s.Direction, s.Start = "rtl", "right"
	}
	for _, l := range c.sender.place() {
		s.Place = append(s.Place, how.write(l))
	}
	switch {
	case f.title == nil:
	case how == markup:
		s.Button = p.put(c.bind(f.title, how))
	default:
		s.Button = p.put(c.bind(f.bare, how))
	}
	if f.preheader != nil && how == markup {
		s.Preheader = p.put(c.bind(f.preheader, how))
	}
	var b strings.Builder
	all, err := layouts()
	if err == nil {
		err = all.ExecuteTemplate(&b, name, s)
	}
	if err != nil {
		c.fail(pointerEmail+"/layout", "unsupported", "The layout of this program is broken.")
	}
	return p.fill(strings.TrimSpace(b.String()) + "\n")
}

// places are where compiled texts go in a layout, which carries them as numbers
// between control characters.
type places struct{ texts []*template }

func (p *places) put(t *template) string {
	p.texts = append(p.texts, t)
	return placeOpen + strconv.Itoa(len(p.texts)-1) + placeClose
}

// fill puts the texts in their places.
func (p *places) fill(laid string) *template {
	out := &template{}
	for i, s := range strings.Split(laid, placeOpen) {
		if i > 0 {
			number, after, _ := strings.Cut(s, placeClose)
			n, _ := strconv.Atoi(number)
			out.join(p.texts[n])
			s = after
		}
		out.add(s)
	}
	return out
}

// padding follows a preheader, so that no mail program fills its line up with
// what comes next in the e-mail.
func padding() string { return strings.Repeat("&#8199;&#847;&zwnj; ", 60) }

// place is the lines of the postal address, with the name above them unless the
// address begins with it.
func (s Sender) place() (out []string) {
	for l := range strings.Lines(s.Postal) {
		out = append(out, strings.TrimSpace(l))
	}
	rest, named := strings.CutPrefix(s.Postal, s.Name)
	switch {
	case s.Name == "":
		return out
	case named && strings.HasPrefix(rest, ","):
		out[0] = strings.TrimSpace(strings.TrimPrefix(strings.TrimPrefix(out[0], s.Name), ","))
	case named && (rest == "" || rest[0] == '\n'):
		return out
	}
	return append([]string{s.Name}, out...)
}

func (s Sender) clean() Sender {
	return Sender{Name: strings.TrimSpace(oneLine(clean(s.Name))), Postal: strings.TrimSpace(clean(s.Postal)), Note: strings.TrimSpace(oneLine(clean(s.Note)))}
}
