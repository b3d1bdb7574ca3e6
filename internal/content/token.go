package content

import (
	"slices"
	"strings"
	"unicode"

	"github.com/osteele/liquid/parser"
)

// piece is a stretch of a template: fixed text, or a hole.
type piece struct {
	text string
	hole []parser.Token // one output or one whole block; nil for fixed text
}

// pieces cuts a template at its top level: the text between the holes is fixed,
// each hole stands for itself.
type pieces struct {
	out  []piece
	trim bool // a -}} or -%} was just read
	glue bool // the next hole trims, or is trimmed by, the one before: they are one
}

// cut splits the tokens of a template that the engine has accepted.
func cut(tokens []parser.Token) []piece {
	var p pieces
	for i := 0; i < len(tokens); {
		end := i + 1
		switch t := tokens[i]; t.Type {
		case parser.TextTokenType:
			p.addText(t.Source)
		case parser.TrimLeftTokenType:
			p.trimLeft()
		case parser.TrimRightTokenType:
			p.trim = true
		case parser.ObjTokenType:
			p.addHole(tokens[i:end])
		case parser.TagTokenType:
			end = blockEnd(tokens, i)
			p.addTag(t.Name, tokens[i:end])
		}
		i = end
	}
	return p.out
}

func (p *pieces) addTag(name string, block []parser.Token) {
	switch name {
	case "comment":
	case "raw":
		p.addText(sourceOf(block[1 : len(block)-1]))
	default:
		p.addHole(block)
	}
}

func (p *pieces) addText(text string) {
	if p.trim {
		text = strings.TrimLeftFunc(text, unicode.IsSpace)
	}
	p.trim, p.glue = false, false
	if n := len(p.out); n > 0 && p.out[n-1].hole == nil {
		p.out[n-1].text += text
	} else if text != "" {
		p.out = append(p.out, piece{text: text})
	}
}

func (p *pieces) trimLeft() {
	n := len(p.out)
	if n == 0 {
		return
	}
	if last := &p.out[n-1]; last.hole == nil {
		last.text = strings.TrimRightFunc(last.text, unicode.IsSpace)
		return
	}
	p.glue = true
}

func (p *pieces) addHole(block []parser.Token) {
	n := len(p.out)
	if (p.glue || p.trim) && n > 0 && p.out[n-1].hole != nil {
		p.out[n-1].hole = slices.Concat(p.out[n-1].hole, block)
	} else {
		p.out = append(p.out, piece{hole: block})
	}
	p.trim, p.glue = false, false
}

// blockEnd returns the index after the end of the tag or block at i.
func blockEnd(tokens []parser.Token, i int) int {
	name := tokens[i].Name
	if name == "raw" || name == "comment" {
		for j := i + 1; j < len(tokens); j++ {
			if isTag(tokens[j], "end"+name) {
				return j + 1
			}
		}
		return len(tokens)
	}
	if !opensBlock(name) {
		return i + 1
	}
	for j := i + 1; j < len(tokens); {
		switch {
		case isTag(tokens[j], "end"+name):
			return j + 1
		case tokens[j].Type == parser.TagTokenType:
			j = blockEnd(tokens, j)
		default:
			j++
		}
	}
	return len(tokens)
}

func isTag(t parser.Token, name string) bool {
	return t.Type == parser.TagTokenType && t.Name == name
}

func opensBlock(name string) bool {
	switch name {
	case "if", "unless", "case", "for", "capture":
		return true
	}
	return false
}

// live yields the tokens that the engine acts on: what stands in a comment or
// as raw text is left out.
func live(tokens []parser.Token) (out []parser.Token) {
	for i := 0; i < len(tokens); i++ {
		if isTag(tokens[i], "raw") || isTag(tokens[i], "comment") {
			i = blockEnd(tokens, i) - 1
			continue
		}
		out = append(out, tokens[i])
	}
	return out
}

func sourceOf(tokens []parser.Token) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t.Source)
	}
	return b.String()
}
