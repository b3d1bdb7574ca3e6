package contact

import (
	"context"

	"github.com/google/uuid"
)

// ErrOvertaken is for tests that run the same import twice.
var ErrOvertaken = errOvertaken

// OneChunkAtATime makes each run of an import enqueue its rest after one chunk.
func (s *Store) OneChunkAtATime() { s.budget = 0 }

// OpenImport begins a run of an import and returns what does its work.
func (s *Store) OpenImport(ctx context.Context, id uuid.UUID) (work func(context.Context) error, err error) {
	run, err := s.open(ctx, id)
	if err != nil || run == nil {
		return nil, err
	}
	return run.work, nil
}
