package content

import (
	"slices"
	"strings"

	"github.com/osteele/liquid"
)

// maxOutput is the most that one hole may write, and the longest value that
// filters may build, in bytes. It is far over what any channel takes.
const maxOutput = 1 << 16

// hole is a part of a template that differs from contact to contact. A plain
// variable, with or without a default, is looked up; the engine does the rest.
type hole struct {
	mode mode
	key  string // holes with the same key write the same

	field    field    // a string variable, or
	attr     []string // a path into the attributes, or
	fallback string   // with either: what to write in place of nothing
	def      bool

	word word // one of the words of the footer, or

	template *liquid.Template // anything else

	// before and after are line breaks that stand there only if the hole says
	// something; one that has them stands on lines of its own.
	before, after string
}

func (h *hole) render(f *frame) (string, error) {
	out, err := h.value(f)
	if h.before+h.after == "" || err != nil {
		return out, err
	}
	if strings.TrimSpace(out) == "" {
		return "", nil
	}
	return h.before + out + h.after, nil
}

func (h *hole) value(f *frame) (string, error) {
	switch {
	case h.template != nil:
		return h.run(f)
	case h.field != noField:
		v := f.vars.get(h.field)
		if v == "" {
			v = h.fallback
		}
		return h.mode.write(v), nil
	case h.word != noWord:
		return h.mode.write(f.footer(h.fallback).get(h.word)), nil
	}
	v := f.attribute(h.attr)
	if h.def && blank(v) {
		v = h.fallback
	}
	return h.mode.write(show(v)), nil
}

func (h *hole) run(f *frame) (string, error) {
	out, err := run(h.template, f.bindings())
	if err != nil {
		return "", err
	}
	switch h.mode {
	case line:
		return oneLine(out), nil
	case derived:
		return h.flat(out), nil
	}
	return out, nil
}

// flat is the text of HTML that a hole wrote. What stands on lines of its own is
// tidied; a paragraph there ends with an empty line.
func (h *hole) flat(source string) string {
	switch {
	case h.before+h.after == "":
		return spacedBreak.ReplaceAllString(textOf(source), "\n")
	case h.after == "\n" && blockEnds.MatchString(source):
		return tidy(textOf(source)) + "\n"
	}
	return tidy(textOf(source))
}

// part is fixed text followed by a hole; the last part of a template may have
// none.
type part struct {
	text string
	hole *hole
}

// template is a compiled text.
type template struct{ parts []part }

// render writes the text for one contact.
func (t *template) render(f *frame) (string, error) {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
		if p.hole == nil {
			continue
		}
		v, err := p.hole.render(f)
		if err != nil {
			return "", refuse(CodeRenderFailed, "An expression fails on the values of this contact.")
		}
		b.WriteString(v)
	}
	return b.String(), nil
}

// add appends fixed text.
func (t *template) add(text string) {
	switch n := len(t.parts); {
	case text == "":
	case n > 0 && t.parts[n-1].hole == nil:
		t.parts[n-1].text += text
	default:
		t.parts = append(t.parts, part{text: text})
	}
}

// join appends another template.
func (t *template) join(o *template) {
	for _, p := range o.parts {
		t.add(p.text)
		if p.hole != nil {
			t.place(p.hole)
		}
	}
}

// place appends a hole.
func (t *template) place(h *hole) {
	if n := len(t.parts); n > 0 && t.parts[n-1].hole == nil {
		t.parts[n-1].hole = h
		return
	}
	t.parts = append(t.parts, part{hole: h})
}

// fixed is the text without its holes.
func (t *template) fixed() string {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.text)
	}
	return b.String()
}

// constant reports whether the text is the same for everybody.
func (t *template) constant() bool {
	return !slices.ContainsFunc(t.parts, func(p part) bool { return p.hole != nil })
}

// empty reports whether the text can never say anything.
func (t *template) empty() bool {
	for _, p := range t.parts {
		if p.hole != nil || strings.TrimSpace(p.text) != "" {
			return false
		}
	}
	return true
}
