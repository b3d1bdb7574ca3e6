package smtp

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strings"
)

// returnPath makes the address that a message is sent from, and that its bounces
// go to: bounces+<tag>@example.com. The tag holds the message's mark, and a proof
// of whom it was sent to: a bounce that somebody invents, or changes, names
// nobody else.
type returnPath struct {
	local, domain string         // "" without bounces of our own
	find          *regexp.Regexp // reads a tag back
	key           []byte
}

// Tags survive servers that change capital letters.
var tagCode = base32.StdEncoding.WithPadding(base32.NoPadding)

const (
	proofBytes = 5
	maxLocal   = 64 // of an address (RFC 5321)
)

func newReturnPath(address string) (returnPath, error) {
	if address == "" {
		return returnPath{}, nil
	}
	local, domain, _ := strings.Cut(address, "@")
	if !bare(address) || strings.ContainsAny(local, `+"`) {
		return returnPath{}, invalid("bounce_address", "The address for bounces must be an e-mail address without + in it: one is added for each message.")
	}
	if len(local) > 24 {
		return returnPath{}, invalid("bounce_address", "The address for bounces may have at most 24 characters before the @.")
	}
	find := regexp.MustCompile(`(?i)` + regexp.QuoteMeta(local) + `\+([a-z2-7]{10,60})@` + regexp.QuoteMeta(domain))
	return returnPath{local: local, domain: domain, find: find}, nil
}

// of is the address for one message; from, when bounces have none of their own.
func (r returnPath) of(from, mark, to string) string {
	if r.local == "" || mark == "" {
		if r.local == "" {
			return from
		}
		return r.local + "@" + r.domain
	}
	tag := strings.ToLower(tagCode.EncodeToString(append([]byte(mark), r.proof(mark, to)...)))
	if len(r.local)+1+len(tag) > maxLocal {
		return r.local + "@" + r.domain
	}
	return r.local + "+" + tag + "@" + r.domain
}

func (r returnPath) proof(mark, to string) []byte {
	h := hmac.New(sha256.New, r.key)
	h.Write([]byte("beckon bounce\x00" + mark + "\x00" + strings.ToLower(to)))
	return h.Sum(nil)[:proofBytes]
}

// tag is what a return path says.
type tag struct {
	mark  string
	proof []byte
}

// read finds the first tag in a text.
func (r returnPath) read(text []byte) (tag, bool) {
	if r.find == nil {
		return tag{}, false
	}
	m := r.find.FindSubmatch(text)
	if m == nil {
		return tag{}, false
	}
	raw, err := tagCode.DecodeString(strings.ToUpper(string(m[1])))
	if err != nil || len(raw) <= proofBytes {
		return tag{}, false
	}
	at := len(raw) - proofBytes
	return tag{mark: string(raw[:at]), proof: raw[at:]}, true
}

// proves reports whether the message with this tag was sent to an address.
func (r returnPath) proves(t tag, address string) bool {
	return len(r.key) > 0 && t.mark != "" && hmac.Equal(t.proof, r.proof(t.mark, address))
}
