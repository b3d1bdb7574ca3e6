package contact

import (
	"context"

	"github.com/google/uuid"

	"beckon/internal/queue"
)

const importsAtOnce = 2

type importArgs struct {
	ImportID uuid.UUID `json:"import_id"`
}

func (importArgs) Kind() string { return "contact.import" }

func (s *Store) work(context.Context, queue.Job[importArgs]) error { return nil }
