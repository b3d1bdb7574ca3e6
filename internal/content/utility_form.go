package content

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"beckon/internal/fault"
)

// Form is what a utility template asks of a message.
type Form struct {
	Holes     []string // names of the holes in its body, or their numbers, each once
	Postbacks int      // how many of its buttons send a payload back
	Foreign   string   // what of it cannot be filled in from here; "" when all can
}

// templatePart is a part of a template, as Meta writes them.
type templatePart struct {
	Type    string `json:"type"`
	Text    string `json:"text"`
	Buttons []struct {
		Type string `json:"type"`
		URL  string `json:"url"`
	} `json:"buttons"`
}

var (
	holes       = regexp.MustCompile(`\{\{\s*([A-Za-z0-9_]+)\s*\}\}`)
	errTemplate = errors.New("the components of a template cannot be read")
)

// HolesIn names the holes of a template's text, in their order, each once.
func HolesIn(text string) []string {
	var out []string
	for _, found := range holes.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(out, found[1]) {
			out = append(out, found[1])
		}
	}
	return out
}

// ReadForm reads the components of a utility template.
func ReadForm(components []byte) (Form, error) {
	var parts []templatePart
	if err := json.Unmarshal(components, &parts); err != nil {
		return Form{}, errTemplate
	}
	var f Form
	for _, p := range parts {
		switch strings.ToLower(p.Type) {
		case "body":
			f.Holes = HolesIn(p.Text)
		case "buttons":
			for _, b := range p.Buttons {
				if strings.EqualFold(b.Type, "postback") {
					f.Postbacks++
				}
				f.foreign("address of a button", b.URL)
			}
		default:
			f.foreign(strings.ToLower(p.Type), p.Text)
		}
	}
	return f, nil
}

func (f *Form) foreign(where, text string) {
	if len(HolesIn(text)) > 0 {
		f.Foreign = where
	}
}

// Fits returns what is wrong with a utility message for a template of that
// form; pointers start at /content.
func (u *Utility) Fits(f Form) []fault.Field {
	var bad []fault.Field
	if f.Foreign != "" {
		bad = append(bad, fault.Field{Pointer: pointerUtility + "/template", Code: "template_unsupported",
			Detail: "The template has a hole in its " + f.Foreign + ", which Beckon cannot fill in."})
	}
	for _, name := range f.Holes {
		if _, given := u.Parameters[name]; !given {
			bad = append(bad, fault.Field{Pointer: pointerUtility + "/parameters/" + pointerPart(name), Code: "required", Detail: "The template has a hole of this name."})
		}
	}
	for name := range u.Parameters {
		if !slices.Contains(f.Holes, name) {
			bad = append(bad, fault.Field{Pointer: pointerUtility + "/parameters/" + pointerPart(name), Code: "not_allowed", Detail: "The template has no hole of this name."})
		}
	}
	if len(u.Buttons) != f.Postbacks {
		bad = append(bad, fault.Field{Pointer: pointerUtility + "/buttons", Code: "wrong_number",
			Detail: fmt.Sprintf("One payload is wanted for each button of the template that sends one back, and it has %d of them.", f.Postbacks)})
	}
	slices.SortFunc(bad, func(a, b fault.Field) int { return cmp.Compare(a.Pointer, b.Pointer) })
	return bad
}

// placeOf is the place of a numbered hole.
func placeOf(name string) (n int, numbered bool) {
	n, err := strconv.Atoi(name)
	return n, err == nil
}

// byPlace sorts numbered holes by number, others by name.
func byPlace(a, b string) int {
	m, _ := placeOf(a)
	n, _ := placeOf(b)
	return cmp.Or(cmp.Compare(m, n), cmp.Compare(a, b))
}

// pointerPart writes a name as a part of a JSON pointer.
func pointerPart(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}
