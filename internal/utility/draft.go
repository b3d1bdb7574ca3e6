package utility

import (
	"encoding/json"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/fault"
)

// The kinds of Button.
const (
	Postback = "postback" // its payload is said by each campaign
	URL      = "url"
	Phone    = "phone_number"
)

// The limits of a template, in characters.
const (
	maxBody    = 1024
	maxTitle   = 20
	maxButtons = 3
	maxExample = 1000
)

// Draft is a utility template to be made. Its body has holes such as {{day}}, or
// {{1}}, {{2}} and so on; Meta wants an example for each.
type Draft struct {
	Name     string // lower-case letters, digits and underscores
	Language string // for example en or en_GB
	Body     string
	Examples map[string]string // by the name of the hole
	Buttons  []Button
}

// Button is a button under the message. A URL or Phone is the same for everybody.
type Button struct {
	Type  string
	Title string
	URL   string
	Phone string
}

var (
	names     = regexp.MustCompile(`^[a-z0-9_]{1,512}$`)
	languages = regexp.MustCompile(`^[a-z]{2,3}(_[A-Za-z]{2,4})?$`)
	phones    = regexp.MustCompile(`^\+[1-9][0-9]{5,14}$`)
	webs      = regexp.MustCompile(`^https?://[^\s{}]+$`)
)

func field(bad *[]fault.Field, ok bool, pointer, code, detail string) {
	if !ok {
		*bad = append(*bad, fault.Field{Pointer: pointer, Code: code, Detail: detail})
	}
}

func (d Draft) check() error {
	var bad []fault.Field
	field(&bad, names.MatchString(d.Name), "/name", "pattern", "Must be lower-case letters, digits and underscores.")
	field(&bad, languages.MatchString(d.Language), "/language", "pattern", "Must be a language as Meta writes it, such as en or en_GB.")
	field(&bad, fits(d.Body, maxBody), "/body", "length", "Must be a text of 1 to 1024 characters.")
	bad = append(bad, d.checkExamples()...)
	field(&bad, len(d.Buttons) <= maxButtons, "/buttons", "too_many", "At most 3 are possible.")
	for i, b := range d.Buttons {
		bad = append(bad, b.check("/buttons/"+strconv.Itoa(i))...)
	}
	return fault.InvalidFields(bad...)
}

func (d Draft) checkExamples() (bad []fault.Field) {
	holes := content.HolesIn(d.Body)
	numbered := 0
	for _, h := range holes {
		if _, err := strconv.Atoi(h); err == nil {
			numbered++
		}
		field(&bad, fits(d.Examples[h], maxExample), "/examples/"+h, "required", "Meta wants an example of what stands in this hole.")
	}
	field(&bad, numbered == 0 || numbered == len(holes) && slices.IsSorted(holes), "/body", "mixed_holes", "Holes have names, or all have numbers: {{1}}, {{2}} and so on, in this order.")
	for name := range d.Examples {
		field(&bad, slices.Contains(holes, name), "/examples/"+strings.NewReplacer("~", "~0", "/", "~1").Replace(name), "not_allowed", "The body has no hole of this name.")
	}
	slices.SortFunc(bad, func(a, b fault.Field) int { return strings.Compare(a.Pointer, b.Pointer) })
	return bad
}

func (b Button) check(at string) (bad []fault.Field) {
	field(&bad, fits(b.Title, maxTitle), at+"/title", "length", "Must be a text of 1 to 20 characters.")
	field(&bad, slices.Contains([]string{Postback, URL, Phone}, b.Type), at+"/type", "enum", "Must be postback, url or phone_number.")
	field(&bad, (b.Type == URL) == (b.URL != "") && (b.URL == "" || webs.MatchString(b.URL)), at+"/url", "bad_url", "A button of type url, and no other, has a full address without holes.")
	field(&bad, (b.Type == Phone) == (b.Phone != "") && (b.Phone == "" || phones.MatchString(b.Phone)), at+"/phone_number", "bad_phone", "A button of type phone_number, and no other, has a number such as +442071838750.")
	return bad
}

func fits(s string, most int) bool {
	return strings.TrimSpace(s) != "" && utf8.RuneCountInString(s) <= most && utf8.ValidString(s) && !strings.Contains(s, "\x00")
}

// The wire form of a template (Meta, "Send a utility message").
type (
	wirePart struct {
		Type    string       `json:"type"`
		Text    string       `json:"text,omitempty"`
		Example *wireExample `json:"example,omitempty"`
		Buttons []wireButton `json:"buttons,omitempty"`
	}
	wireExample struct {
		Named    []wireNamed `json:"body_text_named_params,omitempty"`
		Numbered [][]string  `json:"body_text,omitempty"`
	}
	wireNamed struct {
		Name    string `json:"param_name"`
		Example string `json:"example"`
	}
	wireButton struct {
		Type  string `json:"type"`
		Text  string `json:"text"`
		URL   string `json:"url,omitempty"`
		Phone string `json:"phone_number,omitempty"`
	}
)

// template writes the draft in Meta's form.
func (d Draft) template() channel.Template {
	body := wirePart{Type: "BODY", Text: d.Body}
	t := channel.Template{Name: d.Name, Language: d.Language, Category: "UTILITY"}
	if holes := content.HolesIn(d.Body); len(holes) > 0 {
		body.Example, t.Format = d.example(holes)
	}
	parts := []wirePart{body}
	if len(d.Buttons) > 0 {
		p := wirePart{Type: "BUTTONS"}
		for _, b := range d.Buttons {
			p.Buttons = append(p.Buttons, wireButton{Type: strings.ToUpper(b.Type), Text: b.Title, URL: b.URL, Phone: b.Phone})
		}
		parts = append(parts, p)
	}
	t.Components, _ = json.Marshal(parts) // strings cannot fail
	return t
}

func (d Draft) example(holes []string) (*wireExample, string) {
	var named []wireNamed
	var numbered []string
	for _, h := range holes {
		named, numbered = append(named, wireNamed{h, d.Examples[h]}), append(numbered, d.Examples[h])
	}
	if _, err := strconv.Atoi(holes[0]); err == nil {
		return &wireExample{Numbered: [][]string{numbered}}, "POSITIONAL"
	}
	return &wireExample{Named: named}, "NAMED"
}
