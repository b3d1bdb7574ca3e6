package trail_test

import (
	"bytes"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"

	"beckon/internal/trail"
)

func TestLinesCarryTheIdsOfTheirContext(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := slog.New(trail.Handler(slog.NewTextHandler(&out, nil))).With("app", "beckon")
	ctx := trail.With(t.Context(), slog.String("request_id", "r1"))
	first := trail.With(ctx, slog.Int64("job_id", 1))
	_ = trail.With(ctx, slog.Int64("job_id", 2))
	log.InfoContext(first, "hello")
	require.Contains(t, out.String(), "app=beckon request_id=r1 job_id=1")
	out.Reset()
	log.Info("bare")
	require.NotContains(t, out.String(), "request_id")
}
