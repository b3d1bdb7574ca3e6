package fault_test

import (
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/fault"
)

func TestAFaultKeepsItsKindAndCodeThroughWrapping(t *testing.T) {
	t.Parallel()
	err := fmt.Errorf("outer: %w", fmt.Errorf("inner: %w", fault.New(fault.Conflict, "taken", "%s is taken.", "This")))
	require.Equal(t, fault.Conflict, fault.KindOf(err))
	require.True(t, fault.Is(err, fault.Conflict))
	require.False(t, fault.Is(err, fault.NotFound))
	require.True(t, fault.HasCode(err, "taken"))
	require.False(t, fault.HasCode(err, "free"))
	require.EqualError(t, err, "outer: inner: taken: This is taken.")
}

func TestWhatIsNoFaultIsInternal(t *testing.T) {
	t.Parallel()
	require.Equal(t, fault.Internal, fault.KindOf(io.EOF))
	require.True(t, fault.Is(io.EOF, fault.Internal))
	require.False(t, fault.HasCode(io.EOF, ""))
	require.False(t, fault.Is(nil, fault.Internal), "no error is of no kind")
	require.False(t, fault.HasCode(nil, ""))
}

func TestOfJoinedFaultsTheFirstCounts(t *testing.T) {
	t.Parallel()
	err := errors.Join(io.EOF, fault.New(fault.TooMany, "slow", "Slow down."), fault.New(fault.Invalid, "bad", "Bad."))
	require.True(t, fault.Is(err, fault.TooMany))
}

func TestInvalidFieldsOfNothingIsNil(t *testing.T) {
	t.Parallel()
	require.NoError(t, fault.InvalidFields())
	err := fault.InvalidFields(fault.Field{Pointer: "/a", Code: "x", Detail: "A."}, fault.Field{Pointer: "/b/0", Code: "y", Detail: "B."})
	require.True(t, fault.Is(err, fault.Invalid) && fault.HasCode(err, "invalid_fields"))
	require.EqualError(t, err, "invalid_fields: Some fields are not valid. [/a x: A.] [/b/0 y: B.]")
}

func TestWithAndBecauseLeaveTheOriginalAlone(t *testing.T) {
	t.Parallel()
	base := fault.New(fault.NotFound, "none", "There is none.")
	one := base.With(fault.Field{Pointer: "/a", Code: "x"})
	two, three := one.With(fault.Field{Pointer: "/b", Code: "y"}), one.With(fault.Field{Pointer: "/c", Code: "z"})
	require.Empty(t, base.Fields)
	require.Len(t, one.Fields, 1)
	require.Equal(t, "/b", two.Fields[1].Pointer, "copies share no memory")
	require.Equal(t, "/c", three.Fields[1].Pointer)

	caused := base.Because(io.EOF)
	require.ErrorIs(t, caused, io.EOF)
	require.EqualError(t, caused, "none: There is none.: EOF")
	require.Equal(t, "There is none.", caused.Detail, "what is shown does not tell the cause")
	require.NoError(t, base.Unwrap())
}

func TestAFaultCanBeComparedAsAValue(t *testing.T) {
	t.Parallel()
	none := fault.New(fault.NotFound, "none", "There is none.")
	require.ErrorIs(t, fmt.Errorf("get: %w", none), none)
	require.NotErrorIs(t, none.Because(io.EOF), none, "a copy is another")
}
