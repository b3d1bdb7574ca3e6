package sms

import (
	"strings"
	"unicode/utf16"
)

// How much fits into one message, and into each part of a longer one.
const (
	gsmSingle, gsmPart = 160, 153 // septets
	ucsSingle, ucsPart = 70, 67   // UTF-16 units
)

// What GSM-7 knows outside ASCII, and what costs it two septets.
const (
	gsmBeyondASCII = "£¥èéùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà"
	gsmExtended    = "\f^{}\\[~]|€"
)

// Segments counts the parts in which a text is sent and billed: in GSM-7 when
// every character of it allows that, else in UCS-2. A character is never split
// over two parts.
func Segments(text string) int {
	if strings.ContainsFunc(text, func(r rune) bool { return septets(r) == 0 }) {
		return parts(text, utf16.RuneLen, ucsSingle, ucsPart)
	}
	return parts(text, septets, gsmSingle, gsmPart)
}

// septets is what a character costs in GSM-7, 0 when it does not exist there.
func septets(r rune) int {
	switch {
	case strings.ContainsRune(gsmExtended, r):
		return 2
	case r == '\n' || r == '\r' || r >= ' ' && r <= '~' && r != '`':
		return 1
	case r > '~' && strings.ContainsRune(gsmBeyondASCII, r):
		return 1
	}
	return 0
}

func parts(text string, cost func(rune) int, single, part int) int {
	total, n, used := 0, 1, 0
	for _, r := range text {
		c := cost(r)
		total += c
		if used += c; used > part {
			n, used = n+1, c
		}
	}
	switch {
	case total == 0:
		return 0
	case total <= single:
		return 1
	}
	return n
}
