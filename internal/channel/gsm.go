package channel

import "strings"

// What GSM-7 knows outside ASCII, and what costs it two septets.
const (
	gsmBeyondASCII = "£¥èéùìòÇØøÅåΔΦΓΛΩΠΨΣΘΞÆæßÉ¤¡ÄÖÑÜ§¿äöñüà"
	gsmExtended    = "\f^{}\\[~]|€"
)

// Septets is what a character costs in GSM-7, the alphabet of SMS (3GPP TS
// 23.038): 1, or 2 for those of the extension table; 0 when it does not exist
// there, so that the whole text goes out in UCS-2.
func Septets(r rune) int {
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
