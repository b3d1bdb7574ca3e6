package patch_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/api/patch"
)

func TestFieldTellsSetNullAndLeftOutApart(t *testing.T) {
	t.Parallel()
	var doc struct {
		Set, Null, Out patch.Field[string]
	}
	require.NoError(t, json.Unmarshal([]byte(`{"Set":"x","Null":null}`), &doc))
	require.Equal(t, patch.Field[string]{Set: true, Value: "x"}, doc.Set)
	require.Equal(t, patch.Field[string]{Set: true, Null: true}, doc.Null)
	require.Equal(t, patch.Field[string]{}, doc.Out)
}

func TestPointerGivesWhatStoresTake(t *testing.T) {
	t.Parallel()
	require.Nil(t, patch.Field[string]{}.Pointer())
	require.Empty(t, *patch.Field[string]{Set: true, Null: true}.Pointer())
	require.Equal(t, "x", *patch.Field[string]{Set: true, Value: "x"}.Pointer())
}

func TestFieldRefusesAWrongType(t *testing.T) {
	t.Parallel()
	var f patch.Field[string]
	require.Error(t, json.Unmarshal([]byte(`5`), &f))
}

func TestFieldForgetsWhatItHeld(t *testing.T) {
	t.Parallel()
	f := patch.Field[string]{Set: true, Value: "old"}
	require.NoError(t, json.Unmarshal([]byte(`null`), &f))
	require.Equal(t, patch.Field[string]{Set: true, Null: true}, f)
}

func TestOverKeepsReplacesAndRemoves(t *testing.T) {
	t.Parallel()
	before := "before"
	require.Equal(t, &before, patch.Field[string]{}.Over(&before))
	require.Nil(t, patch.Field[string]{Set: true, Null: true}.Over(&before))
	require.Equal(t, "after", *patch.Field[string]{Set: true, Value: "after"}.Over(&before))
}
