package sms

import (
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// genuine checks a signature over the public URL and the form. Twilio signs
// the URL with or without a port, whichever it likes, so both are tried. The
// library's own check fails on repeated keys. Signatures are compared as they
// are written: in Base64 several texts may stand for the same bytes.
func genuine(token, publicURL string, body []byte, signature string) bool {
	var params string
	if digest := bodyDigest(publicURL); digest != "" {
		actual := sha256.Sum256(body)
		if subtle.ConstantTimeCompare([]byte(hex.EncodeToString(actual[:])), []byte(digest)) != 1 {
			return false
		}
	} else {
		form, err := url.ParseQuery(string(body))
		if err != nil || !allPairs(string(body)) {
			return false
		}
		params = signedParams(form)
	}
	ok := false
	for _, u := range spellings(publicURL) {
		mac := hmac.New(sha1.New, []byte(token))
		_, _ = io.WriteString(mac, u+params)
		right := base64.StdEncoding.EncodeToString(mac.Sum(nil))
		ok = subtle.ConstantTimeCompare([]byte(right), []byte(signature)) == 1 || ok
	}
	return ok
}

// bodyDigest returns what the URL says the body hashes to, which it does when
// the body is not a form.
func bodyDigest(publicURL string) string {
	u, err := url.Parse(publicURL)
	if err != nil {
		return ""
	}
	return strings.ToLower(u.Query().Get("bodySHA256"))
}

// allPairs reports whether every part of a form has a key and a value, if an
// empty one, as Twilio writes them. What is signed does not show where a key
// ends, so a form with "&" in place of "=" would pass as well.
func allPairs(body string) bool {
	for pair := range strings.SplitSeq(body, "&") {
		if body != "" && !strings.Contains(pair, "=") {
			return false
		}
	}
	return true
}

// signedParams joins keys and values as they are signed: sorted, each distinct
// value of a key once.
func signedParams(form url.Values) string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(form)) {
		values := slices.Compact(slices.Sorted(slices.Values(form[key])))
		for _, v := range values {
			b.WriteString(key)
			b.WriteString(v)
		}
	}
	return b.String()
}

// spellings returns the URL without and with a port. It is cut by hand, since
// the signature covers its bytes and a parsed URL may be put together again
// otherwise than it came.
func spellings(publicURL string) []string {
	publicURL, _, _ = strings.Cut(publicURL, "#")
	scheme, rest, ok := strings.Cut(publicURL, "://")
	if !ok {
		return []string{publicURL}
	}
	end := len(rest)
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		end = i
	}
	authority, tail := rest[:end], rest[end:]
	host := authority
	if i := strings.LastIndexByte(authority, ':'); i > strings.LastIndexAny(authority, "@]") {
		host = authority[:i]
	}
	if host != authority {
		return []string{publicURL, scheme + "://" + host + tail}
	}
	port := ":80"
	if scheme == "https" {
		port = ":443"
	}
	return []string{publicURL, scheme + "://" + host + port + tail}
}
