package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// screen is what the demo is told on. On a terminal it has colours and a line
// that changes; anywhere else it is plain text.
type screen struct {
	out    io.Writer
	colour bool
	live   bool
	told   time.Time // when progress was last written on a plain screen
	step   int
}

func newScreen(out io.Writer, environ []string) *screen {
	live := isTerminal(out) && !slices.Contains(environ, "TERM=dumb")
	noColour := slices.ContainsFunc(environ, func(v string) bool { return strings.HasPrefix(v, "NO_COLOR=") && v != "NO_COLOR=" })
	return &screen{out: out, live: live, colour: live && !noColour}
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// The colours, as terminals know them.
const (
	bold  = "1"
	dim   = "2"
	red   = "31"
	green = "32"
	blue  = "36"
)

func (s *screen) paint(colour, text string) string {
	if !s.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

// title opens the next part of the story.
func (s *screen) title(text string) {
	s.step++
	fmt.Fprintf(s.out, "\n%s  %s\n", s.paint(blue, fmt.Sprintf("%2d", s.step)), s.paint(bold, text))
}

func (s *screen) say(format string, args ...any) {
	fmt.Fprintf(s.out, "    "+format+"\n", args...)
}

// gap is an empty line.
func (s *screen) gap() { fmt.Fprintln(s.out) }

func (s *screen) aside(format string, args ...any) {
	fmt.Fprintf(s.out, "    %s\n", s.paint(dim, fmt.Sprintf(format, args...)))
}

// quote shows what somebody received, line by line.
func (s *screen) quote(text string) {
	for line := range strings.Lines(text) {
		fmt.Fprintln(s.out, strings.TrimRight("      "+s.paint(blue, "|")+" "+strings.TrimRight(line, "\r\n"), " "))
	}
}

// progress overwrites itself on a terminal and is seldom elsewhere.
func (s *screen) progress(text string) {
	switch now := time.Now(); {
	case s.live:
		fmt.Fprintf(s.out, "\r\x1b[K    %s", text)
	case now.Sub(s.told) >= time.Second:
		s.told = now
		s.say("%s", text)
	}
}

// progressed ends the line that changes.
func (s *screen) progressed(text string) {
	if s.live {
		fmt.Fprint(s.out, "\r\x1b[K")
	}
	s.told = time.Time{}
	s.say("%s", text)
}

// row is a line of a table: what it counts, how many, and a remark.
func (s *screen) row(what string, n int, remark string) {
	s.line(what, fmt.Sprintf("%9s", thousands(n)), remark)
}

// sum is a row in bold below a line.
func (s *screen) sum(what string, n int, remark string) {
	s.say("%s", s.paint(dim, strings.Repeat("-", 46)))
	s.line(s.paint(bold, what)+pad(what, 36), s.paint(bold, fmt.Sprintf("%9s", thousands(n))), remark)
}

func (s *screen) line(what, n, remark string) {
	if remark != "" {
		remark = "   " + s.paint(dim, remark)
	}
	s.say("%s%s %s%s", what, pad(what, 36), n, remark)
}

// check shows what was held against what, and whether it was so.
func (s *screen) check(ok bool, format string, args ...any) {
	mark := s.paint(green, "ok  ")
	if !ok {
		mark = s.paint(red, "FAIL")
	}
	s.say("%s %s", mark, fmt.Sprintf(format, args...))
}

func pad(text string, width int) string {
	return strings.Repeat(" ", max(width-utf8.RuneCountInString(text), 0))
}

// thousands writes 12345 as 12,345.
func thousands(n int) string {
	digits := fmt.Sprint(n)
	for at := len(digits) - 3; at > 0 && digits[at-1] != '-'; at -= 3 {
		digits = digits[:at] + "," + digits[at:]
	}
	return digits
}

// many is a number with its word: "1 person", "12 people".
func many(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return thousands(n) + " " + more
}
