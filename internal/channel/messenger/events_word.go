package messenger

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// word is a text as Meta writes it: ids come as strings and as numbers. What no
// database keeps is left out.
type word string

// UnmarshalJSON reads a string, a number or null; anything else is an error.
func (w *word) UnmarshalJSON(raw []byte) error {
	if len(raw) > 0 && (raw[0] == '-' || raw[0] >= '0' && raw[0] <= '9') {
		*w = word(raw)
		return nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return err
	}
	*w = word(kept(text))
	return nil
}

// kept is a text without the one character that no database keeps.
func kept(text string) string { return strings.ReplaceAll(text, "\x00", "") }

// simple is a word of Meta's vocabulary: in lower case, with a single form for
// "STOP NOTIFICATIONS" and "STOP_NOTIFICATIONS".
func (w word) simple() string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimSpace(string(w))), " ", "_")
}

func words(in []word) (out []string) {
	for _, w := range in {
		if w != "" {
			out = append(out, string(w))
		}
	}
	return out
}

func isNull(raw json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(raw), []byte("null")) }

// The end of the year 9999 in seconds, past which nothing is a time, and the
// value from which milliseconds are meant.
const (
	lastSecond     = 253402300799
	inMilliseconds = 1e12
)

// moment is a time as Meta writes it: milliseconds mostly, seconds at times,
// and as a string now and then.
type moment struct{ time.Time }

// UnmarshalJSON reads a number, one in quotes, or null; a number that is no time
// is the zero time, and anything else is an error.
func (m *moment) UnmarshalJSON(raw []byte) error {
	var n json.Number
	if err := json.Unmarshal(raw, &n); err != nil {
		return err
	}
	v, err := n.Float64()
	switch {
	case err == nil && v >= 1 && v <= lastSecond:
		m.Time = time.Unix(int64(v), 0).UTC()
	case err == nil && v >= inMilliseconds && v <= lastSecond*1000:
		m.Time = time.UnixMilli(int64(v)).UTC()
	default:
		m.Time = time.Time{}
	}
	return nil
}

// momentOf reads a time that nothing depends on: one that cannot be read is the
// zero time.
func momentOf(raw json.RawMessage) time.Time {
	var m moment
	if len(raw) == 0 || json.Unmarshal(raw, &m) != nil {
		return time.Time{}
	}
	return m.Time
}
