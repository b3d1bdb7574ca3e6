package contact

import (
	"bytes"
	"fmt"
	"strings"

	"beckon/internal/fault"
)

// csvRecord is one record read from the front of some data.
type csvRecord struct {
	cells []string
	size  int  // bytes, line end included
	lines int  // physical lines
	open  bool // a quote is not closed, or stands where none may
}

// readRecord reads the record at the front of data. A quote opens a cell only
// at its start and closes it only before a comma or a line end: anything else
// is a quote out of balance, and guessing further would eat other lines.
func readRecord(data []byte, comma byte) csvRecord {
	r := csvRecord{lines: 1}
	for {
		cell, n, spans, ok := readCell(data[r.size:], comma)
		r.size, r.lines = r.size+n, r.lines+spans
		if !ok || r.size > maxRecord || r.lines > maxSpan {
			r.open = true
			return r
		}
		r.cells = append(r.cells, cell)
		if r.size == len(data) {
			return r
		}
		r.size++
		if data[r.size-1] == '\n' {
			return r
		}
		if r.size == len(data) { // a comma at the very end
			r.cells = append(r.cells, "")
			return r
		}
	}
}

// readCell reads a cell up to, and without, the comma or line feed after it.
func readCell(data []byte, comma byte) (cell string, size, spans int, ok bool) {
	if len(data) == 0 || data[0] != '"' {
		n := 0
		for n < len(data) && data[n] != comma && data[n] != '\n' {
			n++
		}
		return strings.TrimSuffix(string(data[:n]), "\r"), n, 0, true
	}
	var b strings.Builder
	for at := 1; at <= maxRecord; {
		n := bytes.IndexByte(data[at:min(len(data), maxRecord)], '"')
		if n < 0 {
			break
		}
		b.Write(data[at : at+n])
		spans += bytes.Count(data[at:at+n], []byte{'\n'})
		at += n + 1
		if at < len(data) && data[at] == '"' {
			b.WriteByte('"')
			at++
			continue
		}
		if rest := data[at:]; bytes.HasPrefix(rest, []byte("\r\n")) || len(rest) == 1 && rest[0] == '\r' {
			at++
		}
		return b.String(), at, spans, at == len(data) || data[at] == comma || data[at] == '\n'
	}
	return "", 0, 0, false
}

// csvReader splits a CSV body into records. A record may span lines only if it
// closes, soon, with as many cells as there are columns; if not, only its
// first line is refused and reading goes on at the next one.
type csvReader struct {
	*source
	comma byte
	width int
}

func (c *csvReader) next(line int64) (record, int, error) {
	if err := c.fill(maxRecord + 1); err != nil {
		return record{}, 0, err
	}
	out := record{line: line}
	r := readRecord(c.rest, c.comma)
	if r.open || r.lines > 1 && len(r.cells) != c.width {
		raw, long, err := c.line(maxRecord)
		if code, detail := "open_quote", "A quote is not closed, or stands inside a cell."; long {
			out.refuse("", "too_long", "Must have at most 64 KB.")
		} else if len(bytes.TrimSpace(raw)) > 0 {
			out.refuse("", code, detail)
		}
		return out, 1, err
	}
	c.take(r.size)
	switch {
	case blank(r.cells):
		out.blank = true
	case len(r.cells) != c.width:
		out.refuse("", "wrong_columns", fmt.Sprintf("Has %d columns instead of %d.", len(r.cells), c.width))
	default:
		out.cells = r.cells
	}
	return out, r.lines, nil
}

func blank(cells []string) bool {
	for _, c := range cells {
		if strings.TrimSpace(c) != "" {
			return false
		}
	}
	return true
}

// record is one line of an import: what it says, or why it is refused.
type record struct {
	line   int64
	raw    []byte   // NDJSON
	cells  []string // CSV
	blank  bool
	fields []fault.Field
	// unclear: cells speak of the channel, but do not say yes or no.
	unclear struct{ sms, email bool }
}

func (r *record) refuse(pointer, code, detail string) {
	r.fields = append(r.fields, fault.Field{Pointer: pointer, Code: code, Detail: detail})
}

// sniff finds the delimiter of a header line: the one that stands in it most
// often outside quotes.
func sniff(header []byte) byte {
	best, most := byte(','), 0
	for _, comma := range []byte(",;\t") {
		n, quoted := 0, false
		for _, ch := range header {
			quoted = quoted != (ch == '"')
			if ch == comma && !quoted {
				n++
			}
		}
		if n > most {
			best, most = comma, n
		}
	}
	return best
}

// readHeader takes the line of names from the front of a CSV body.
func (s *source) readHeader() (names []string, comma byte, lines int, err error) {
	if err := s.fill(maxRecord + 1); err != nil {
		return nil, 0, 0, err
	}
	first, _, _ := bytes.Cut(s.rest[:min(len(s.rest), maxRecord)], []byte{'\n'})
	comma = sniff(first)
	if sep, ok := bytes.CutPrefix(bytes.TrimSuffix(first, []byte("\r")), []byte("sep=")); ok && len(sep) == 1 { // Excel says so
		comma, lines = sep[0], 1
		s.take(min(len(first)+1, len(s.rest)))
	}
	r := readRecord(s.rest, comma)
	if r.open {
		return nil, comma, 0, nil
	}
	s.take(r.size)
	return r.cells, comma, lines + r.lines, nil
}
