package content

import (
	"slices"
	"strings"

	"github.com/osteele/liquid/parser"
)

// names are the variables that a template sets itself.
type names struct{ assign, capture []string }

func (n *names) known(name string) bool {
	return slices.Contains(n.assign, name) || slices.Contains(n.capture, name)
}

// captured reports whether a variable only ever holds what a capture wrote.
func (n *names) captured(name string) bool {
	return slices.Contains(n.capture, name) && !slices.Contains(n.assign, name)
}

// check notes every mistake that the engine would not, or would only find when
// it is too late: unknown variables and filters, tags that are not ours.
func (c *compiler) check(t *text) {
	tokens := live(t.tokens)
	c.collectNames(t, tokens)
	loops := 0
	for _, tok := range tokens {
		switch tok.Type {
		case parser.TextTokenType:
			if strings.Contains(tok.Source, "{{") || strings.Contains(tok.Source, "{%") {
				c.fail(t.pointer, "bad_template", "A {{ or {%% is not closed on its line.")
			}
		case parser.ObjTokenType:
			c.checkExpression(t, tok.Args)
		case parser.TagTokenType:
			loops += c.checkTag(t, tok, loops)
		}
	}
	c.checkClosed(t)
}

// collectNames runs first: a loop may use a name that is set further down.
func (c *compiler) collectNames(t *text, tokens []parser.Token) {
	for _, tok := range tokens {
		if tok.Type != parser.TagTokenType {
			continue
		}
		words, _ := c.lexer.split(tok.Args)
		if len(words) == 0 || words[0].kind != lexName {
			continue
		}
		name := words[0].text
		switch tok.Name {
		case "assign", "for":
			t.names.assign = append(t.names.assign, name)
		case "capture":
			t.names.capture = append(t.names.capture, name)
		default:
			continue
		}
		if reserved(name) || name == discard || slices.Contains(roots(), name) {
			c.fail(t.pointer, "reserved_name", "%s cannot be set.", name)
		}
	}
}

func roots() []string {
	return []string{"contact", "link", "unsubscribe_url", "page", "campaign", "sender", "forloop"}
}

// maxLoops keeps a list in the attributes from being gone through n × n × n
// times for every contact.
const maxLoops = 2

// checkTag checks one tag; it returns by how much the depth of loops changes.
func (c *compiler) checkTag(t *text, tok parser.Token, loops int) int {
	switch tok.Name {
	case "if", "unless", "elsif", "case", "when":
		c.checkExpression(t, tok.Args)
	case "assign":
		_, value, _ := strings.Cut(tok.Args, "=")
		c.checkExpression(t, value)
	case "for":
		_, list, _ := strings.Cut(tok.Args, " in ")
		c.checkExpression(t, list)
		if loops == maxLoops {
			c.fail(t.pointer, "unsupported", "Line %d: loops can be nested %d deep.", tok.SourceLoc.LineNo, maxLoops)
		}
		return 1
	case "capture":
		if words, ok := c.lexer.split(tok.Args); !ok || len(words) != 1 || words[0].kind != lexName {
			c.fail(t.pointer, "bad_template", "Line %d: capture needs one name.", tok.SourceLoc.LineNo)
		}
	case "endfor":
		return -1
	case "break", "continue", "cycle":
		if loops == 0 {
			c.fail(t.pointer, "bad_template", "Line %d: %s stands outside a loop.", tok.SourceLoc.LineNo, tok.Name)
		}
	case "else", "endif", "endunless", "endcase", "endcapture":
	default:
		c.fail(t.pointer, "unknown_tag", "Line %d: there is no tag %q here.", tok.SourceLoc.LineNo, tok.Name)
	}
	return 0
}

func (c *compiler) checkExpression(t *text, source string) {
	words, ok := c.lexer.split(source)
	if !ok || len(words) == 0 {
		c.fail(t.pointer, "bad_template", "An expression is not valid Liquid.")
		return
	}
	u := usesOf(words)
	if u.ranges {
		c.fail(t.pointer, "unsupported", "Ranges are not supported.")
	}
	for _, name := range u.filters {
		if !slices.Contains(c.filters, name) {
			c.fail(t.pointer, "unknown_filter", "There is no filter %q.", name)
		}
	}
	for _, path := range u.paths {
		c.checkPath(t, path)
	}
}

func (c *compiler) checkPath(t *text, path []string) {
	if !t.names.known(path[0]) && !knownPath(path) {
		c.fail(t.pointer, "unknown_variable", "There is no variable %q.", dotted(path))
		return
	}
	switch {
	case path[0] == "link":
		t.links = true
	case path[0] == "unsubscribe_url":
		t.unsub = true
	case path[0] == "contact" && path[1] == "attributes":
		c.attrs = true
	}
}

// knownPath reports whether Vars has such a variable. Attributes may be called
// anything.
func knownPath(path []string) bool {
	switch {
	case path[0] == "forloop":
		return true
	case path[0] == "contact" && len(path) > 1 && path[1] == "attributes":
		return true
	case len(path) > 1 && path[len(path)-1] == "size":
		path = path[:len(path)-1]
	}
	return fieldOf(path) != noField
}

// checkClosed finds raw and comment without an end; the engine takes them to
// run to the end of the text.
func (c *compiler) checkClosed(t *text) {
	for i := 0; i < len(t.tokens); i++ {
		if name := t.tokens[i].Name; isTag(t.tokens[i], "raw") || isTag(t.tokens[i], "comment") {
			i = blockEnd(t.tokens, i) - 1
			if !isTag(t.tokens[i], "end"+name) {
				c.fail(t.pointer, "bad_template", "Line %d: %s is not closed.", t.tokens[i].SourceLoc.LineNo, name)
			}
		}
	}
}

// assigns reports whether a hole sets a variable that outlives it.
func assigns(tokens []parser.Token) bool {
	return slices.ContainsFunc(live(tokens), func(t parser.Token) bool {
		return isTag(t, "assign") || isTag(t, "capture")
	})
}

// silent reports whether a hole does nothing but set a variable.
func silent(tokens []parser.Token) bool {
	return isTag(tokens[0], "assign") && len(tokens) == 1 ||
		isTag(tokens[0], "capture") && blockEnd(tokens, 0) == len(tokens)
}

// mentions reports whether a hole names a variable that the template sets.
func (c *compiler) mentions(t *text, tokens []parser.Token) bool {
	return slices.ContainsFunc(live(tokens), func(tok parser.Token) bool {
		words, _ := c.lexer.split(tok.Args)
		return slices.ContainsFunc(words, func(w lexeme) bool {
			return w.kind == lexName && t.names.known(w.text)
		})
	})
}
