package content

import (
	"fmt"
	"html"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/k3a/html2text"
	"github.com/osteele/liquid/parser"
)

var (
	anchorTag      = regexp.MustCompile(`(?is)<a(\s[^>]*)?>`)
	anchorHref     = regexp.MustCompile(`(?i)\shref\s*=\s*("[^"]+"|'[^']+'|[^\s"'>]+)`)
	linkAfterLabel = regexp.MustCompile(` <([^<>\s]+)>`)
	spacedBreak    = regexp.MustCompile(`[ \t]*\n[ \t]*`)
	emptyLines     = regexp.MustCompile(`\n{3,}`)
	address        = regexp.MustCompile(`https?://[^\s<>"']+[^\s<>"'.,;:!?)]`)
	blockStarts    = regexp.MustCompile(`(?i)<(p|li|h[1-6]|div|table|ul|ol|blockquote)[\s>]`)
	blockEnds      = regexp.MustCompile(`(?i)</(p|h[1-6]|ul|ol|table|blockquote)\s*>\s*$`)
	paragraphBreak = regexp.MustCompile(`\n[ \t]*\n\s*`)
)

// textFrom makes the text part of an e-mail out of its HTML. Holes keep their
// places; a hole that writes HTML of its own is turned into text when filled.
func (c *compiler) textFrom(t *text) *template {
	written, flattened := c.bind(t, plain), c.bind(t, derived)
	var holes []*hole
	var b strings.Builder
	for i, p := range written.parts {
		b.WriteString(strings.NewReplacer(placeOpen, "", placeClose, "").Replace(p.text))
		if p.hole == nil {
			continue
		}
		if p.hole.template != nil && !c.single(t, len(holes)) {
			p.hole = flattened.parts[i].hole
		}
		same := slices.IndexFunc(holes, func(h *hole) bool { return h.key == p.hole.key })
		if same < 0 {
			same = len(holes)
		}
		holes = append(holes, p.hole)
		b.WriteString(placeOpen + strconv.Itoa(same) + placeClose)
	}
	out := fill(tidy(textOf(b.String())), holes)
	out.apart()
	return out
}

// apart gives the line breaks around holes that stand on lines of their own to
// the holes: so one that says nothing leaves no empty lines behind.
func (t *template) apart() {
	start := true // of a line
	for i := range t.parts {
		p := &t.parts[i]
		if p.text != "" {
			start = strings.HasSuffix(p.text, "\n")
		}
		if p.hole == nil || !start {
			start = false
			continue
		}
		next := &t.parts[i+1].text // fill leaves a part after each hole
		h := *p.hole
		h.after = (*next)[:len(*next)-len(strings.TrimLeft(*next, "\n"))]
		if block := h.mode == derived && blockStarts.MatchString(h.key); block && h.after == "" && strings.HasPrefix(*next, " ") {
			h.after, *next = "\n", "\n"+(*next)[1:] // HTML breaks the line here itself
		}
		*next = (*next)[len(h.after):]
		if h.after == "" && *next == "" && i+2 == len(t.parts) { // nothing comes after it
			cut := strings.TrimRight(p.text, "\n")
			h.before, p.text = p.text[len(cut):], cut
		}
		start = h.after != ""
		if h.before+h.after != "" {
			h.key += fmt.Sprintf("|%q|%q", h.before, h.after)
			p.hole = &h
		}
	}
}

// A hole travels through the conversion as a number between two control
// characters that the converter passes on.
const (
	placeOpen  = "\x0e"
	placeClose = "\x0f"
)

// fill puts the holes back in their places.
func fill(flat string, holes []*hole) *template {
	out := &template{}
	for i, s := range strings.Split(flat, placeOpen) {
		if i == 0 {
			out.parts = append(out.parts, part{text: s})
			continue
		}
		number, after, _ := strings.Cut(s, placeClose)
		n, _ := strconv.Atoi(number)
		out.parts[len(out.parts)-1].hole = holes[n]
		out.parts = append(out.parts, part{text: after})
	}
	return out
}

// single reports whether the n-th hole is one output that writes no HTML.
func (c *compiler) single(t *text, n int) bool {
	for _, p := range t.pieces {
		if p.hole == nil || silent(p.hole) {
			continue
		}
		if n--; n < 0 {
			return len(p.hole) == 1 && p.hole[0].Type == parser.ObjTokenType && !c.mentions(t, p.hole) &&
				!strings.Contains(p.hole[0].Args, "newline_to_br") && !strings.Contains(p.hole[0].Args, "escape")
		}
	}
	return false
}

// textOf turns a stretch of HTML into text. Space at its ends is kept: words
// beside it must not run together.
func textOf(source string) string {
	out := html2text.HTML2TextWithOptions(anchors(source), html2text.WithUnixLineBreaks(),
		html2text.WithLinksInnerText(), html2text.WithListSupport())
	if source != "" && strings.ContainsRune(" \t\r\n", rune(source[0])) && !strings.HasPrefix(out, " ") {
		out = " " + out
	}
	return out
}

// anchors removes the <a> tags that lead nowhere: the converter would swallow
// all text after one.
func anchors(source string) string {
	return anchorTag.ReplaceAllStringFunc(source, func(tag string) string {
		tag = oneLine(tag)
		if !anchorHref.MatchString(tag) {
			return "<i>"
		}
		return tag
	})
}

// tidy makes the converter's output pleasant: no address twice, no more than
// one empty line, no space before a line break.
func tidy(text string) string {
	var b strings.Builder
	for text != "" {
		m := linkAfterLabel.FindStringSubmatchIndex(text)
		if m == nil {
			break
		}
		b.WriteString(text[:m[0]])
		if address := text[m[2]:m[3]]; !strings.HasSuffix(b.String(), address) {
			b.WriteString(text[m[0]:m[1]])
		}
		text = text[m[1]:]
	}
	out := spacedBreak.ReplaceAllString(b.String()+text, "\n")
	return strings.TrimSpace(emptyLines.ReplaceAllString(out, "\n\n"))
}

// htmlFrom writes plain text as an HTML template: escaped, in paragraphs, with
// links to tap. Outputs and tags stay as they are.
func htmlFrom(tokens []parser.Token) string {
	var b strings.Builder
	b.WriteString("<p>")
	for i := 0; i < len(tokens); i++ {
		switch t := tokens[i]; {
		case isTag(t, "raw"), isTag(t, "comment"):
			end := blockEnd(tokens, i)
			b.WriteString(t.Source + html.EscapeString(sourceOf(tokens[i+1:end-1])) + tokens[end-1].Source)
			i = end - 1
		case t.Type == parser.TextTokenType:
			b.WriteString(paragraphs(t.Source, i+1 < len(tokens)))
		case t.Type == parser.ObjTokenType && (t.Args == "link" || t.Args == "unsubscribe_url"):
			b.WriteString(`<a href="` + t.Source + `">` + t.Source + `</a>`)
		default:
			b.WriteString(t.Source)
		}
	}
	return b.String() + "</p>"
}

// escaped writes a template of plain text as one of HTML.
func escaped(tokens []parser.Token) string {
	var b strings.Builder
	for i := 0; i < len(tokens); i++ {
		switch t := tokens[i]; {
		case isTag(t, "raw"), isTag(t, "comment"):
			end := blockEnd(tokens, i)
			b.WriteString(t.Source + html.EscapeString(sourceOf(tokens[i+1:end-1])) + tokens[end-1].Source)
			i = end - 1
		case t.Type == parser.TextTokenType:
			b.WriteString(html.EscapeString(t.Source))
		default:
			b.WriteString(t.Source)
		}
	}
	return b.String()
}

// paragraphs escapes text. An address that touches a following hole may go on
// there, and is left to the mail program to find.
func paragraphs(text string, more bool) string {
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	var b strings.Builder
	at := 0
	for _, m := range address.FindAllStringIndex(text, -1) {
		if more && m[1] == len(text) {
			break
		}
		to := html.EscapeString(text[m[0]:m[1]])
		b.WriteString(html.EscapeString(text[at:m[0]]) + `<a href="` + to + `">` + to + `</a>`)
		at = m[1]
	}
	b.WriteString(html.EscapeString(text[at:]))
	out := paragraphBreak.ReplaceAllString(b.String(), "</p>\r<p>")
	return strings.NewReplacer("\n", "<br>\n", "\r", "\n").Replace(out)
}
