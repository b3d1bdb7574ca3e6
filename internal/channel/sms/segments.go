package sms

import (
	"iter"
	"strings"
	"unicode/utf16"

	"beckon/internal/channel"
)

// How much fits into one message, and into each part of a longer one.
const (
	gsmSingle, gsmPart = 160, 153 // septets
	ucsSingle, ucsPart = 70, 67   // UTF-16 units
)

// Segments counts the parts in which a text is sent and billed: in GSM-7 when
// every character of it allows that, else in UCS-2. It counts as Twilio's own
// calculator does: what a reader sees as one character is not split over two
// parts, and an empty text is one.
func Segments(text string) int {
	if strings.ContainsFunc(text, func(r rune) bool { return channel.Septets(r) == 0 }) {
		if length(text) <= ucsSingle {
			return 1
		}
		return parts(units(text), ucsSingle, ucsPart)
	}
	return parts(costs(text, channel.Septets), gsmSingle, gsmPart)
}

// costs is what each character of a text costs.
func costs(text string, cost func(rune) int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for _, r := range text {
			if !yield(cost(r)) {
				return
			}
		}
	}
}

// length is how many UTF-16 units a text has.
func length(text string) (n int) {
	for _, r := range text {
		n += utf16.RuneLen(r)
	}
	return n
}

// units is how many UTF-16 units stay together, for each cluster of a text. One
// that is longer than a part has to be split all the same.
func units(text string) iter.Seq[int] {
	return func(yield func(int) bool) {
		for cluster := range clusters(text) {
			n := length(cluster)
			whole := func(each func(int) bool) { each(n) }
			if n > ucsPart {
				whole = costs(cluster, utf16.RuneLen)
			}
			for c := range whole {
				if !yield(c) {
					return
				}
			}
		}
	}
}

// parts fills one part after the other with pieces that are not to be split.
func parts(pieces iter.Seq[int], single, part int) int {
	total, n, used := 0, 1, 0
	for c := range pieces {
		total += c
		if used += c; used > part {
			n, used = n+1, c
		}
	}
	if total <= single {
		return 1
	}
	return n
}
