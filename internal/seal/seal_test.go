package seal_test

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/seal"
)

func box(t require.TestingT, fill byte) *seal.Box {
	b, err := seal.New(bytes.Repeat([]byte{fill}, seal.MinSecret))
	require.NoError(t, err)
	return b
}

func TestSealedValuesOpenOnlyAsWhatTheyWere(t *testing.T) {
	t.Parallel()
	a, other := box(t, 1), box(t, 2)
	rapid.Check(t, func(t *rapid.T) {
		value, bound := rapid.String().Draw(t, "value"), rapid.String().Draw(t, "bound")
		sealed, err := a.Seal(value, bound)
		require.NoError(t, err)
		if len(value) > 3 {
			require.NotContains(t, string(sealed), value)
		}
		got, err := a.Open(sealed, bound)
		require.NoError(t, err)
		require.Equal(t, value, got)
		_, err = a.Open(sealed, bound+"x")
		require.ErrorIs(t, err, seal.ErrOpen)
		_, err = other.Open(sealed, bound)
		require.ErrorIs(t, err, seal.ErrOpen)
		sealed[len(sealed)-1] ^= 1
		_, err = a.Open(sealed, bound)
		require.ErrorIs(t, err, seal.ErrOpen)
	})
}

func TestHashesAreKeyedAndKeptApart(t *testing.T) {
	t.Parallel()
	a := box(t, 1)
	require.Equal(t, a.Hash("phone", "1"), a.Hash("phone", "1"))
	require.NotEqual(t, a.Hash("phone", "1"), a.Hash("email", "1"))
	require.NotEqual(t, a.Hash("phone", "1"), box(t, 2).Hash("phone", "1"))
	require.NotEqual(t, a.Key("link"), a.Key("unsubscribe"))
	_, err := seal.New([]byte("short"))
	require.Error(t, err)
}
