// Package privacy deletes what is kept of people who ask for it: by Facebook's
// data-deletion callback, or in the chat.
package privacy

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
	"beckon/internal/reply"
	"beckon/internal/seal"
)

// Source is how somebody asked.
type Source string

// The sources of wishes.
const (
	Facebook Source = "facebook" // Facebook's data-deletion callback
	Chat     Source = "chat"
)

// State is how far a deletion is.
type State string

// The states of a deletion.
const (
	Received State = "received"
	Done     State = "done"
	Nothing  State = "nothing" // nobody was found who had asked
)

// Deletion is somebody's wish to have their data deleted, and what came of it.
type Deletion struct {
	ID          uuid.UUID
	Code        string // what the person asks for how it stands; nobody can guess it
	Source      Source
	PageID      *uuid.UUID // with Chat
	Language    string     // with Chat: that of the words they used
	State       State
	Answer      string // with Chat: what came of telling them; "" when that was not tried yet
	RequestedAt time.Time
	FinishedAt  *time.Time
	Hash        []byte
	Person      []byte // sealed
}

// Parts are what a Service works with.
type Parts struct {
	DB       *db.DB
	Queue    *queue.Queue
	Box      *seal.Box
	Contacts *contact.Store
	Speaker  *reply.Speaker // nil when Messenger is not set up: nobody is told
	// Signed reads Facebook's signed requests; nil when Messenger is not set up.
	Signed func(text string) (messenger.SignedRequest, error)
	// PSIDs finds the PSIDs, by Graph id of the page, of a user id of Facebook's;
	// nil finds none.
	PSIDs func(ctx context.Context, userID string) (map[string]string, channel.Result)
	// Pages finds our pages by their Graph ids.
	Pages func(ctx context.Context, graphIDs []string) (map[string]uuid.UUID, error)
	// Status makes the address of the page that tells how a deletion stands.
	Status func(code string) string
	Words  []string // what else people say in the chat who want it
	Log    *slog.Logger
	Now    func() time.Time
}

// Service takes wishes and fulfils them in jobs. It is safe for use by many
// goroutines.
type Service struct {
	Parts
	words map[string]string
}

// New registers the service's jobs on the queue.
func New(p Parts) *Service {
	s := &Service{p, phrases(p.Words)}
	queue.Handle(p.Queue, 2, s.work)
	queue.Handle(p.Queue, 1, s.sweep)
	queue.Keep(p.Queue, 24*time.Hour, PurgeJob{}, s.purge)
	return s
}

func (s *Service) moment() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

var (
	errAbsent = fault.New(fault.NotFound, "channel_absent", "Messenger is not set up on this server.")
	errNone   = fault.New(fault.NotFound, "deletion_not_found", "There is no such deletion.")
)

// Request takes Facebook's callback. When it returns the code, the wish is
// committed; the same request again gives the same code.
func (s *Service) Request(ctx context.Context, signed string) (code string, err error) {
	if s.Signed == nil {
		return "", errAbsent
	}
	req, err := s.Signed(signed)
	if err != nil {
		return "", err
	}
	d := Deletion{Source: Facebook, Hash: s.Box.Hash("deletion", "facebook:"+req.UserID+":"+strconv.FormatInt(req.IssuedAt, 10)), RequestedAt: s.moment()}
	err = s.DB.Transact(ctx, func(tx *db.Tx) error { return s.take(ctx, tx, &d, req.UserID) })
	return d.Code, err
}

// take writes a wish down, with its job. One that is known already becomes the
// one that is known.
func (s *Service) take(ctx context.Context, tx *db.Tx, d *Deletion, person string) (err error) {
	if d.Person, err = s.Box.Seal(person, sealedAs); err != nil {
		return fmt.Errorf("take a wish to be deleted: %w", err)
	}
	d.ID, d.Code, d.State = db.IDAt(d.RequestedAt), newCode(), Received
	res := tx.Exec(`INSERT INTO deletions (id, code, source, hash, person, page_id, language, state, requested_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (hash) DO NOTHING`,
		d.ID, d.Code, d.Source, d.Hash, d.Person, d.PageID, d.Language, d.State, d.RequestedAt)
	if res.Error != nil {
		return fmt.Errorf("take a wish to be deleted: %w", res.Error)
	}
	if res.RowsAffected > 0 {
		return s.Queue.Insert(ctx, tx, queue.Order{Args: Job{d.ID}})
	}
	return s.again(ctx, tx, d)
}

// again is for a wish that was told before. What came with it this time may
// have made a contact of somebody who was deleted: that goes once more.
func (s *Service) again(ctx context.Context, tx *db.Tx, d *Deletion) error {
	person := d.Person
	var known []Deletion
	if err := tx.Raw("SELECT * FROM deletions WHERE hash = ?", d.Hash).Scan(&known).Error; err != nil {
		return fmt.Errorf("find a wish to be deleted: %w", err)
	}
	*d = known[0] // it stood in the way
	if d.State == Received || d.Source != Chat {
		return nil
	}
	if err := tx.Exec("UPDATE deletions SET person = ? WHERE id = ?", person, d.ID).Error; err != nil {
		return fmt.Errorf("take a wish to be deleted again: %w", err)
	}
	return s.Queue.Insert(ctx, tx, queue.Order{Args: SweepJob{d.ID}})
}

// ByCode returns how a deletion stands, or a NotFound fault.
func (s *Service) ByCode(ctx context.Context, code string) (Deletion, error) {
	var found []Deletion
	if err := s.DB.Read(ctx).Raw("SELECT * FROM deletions WHERE code = ?", code).Scan(&found).Error; err != nil {
		return Deletion{}, fmt.Errorf("read a deletion: %w", err)
	}
	if len(found) == 0 {
		return Deletion{}, errNone
	}
	return found[0], nil
}

// sealedAs is what persons are bound to when they are sealed.
const sealedAs = "deletion"

// newCode is 128 random bits, fit for an address.
func newCode() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return strings.ToLower(base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(b[:]))
}
