package content

import (
	"regexp"
	"strings"
)

// lexeme is one word of a Liquid expression.
type lexeme struct {
	kind byte // one of the constants below
	text string
}

const (
	lexName     = 'i' // contact
	lexProperty = 'p' // .first_name, without the dot
	lexKeyword  = 'k' // default:, without the colon
	lexString   = 's' // without its quotes
	lexNumber   = 'n'
	lexSign     = 'o' // == | , ( …
)

type lexer struct{ words *regexp.Regexp }

// newLexer follows the grammar of the engine's own scanner, which does not give
// its tokens away.
func newLexer() lexer {
	const name = `[A-Za-z_][A-Za-z0-9_-]*\??`
	return lexer{regexp.MustCompile(`^(?:\s+|(` + name + `):|(` + name + `)|\.(` + name + `)|"([^"]*)"|'([^']*)'|(-?\d+(?:\.\d+)?)|(==|!=|>=|<=|\.\.|[<>|,:()\[\]=]))`)}
}

// split returns the words of an expression; ok is false when a character has no
// place in one.
func (l lexer) split(expr string) (out []lexeme, ok bool) {
	for expr != "" {
		m := l.words.FindStringSubmatchIndex(expr)
		if m == nil {
			return nil, false
		}
		for group, kind := range []byte{lexKeyword, lexName, lexProperty, lexString, lexString, lexNumber, lexSign} {
			if from, to := m[2*group+2], m[2*group+3]; from >= 0 {
				out = append(out, lexeme{kind, expr[from:to]})
			}
		}
		expr = expr[m[1]:]
	}
	return out, true
}

func (x lexeme) is(kind byte, text string) bool { return x.kind == kind && x.text == text }

// uses is what an expression refers to.
type uses struct {
	paths   [][]string // contact.attributes.city → three names
	filters []string
	ranges  bool
}

// usesOf collects what the words refer to.
func usesOf(words []lexeme) (u uses) {
	for i := 0; i < len(words); i++ {
		switch w := words[i]; {
		case w.is(lexSign, "|") && i+1 < len(words):
			i++
			u.filters = append(u.filters, words[i].text)
		case w.is(lexSign, ".."):
			u.ranges = true
		case w.kind == lexName && !reserved(w.text):
			path := pathAt(words[i:])
			u.paths = append(u.paths, path)
		}
	}
	return u
}

// pathAt reads a variable with its properties: a.b['c'].d
func pathAt(words []lexeme) []string {
	path := []string{words[0].text}
	for i := 1; i < len(words); i++ {
		switch {
		case words[i].kind == lexProperty:
			path = append(path, words[i].text)
		case i+2 < len(words) && words[i].is(lexSign, "[") && words[i+1].kind == lexString && words[i+2].is(lexSign, "]"):
			path = append(path, words[i+1].text)
			i += 2
		default:
			return path
		}
	}
	return path
}

// reserved are the names that are not variables. The engine reads empty and
// blank as variables that are never set, which is what a comparison with them
// needs, as missing values are not set either.
func reserved(name string) bool {
	switch name {
	case "true", "false", "nil", "null", "and", "or", "contains", "in", "reversed", "empty", "blank":
		return true
	}
	return false
}

func dotted(path []string) string { return strings.Join(path, ".") }
