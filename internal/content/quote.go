package content

import "github.com/osteele/liquid/parser"

// checkQuotes finds variables that stand as an attribute without quotes, where
// a value with a space in it would become attributes of its own.
func (c *compiler) checkQuotes(t *text) {
	if t == nil {
		return
	}
	var s scanner
	for _, tok := range live(t.tokens) {
		switch tok.Type {
		case parser.TextTokenType:
			s.read(tok.Source)
		case parser.ObjTokenType:
			if s.bare() && tok.Args != "link" && tok.Args != "unsubscribe_url" {
				c.fail(t.pointer, "unquoted", "Line %d: put quotes around the attribute.", tok.SourceLoc.LineNo)
			}
			s.last = 'x'
		}
	}
}

// scanner follows HTML just enough to know whether it is inside a tag, and
// inside quotes there.
type scanner struct {
	tag   bool
	quote rune
	last  rune // the last character that is not space
}

func (s *scanner) read(html string) {
	for _, r := range html {
		switch {
		case s.quote != 0:
			if r == s.quote {
				s.quote = 0
			}
		case !s.tag:
			s.tag = s.last == '<' && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z')
		case r == '>':
			s.tag = false
		case r == '"' || r == '\'':
			s.quote = r
		}
		if r > ' ' {
			s.last = r
		}
	}
}

func (s *scanner) bare() bool { return s.tag && s.quote == 0 && s.last == '=' }
