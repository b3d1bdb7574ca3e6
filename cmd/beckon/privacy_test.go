package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestDeleteWordsAreReadWithoutTheirSpaces(t *testing.T) {
	t.Parallel()
	c, err := readConfig(environment("BECKON_SECRET_KEY="+testSecret, "BECKON_DELETE_WORDS=vergeet mij, oublie-moi "))
	require.NoError(t, err)
	require.Equal(t, []string{"vergeet mij", "oublie-moi"}, c.DeleteWords)
	_, err = readConfig(environment("BECKON_SECRET_KEY="+testSecret, "BECKON_DELETE_WORDS="+strings.Repeat("x,", 50)+"x"))
	require.ErrorContains(t, err, "BECKON_DELETE_WORDS")
	_, err = readConfig(environment("BECKON_SECRET_KEY="+testSecret, "BECKON_DELETE_WORDS="+strings.Repeat("é", 101)))
	require.ErrorContains(t, err, "BECKON_DELETE_WORDS")
}
