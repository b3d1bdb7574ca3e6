package content

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"beckon/internal/channel"
)

// inAlphabet returns a text in the alphabet of SMS if look-alikes of the
// characters that are not in it are enough for that, and if it takes no more
// segments so; else the text as it is. Nothing that is read in another way -
// letters with other accents, other scripts, emoji - is ever replaced.
func inAlphabet(text string) string {
	if !wide(text) {
		return text
	}
	var b strings.Builder
	for _, r := range norm.NFC.String(text) {
		alike, known := lookAlike(r)
		switch {
		case channel.Septets(r) > 0:
			b.WriteRune(r)
		case known:
			b.WriteString(alike)
		default:
			return text
		}
	}
	if out := b.String(); strings.TrimSpace(out) != "" && gsmParts(out) <= leastWideParts(text) {
		return out
	}
	return text
}

// firstWide returns the first character that keeps a text out of the alphabet.
func firstWide(text string, asWritten bool) (rune, bool) {
	if !asWritten {
		text = norm.NFC.String(text)
	}
	for _, r := range text {
		_, known := lookAlike(r)
		if channel.Septets(r) == 0 && (asWritten || !known) {
			return r, true
		}
	}
	return 0, false
}

func (s *SMS) asWritten() bool { return s != nil && s.Normalise != nil && !*s.Normalise }

func wide(text string) bool {
	return strings.ContainsFunc(text, func(r rune) bool { return channel.Septets(r) == 0 })
}

// gsmParts is how many parts a text in the alphabet is sent in: 160 septets alone,
// 153 in each of several.
func gsmParts(text string) int {
	total, n, used := 0, 1, 0
	for _, r := range text {
		c := channel.Septets(r)
		total += c
		if used += c; used > 153 {
			n, used = n+1, c
		}
	}
	if total <= 160 {
		return 1
	}
	return n
}

// leastWideParts is the least that a text in UCS-2 can be sent in: 70 units alone,
// 67 in each of several.
func leastWideParts(text string) int {
	units := utf8.RuneCountInString(text)
	for _, r := range text {
		units += utf16.RuneLen(r) - 1
	}
	if units <= 70 {
		return 1
	}
	return (units + 66) / 67
}

// lookAlike returns what in the alphabet of SMS reads the same as a character
// that is not in it: "" for one that is not seen at all.
func lookAlike(r rune) (string, bool) {
	for _, l := range lookAlikes() {
		if strings.ContainsRune(l.of, r) {
			return l.as, true
		}
	}
	return "", false
}

type alike struct{ as, of string }

// lookAlikes are typographic forms of characters of the alphabet, as text editors
// and phones put them in of their own accord.
func lookAlikes() [15]alike {
	return [...]alike{
		{"'", "\u2018\u2019\u201a\u201b\u2032\u2035\u02b9\u02bb\u02bc\u02c8\u00b4\u0060\uff07"},
		{`"`, "\u201c\u201d\u201e\u201f\u2033\u2036\u02ba\u00ab\u00bb\u301d\u301e\uff02"},
		{"-", "\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\ufe58\ufe63\uff0d"},
		{"...", "\u2026"},
		{" ", "\t\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"},
		{"\n", "\u0085\u2028\u2029\v"},
		{"", "\u00ad\u200b\u200c\u200d\u2060\ufe0e\ufeff"},
		{"<", "\u2039"},
		{">", "\u203a"},
		{"/", "\u2044\u2215"},
		{"*", "\u2022\u2217\u2219"},
		{"1/4", "\u00bc"},
		{"1/2", "\u00bd"},
		{"3/4", "\u00be"},
		{"x", "\u00d7"},
	}
}
