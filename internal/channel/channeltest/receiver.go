package channeltest

import (
	"bytes"
	"maps"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
)

func takesGenuine(t *testing.T, s Suite) {
	require.Contains(t, s.Receiver.Headers(), s.SignatureHeader)
	require.NoError(t, s.Receiver.Verify(s.Genuine))
	events, err := s.Receiver.Events(s.Genuine)
	require.NoError(t, err)
	require.NotEmpty(t, events)
}

func refusesChangedBody(t *testing.T, s Suite) {
	rapid.Check(t, func(rt *rapid.T) {
		cb := s.Genuine
		cb.Body = bytes.Clone(cb.Body)
		at := rapid.IntRange(0, len(cb.Body)-1).Draw(rt, "at")
		cb.Body[at] ^= 1 << rapid.IntRange(0, 6).Draw(rt, "bit")
		refused(rt, s, cb)
	})
	cb := s.Genuine
	cb.Body = append(bytes.Clone(cb.Body), '1')
	refused(t, s, cb)
}

func refusesWrongSignature(t *testing.T, s Suite) {
	good := s.Genuine.Header[s.SignatureHeader]
	for _, wrong := range []string{"", "=", good + "A", good[:len(good)-2], "sha256=" + good, flip(good)} {
		refused(t, s, withHeader(s, wrong))
	}
	missing := s.Genuine
	missing.Header = map[string]string{}
	refused(t, s, missing)
}

// refused wants an error that does not quote what was expected.
func refused(t require.TestingT, s Suite, cb channel.Callback) {
	err := s.Receiver.Verify(cb)
	require.Error(t, err)
	require.NotContains(t, err.Error(), s.Genuine.Header[s.SignatureHeader])
	for _, secret := range s.Secrets {
		require.NotContains(t, err.Error(), secret)
	}
}

func survivesForeignBytes(t *testing.T, s Suite) {
	rapid.Check(t, func(rt *rapid.T) {
		cb := s.Genuine
		cb.Body = rapid.SliceOf(rapid.Byte()).Draw(rt, "body")
		_, _ = s.Receiver.Events(cb)
	})
	cb := s.Genuine
	for cut := range len(cb.Body) {
		cb.Body = s.Genuine.Body[:cut]
		_, _ = s.Receiver.Events(cb)
	}
}

func withHeader(s Suite, signature string) channel.Callback {
	cb := s.Genuine
	cb.Header = maps.Clone(cb.Header)
	cb.Header[s.SignatureHeader] = signature
	return cb
}

// flip changes one character in the middle of a signature.
func flip(s string) string {
	b := []byte(s)
	i := len(b) / 2
	if b[i] == '1' {
		b[i] = '2'
	} else {
		b[i] = '1'
	}
	return string(b)
}
