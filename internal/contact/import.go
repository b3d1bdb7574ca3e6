package contact

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// Format is how an import is written.
type Format string

// The formats.
const (
	NDJSON Format = "ndjson"
	CSV    Format = "csv"
)

// ImportKind is what the lines of an import are.
type ImportKind string

// The kinds.
const (
	ImportContacts     ImportKind = "contacts"
	ImportSuppressions ImportKind = "suppressions"
)

// The states of an import.
const (
	Receiving = "receiving"
	Queued    = "queued"
	Running   = "running"
	Finished  = "finished"
	Failed    = "failed" // nothing could be read; Problem says why
)

// ImportOptions say how to read an import.
type ImportOptions struct {
	Format Format `json:"-"`
	// Kind is what the lines are; "" is contacts.
	Kind ImportKind `json:"-"`
	// DryRun checks every line and writes nothing. A person who stands in the
	// file twice, far apart, counts as made twice.
	DryRun bool `json:"-"`
	// ConsentSource is written for consents that name no source; "" is "import".
	ConsentSource string `json:"consent_source,omitempty"`
	// ConsentSMS and ConsentEmail, when they are Subscribed, are the consent of people whose
	// line has an address of the channel and says nothing of it. They never take the place of what
	// is known, nor of a refusal of the address, and need ConsentSource and ConsentEvidence.
	ConsentSMS      string `json:"consent_sms,omitempty"`
	ConsentEmail    string `json:"consent_email,omitempty"`
	ConsentEvidence string `json:"consent_evidence,omitempty"`
	// PageID is the page of Messenger ids and tokens that name none.
	PageID uuid.UUID `json:"page_id,omitzero"`
	// Topic is the topic of tokens that name none; "" is "unsorted".
	Topic string `json:"topic,omitempty"`
	// Channel is the channel of suppressions that name none; "" refuses those.
	Channel channel.Kind `json:"channel,omitempty"`
	// Reason is the reason of suppressions that name none; "" is manual.
	Reason string `json:"reason,omitempty"`
}

// Import is a file of contacts or suppressions and what came of it.
type Import struct {
	ID      uuid.UUID
	Kind    ImportKind
	Format  Format
	State   string
	DryRun  bool
	Lines   int64 // records read so far; the line of names and empty lines do not count
	Created int64
	Updated int64 // known already, whether or not anything changed
	Refused int64
	Problem string

	CreatedAt  time.Time
	FinishedAt *time.Time
}

// Refusal is a line that was refused, by the number of the physical line where
// its record starts, counted from 1.
type Refusal struct {
	Line   int64
	Fields []fault.Field
}

// partSize is how an import's body is cut for keeping. Cursors count on it.
const partSize = 1 << 20

// abandoned is when an upload that never ended is given up.
const abandoned = 24 * time.Hour

// Receive stores the body of an import and queues the work on it. It returns
// once all of it is durable. A body that breaks off or is too large leaves a
// failed import and comes back as an error.
func (s *Store) Receive(ctx context.Context, r io.Reader, o ImportOptions) (Import, error) {
	if o.Format != NDJSON && o.Format != CSV {
		return Import{}, fault.New(fault.Unsupported, "unsupported_format", "An import is NDJSON or CSV.")
	}
	c := &checks{now: s.now()}
	c.importOptions(o)
	if err := fault.InvalidFields(c.fields...); err != nil {
		return Import{}, err
	}
	id := uuid.Must(uuid.NewV7())
	if err := s.db.Transact(ctx, func(tx *db.Tx) error { return s.begin(tx, id, o) }); err != nil {
		return Import{}, err
	}
	if err := s.keep(ctx, id, r); err != nil {
		return Import{}, errors.Join(err, s.abandon(context.WithoutCancel(ctx), id, problemOf(err)))
	}
	err := s.db.Transact(ctx, func(tx *db.Tx) error {
		if err := tx.Exec("UPDATE imports SET state = ? WHERE id = ?", Queued, id).Error; err != nil {
			return fmt.Errorf("queue an import: %w", err)
		}
		return s.queue.Insert(ctx, tx, queue.Order{Args: importArgs{ImportID: id}})
	})
	if err != nil {
		return Import{}, errors.Join(err, s.abandon(context.WithoutCancel(ctx), id, problemOf(err)))
	}
	return s.Import(ctx, id)
}

// begin notes the import, and clears away uploads whose process died.
func (s *Store) begin(tx *db.Tx, id uuid.UUID, o ImportOptions) error {
	var known int64
	if err := tx.Raw("SELECT COUNT(*) FROM pages WHERE id = ?", o.PageID).Scan(&known).Error; err != nil {
		return fmt.Errorf("find a page: %w", err)
	}
	if o.PageID != uuid.Nil && known == 0 {
		return fault.InvalidFields(fault.Field{Pointer: "/page_id", Code: "page_not_found", Detail: "There is no such page."})
	}
	before := s.now().Add(-abandoned)
	if err := tx.Exec("DELETE FROM import_parts WHERE import_id IN (SELECT id FROM imports WHERE state = ? AND created_at < ?)", Receiving, before).Error; err != nil {
		return fmt.Errorf("clear old uploads: %w", err)
	}
	if err := tx.Exec("UPDATE imports SET state = ?, problem = ?, finished_at = ? WHERE state = ? AND created_at < ?",
		Failed, brokenOff, s.now(), Receiving, before).Error; err != nil {
		return fmt.Errorf("clear old uploads: %w", err)
	}
	return tx.Copy("imports", []string{"id", "kind", "format", "options", "state", "dry_run", "created_at"},
		[][]any{{id, string(cmp.Or(o.Kind, ImportContacts)), string(o.Format), string(marshal(o)), Receiving, o.DryRun, s.now()}})
}

const brokenOff = "The upload broke off."

// keep stores the body part by part, as it comes.
func (s *Store) keep(ctx context.Context, id uuid.UUID, r io.Reader) error {
	buf, total := make([]byte, partSize), int64(0)
	for n := 0; ; n++ {
		size, err := fillUp(r, buf)
		if err != nil && !errors.Is(err, io.EOF) {
			return fault.New(fault.Malformed, "upload_broken", brokenOff).Because(err)
		}
		if total += int64(size); total > s.maxImport {
			return fault.New(fault.TooLarge, "import_too_large", "An import may have at most %d bytes.", s.maxImport)
		}
		if size > 0 {
			if err := s.keepPart(ctx, id, n, buf[:size]); err != nil {
				return err
			}
		}
		if size < len(buf) { // the end
			return nil
		}
	}
}

// fillUp is io.ReadFull, but tells a body that ended from one that broke off:
// for both, that gives io.ErrUnexpectedEOF.
func fillUp(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var more int
		more, err = r.Read(buf[n:])
		n += more
	}
	return n, err
}

func (s *Store) keepPart(ctx context.Context, id uuid.UUID, n int, data []byte) error {
	return s.db.Transact(ctx, func(tx *db.Tx) error {
		if err := tx.Exec("INSERT INTO import_parts (import_id, n, data) VALUES (?, ?, ?)", id, n, data).Error; err != nil {
			return fmt.Errorf("store a part of an import: %w", err)
		}
		return nil
	})
}

func problemOf(err error) string {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Detail
	}
	return "The upload could not be stored."
}

func (s *Store) abandon(ctx context.Context, id uuid.UUID, problem string) error {
	return s.db.Transact(ctx, func(tx *db.Tx) error { return s.end(tx, id, Failed, problem) })
}

// end settles an import and lets its body go.
func (s *Store) end(tx *db.Tx, id uuid.UUID, state, problem string) error {
	if err := tx.Exec("UPDATE imports SET state = ?, problem = ?, finished_at = ? WHERE id = ?", state, problem, s.now(), id).Error; err != nil {
		return fmt.Errorf("end an import: %w", err)
	}
	if err := tx.Exec("DELETE FROM import_parts WHERE import_id = ?", id).Error; err != nil {
		return fmt.Errorf("let the body of an import go: %w", err)
	}
	return nil
}

// Import returns an import and its counts so far, or a fault.NotFound.
func (s *Store) Import(ctx context.Context, id uuid.UUID) (Import, error) {
	var imp Import
	err := s.db.Read(ctx).Where("id = ?", id).Take(&imp).Error
	switch {
	case db.IsNone(err):
		return imp, fault.New(fault.NotFound, "import_not_found", "There is no such import.")
	case err != nil:
		return imp, fmt.Errorf("read an import: %w", err)
	}
	return imp, nil
}

// Imports lists imports, newest first, and the id after which the next page
// starts: uuid.Nil when there is none.
func (s *Store) Imports(ctx context.Context, after uuid.UUID, limit int) ([]Import, uuid.UUID, error) {
	q := s.db.Read(ctx)
	if after != uuid.Nil {
		q = q.Where("id < ?", after)
	}
	var rows []Import
	if err := q.Order("id DESC").Limit(limit + 1).Find(&rows).Error; err != nil {
		return nil, uuid.Nil, fmt.Errorf("list imports: %w", err)
	}
	if len(rows) <= limit {
		return rows, uuid.Nil, nil
	}
	return rows[:limit], rows[limit-1].ID, nil
}

// Refusals returns refused lines after the given one, in the order of the
// file, and the line after which the next page starts: 0 when there is none.
func (s *Store) Refusals(ctx context.Context, id uuid.UUID, after int64, limit int) ([]Refusal, int64, error) {
	var rows []struct {
		Line                  int64
		Pointer, Code, Detail string
	}
	err := s.db.Read(ctx).Raw(`SELECT line, pointer, code, detail FROM import_refusals WHERE import_id = ? AND line IN (
		SELECT DISTINCT line FROM import_refusals WHERE import_id = ? AND line > ? ORDER BY line LIMIT ?) ORDER BY line, pointer`,
		id, id, after, limit+1).Scan(&rows).Error
	if err != nil {
		return nil, 0, fmt.Errorf("read refused lines: %w", err)
	}
	var out []Refusal
	for _, r := range rows {
		if len(out) == 0 || out[len(out)-1].Line != r.Line {
			out = append(out, Refusal{Line: r.Line})
		}
		last := &out[len(out)-1]
		last.Fields = append(last.Fields, fault.Field{Pointer: r.Pointer, Code: r.Code, Detail: r.Detail})
	}
	if len(out) <= limit {
		return out, 0, nil
	}
	return out[:limit], out[limit-1].Line, nil
}
