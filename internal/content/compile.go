package content

import (
	"fmt"
	"slices"
	"strings"

	"github.com/osteele/liquid"
	"github.com/osteele/liquid/parser"

	"beckon/internal/fault"
)

// compiler gathers the mistakes of a whole Source while it compiles.
type compiler struct {
	lexer    lexer
	filters  []string
	engines  map[mode]*liquid.Engine // made when first asked for
	fields   []fault.Field
	warnings []Warning
	attrs    bool // some text uses contact.attributes
	sender   Sender
}

func newCompiler() *compiler {
	return &compiler{lexer: newLexer(), filters: filterNames(), engines: map[mode]*liquid.Engine{}}
}

func (c *compiler) engine(m mode) *liquid.Engine {
	if c.engines[m] == nil {
		c.engines[m] = newEngine(m)
	}
	return c.engines[m]
}

func (c *compiler) fail(pointer, code, format string, args ...any) {
	c.fields = append(c.fields, fault.Field{Pointer: pointer, Code: code, Detail: fmt.Sprintf(format, args...)})
}

func (c *compiler) warn(pointer, code, detail string) {
	c.warnings = append(c.warnings, Warning{Pointer: pointer, Code: code, Detail: detail})
}

// text is a template that was read and found good, not yet bound to a mode.
type text struct {
	pointer string
	tokens  []parser.Token
	pieces  []piece
	names   names
	links   bool // uses {{ link }}
	unsub   bool // uses {{ unsubscribe_url }}
}

// read checks a template. It returns nil, with the mistakes noted, when it is
// not good.
func (c *compiler) read(pointer, source string) *text {
	before := len(c.fields)
	t := &text{pointer: pointer, tokens: parser.Scan(source, parser.SourceLoc{LineNo: 1}, nil)}
	c.check(t)
	if len(c.fields) == before {
		c.checkSyntax(pointer, source)
	}
	if len(c.fields) > before {
		return nil
	}
	t.pieces = cut(t.tokens)
	return t
}

// checkSyntax lets the engine read the whole template.
func (c *compiler) checkSyntax(pointer, source string) {
	defer func() {
		if r := recover(); r != nil { // a number too large to read, for one
			c.fail(pointer, "bad_template", "Not valid Liquid.")
		}
	}()
	if _, err := c.engine(plain).ParseString(source); err != nil {
		c.fail(pointer, "bad_template", "Line %d: %s.", max(err.LineNumber(), 1), reason(err.Error()))
	}
}

// reason cuts the engine's message down to what is wrong: "Liquid error (line
// 1): syntax error in …".
func reason(message string) string {
	if _, after, ok := strings.Cut(message, ": "); ok {
		message = after
	}
	short, _, _ := strings.Cut(message, " in ")
	if tag, ok := strings.CutSuffix(short, " not inside "); ok {
		return tag + " closes nothing"
	}
	return short
}

// bind compiles the holes of a text for a mode. A template that assigns
// variables runs its assignments again, unseen, before each hole that uses one:
// so the text between the holes stays fixed.
func (c *compiler) bind(t *text, m mode) *template {
	out, before := &template{}, ""
	for _, p := range t.pieces {
		if p.hole == nil {
			out.parts = append(out.parts, part{text: p.text})
			continue
		}
		if silent(p.hole) {
			before += c.rewrite(t, p.hole)
			continue
		}
		h := c.hole(t, p.hole, before, m)
		if assigns(p.hole) {
			before += c.rewrite(t, p.hole)
		}
		if n := len(out.parts); n > 0 && out.parts[n-1].hole == nil {
			out.parts[n-1].hole = h
		} else {
			out.parts = append(out.parts, part{hole: h})
		}
	}
	return out
}

func (c *compiler) hole(t *text, tokens []parser.Token, before string, m mode) *hole {
	if h := c.quick(tokens); h != nil {
		h.mode = m
		return h
	}
	source := c.rewrite(t, tokens)
	if before != "" && c.mentions(t, tokens) {
		source = "{% capture " + discard + " %}" + before + "{% endcapture %}" + source
	}
	h := &hole{mode: m, key: source}
	compiled, err := c.engine(m).ParseString(source)
	if err != nil {
		c.fail(t.pointer, "bad_template", "Line %d: %s.", tokens[0].SourceLoc.LineNo, reason(err.Error()))
		return h
	}
	h.template = compiled
	c.rehearse(t.pointer, h)
	return h
}

// discard is the name that swallows what assignments write on the way.
const discard = "beckon_discard"

// rehearse fills a hole in for a contact of whom nothing is known.
func (c *compiler) rehearse(pointer string, h *hole) {
	_, err := h.run(&frame{vars: &Vars{}})
	switch {
	case err == nil:
	case strings.Contains(err.Error(), "wrong number of arguments"):
		c.fail(pointer, "bad_filter", "A filter is given too many arguments.")
	case !slices.ContainsFunc(c.warnings, func(w Warning) bool { return w.Pointer == pointer && w.Code == WarnFailsWithoutDetails }):
		c.warn(pointer, WarnFailsWithoutDetails, "An expression fails for contacts who lack a value it uses; they will not get this message.")
	}
}

// quick recognises {{ variable }} and {{ variable | default: 'text' }}, which
// need no engine.
func (c *compiler) quick(tokens []parser.Token) *hole {
	if len(tokens) != 1 || tokens[0].Type != parser.ObjTokenType {
		return nil
	}
	words, _ := c.lexer.split(tokens[0].Args)
	if len(words) == 0 || words[0].kind != lexName {
		return nil
	}
	h := &hole{}
	if n := len(words); n > 3 && words[n-3].is(lexSign, "|") && words[n-2].is(lexKeyword, "default") && words[n-1].kind == lexString {
		h.fallback, h.def = words[n-1].text, true
		words = words[:n-3]
	}
	path := pathAt(words)
	if len(words) != len(path) { // brackets, filters, conditions
		return nil
	}
	h.field = fieldOf(path)
	if h.field == noField && !h.walk(path) {
		return nil
	}
	h.key = fmt.Sprintf("%s|%t|%s", dotted(path), h.def, h.fallback)
	return h
}

// walk takes a path into the attributes, unless a part of it has a meaning of
// its own on lists and strings.
func (h *hole) walk(path []string) bool {
	if len(path) < 3 || path[0] != "contact" || path[1] != "attributes" {
		return false
	}
	h.attr = path[2:]
	return !slices.ContainsFunc(h.attr, func(s string) bool { return s == "size" || s == "first" || s == "last" })
}

// rewrite gives back the source of a hole with every output ending in the
// filter that writes it.
func (c *compiler) rewrite(t *text, tokens []parser.Token) string {
	var b strings.Builder
	for i := 0; i < len(tokens); i++ {
		tok := tokens[i]
		if isTag(tok, "raw") || isTag(tok, "comment") {
			end := blockEnd(tokens, i)
			b.WriteString(sourceOf(tokens[i:end]))
			i = end - 1
			continue
		}
		if tok.Type != parser.ObjTokenType {
			b.WriteString(tok.Source)
			continue
		}
		filter := filterOut
		if words, _ := c.lexer.split(tok.Args); len(words) == 1 && t.names.captured(words[0].text) {
			filter = filterRaw
		}
		left, right := trims(tok.Source)
		b.WriteString("{{" + left + " (" + tok.Args + ") | " + filter + " " + right + "}}")
	}
	return b.String()
}

func trims(source string) (left, right string) {
	if strings.HasPrefix(source, "{{-") {
		left = "-"
	}
	if strings.HasSuffix(source, "-}}") {
		right = "-"
	}
	return left, right
}
