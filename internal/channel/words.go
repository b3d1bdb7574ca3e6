package channel

import (
	"strings"
	"unicode"
)

// Words is what somebody said as words in lower case, one space between them and
// no punctuation but apostrophes.
func Words(said string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(said), func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '\''
	}), " ")
}
