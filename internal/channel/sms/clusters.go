package sms

import (
	"iter"
	"unicode"
	"unicode/utf8"
)

// kind is what a character is to its neighbours: the Grapheme_Cluster_Break
// property of Unicode 10 (UAX 29), which Twilio's calculator goes by. What has
// been added to Unicode since is told by Go's tables.
type kind uint8

const (
	other kind = iota
	control
	prepended // belongs to what follows
	extending // belongs to what comes before
	joiner    // U+200D
	spacing   // a mark with a width of its own
	regional  // half of a flag
	person    // may have a colour of skin, and
	relative  // may be joined to others as well
	skin      // a colour of skin
	glued     // may follow a joiner
	hangulL
	hangulV
	hangulT
	hangulLV
	hangulLVT
)

// clusters splits a text into what a reader sees as one character each. A line
// break in two characters is two.
func clusters(text string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start, c := 0, cluster{}
		for at, r := range text {
			k := kindOf(r)
			if at > 0 && !c.takes(k) {
				if !yield(text[start:at]) {
					return
				}
				start, c = at, cluster{}
			}
			c.add(k)
		}
		if start < len(text) {
			yield(text[start:])
		}
	}
}

// cluster is what is known of the one that is being put together.
type cluster struct {
	before, last kind
	extended     bool // something in it was extended
	flags        int
}

func (c *cluster) add(k kind) {
	c.before, c.last = c.last, k
	c.extended = c.extended || k == extending
	if k == regional {
		c.flags++
	}
}

// takes reports whether the next character belongs to the cluster.
func (c *cluster) takes(next kind) bool {
	switch {
	case c.last == control || next == control:
		return false
	case next == extending, next == joiner, next == spacing, c.last == prepended:
		return true
	case next == skin:
		return c.mayHaveSkin()
	case c.last == joiner:
		return next == glued || next == relative
	case next == regional:
		return c.last == regional && c.flags%2 == 1
	}
	return syllable(c.last, next)
}

// mayHaveSkin reports whether a colour of skin belongs to the cluster. Where
// something was extended, only what stands right before that is looked at: the
// second of a couple has her colour in a cluster of its own.
func (c *cluster) mayHaveSkin() bool {
	of := c.last
	if c.extended {
		if c.last != extending {
			return false
		}
		of = c.before
	}
	return of == person || of == relative
}

// syllable reports whether two Hangul characters make one.
func syllable(last, next kind) bool {
	switch last {
	case hangulL:
		return next == hangulL || next == hangulV || next == hangulLV || next == hangulLVT
	case hangulV, hangulLV:
		return next == hangulV || next == hangulT
	case hangulT, hangulLVT:
		return next == hangulT
	}
	return false
}

func kindOf(r rune) kind {
	switch {
	case r < ' ' || r >= 0x7f && r < 0xa0, r == 0xad:
		return control
	case r < 0x300 || r >= 0x370 && r < 0x483 || r >= 0x4e00 && r < 0xa000: // most of what is written has no marks
		return other
	case r >= 0x1100 && r <= 0xd7fb:
		if k := hangul(r); k != other {
			return k
		}
	}
	if k := emoji(r); k != other {
		return k
	}
	return mark(r)
}

// emoji knows the characters of which pictures are put together.
func emoji(r rune) kind {
	switch {
	case r >= 0x1f1e6 && r <= 0x1f1ff:
		return regional
	case r >= 0x1f3fb && r <= 0x1f3ff:
		return skin
	case r >= 0x1f466 && r <= 0x1f469:
		return relative
	case unicode.Is(persons, r):
		return person
	case unicode.Is(glues, r):
		return glued
	}
	return other
}

// mark knows what is no character by itself.
func mark(r rune) kind {
	switch {
	case r == utf8.RuneError:
		return other
	case r == 0x200d:
		return joiner
	case unicode.Is(prepends, r):
		return prepended
	case r == 0x200c, unicode.In(r, unicode.Mn, unicode.Me, unicode.Other_Grapheme_Extend), r >= 0xe0020 && r <= 0xe007f:
		return extending
	case r == 0xe33, r == 0xeb3, unicode.Is(unicode.Mc, r) && !unicode.Is(wide, r):
		return spacing
	case unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp), r >= 0xe0000 && r <= 0xe0fff, r >= 0xfff0 && r <= 0xfff8, r == 0x2065:
		return control
	}
	return other
}

func hangul(r rune) kind {
	switch {
	case r <= 0x115f, r >= 0xa960 && r <= 0xa97c:
		return hangulL
	case r <= 0x11a7, r >= 0xd7b0 && r <= 0xd7c6:
		return hangulV
	case r <= 0x11ff, r >= 0xd7cb:
		return hangulT
	case r < 0xac00 || r > 0xd7a3:
		return other
	case (r-0xac00)%28 == 0:
		return hangulLV
	}
	return hangulLVT
}

// Tables of Unicode 10, which are never written to.
var (
	persons = &unicode.RangeTable{
		R16: []unicode.Range16{{0x261d, 0x261d, 1}, {0x26f9, 0x26f9, 1}, {0x270a, 0x270d, 1}},
		R32: []unicode.Range32{
			{0x1f385, 0x1f385, 1}, {0x1f3c2, 0x1f3c4, 1}, {0x1f3c7, 0x1f3c7, 1}, {0x1f3ca, 0x1f3cc, 1}, {0x1f442, 0x1f443, 1}, {0x1f446, 0x1f450, 1},
			{0x1f46e, 0x1f46e, 1}, {0x1f470, 0x1f478, 1}, {0x1f47c, 0x1f47c, 1}, {0x1f481, 0x1f483, 1}, {0x1f485, 0x1f487, 1}, {0x1f4aa, 0x1f4aa, 1},
			{0x1f574, 0x1f575, 1}, {0x1f57a, 0x1f57a, 1}, {0x1f590, 0x1f590, 1}, {0x1f595, 0x1f596, 1}, {0x1f645, 0x1f647, 1}, {0x1f64b, 0x1f64f, 1},
			{0x1f6a3, 0x1f6a3, 1}, {0x1f6b4, 0x1f6b6, 1}, {0x1f6c0, 0x1f6c0, 1}, {0x1f6cc, 0x1f6cc, 1}, {0x1f918, 0x1f91c, 1}, {0x1f91e, 0x1f91f, 1},
			{0x1f926, 0x1f926, 1}, {0x1f930, 0x1f939, 1}, {0x1f93d, 0x1f93e, 1}, {0x1f9d1, 0x1f9dd, 1},
		},
	}
	glues = &unicode.RangeTable{
		R16: []unicode.Range16{{0x2640, 0x2642, 2}, {0x2695, 0x2696, 1}, {0x2708, 0x2708, 1}, {0x2764, 0x2764, 1}},
		R32: []unicode.Range32{
			{0x1f308, 0x1f308, 1}, {0x1f33e, 0x1f33e, 1}, {0x1f373, 0x1f373, 1}, {0x1f393, 0x1f393, 1}, {0x1f3a4, 0x1f3a8, 4}, {0x1f3eb, 0x1f3ed, 2},
			{0x1f48b, 0x1f48b, 1}, {0x1f4bb, 0x1f4bc, 1}, {0x1f527, 0x1f52c, 5}, {0x1f5e8, 0x1f5e8, 1}, {0x1f680, 0x1f692, 18},
		},
	}
	prepends = &unicode.RangeTable{
		R16: []unicode.Range16{{0x600, 0x605, 1}, {0x6dd, 0x6dd, 1}, {0x70f, 0x70f, 1}, {0x8e2, 0x8e2, 1}, {0xd4e, 0xd4e, 1}},
		R32: []unicode.Range32{{0x110bd, 0x110bd, 1}, {0x111c2, 0x111c3, 1}, {0x11a3a, 0x11a3a, 1}, {0x11a86, 0x11a89, 1}, {0x11d46, 0x11d46, 1}},
	}
	// wide are marks that stand for themselves.
	wide = &unicode.RangeTable{
		R16: []unicode.Range16{
			{0x102b, 0x102c, 1}, {0x1038, 0x1038, 1}, {0x1062, 0x1064, 1}, {0x1067, 0x106d, 1}, {0x1083, 0x1083, 1}, {0x1087, 0x108c, 1}, {0x108f, 0x108f, 1},
			{0x109a, 0x109c, 1}, {0x1a61, 0x1a61, 1}, {0x1a63, 0x1a64, 1}, {0xaa7b, 0xaa7b, 1}, {0xaa7d, 0xaa7d, 1},
		},
	}
)
