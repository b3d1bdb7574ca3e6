// Package timeline tells what happened with one person, newest first, out of what
// the other parts keep.
package timeline

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/fault"
)

// The types of items; those of events have the event's type.
const (
	Delivery       = "delivery"        // their place in a campaign, with what came of it
	Text           = "text"            // they texted us
	Consent        = "consent"         // what holds for a channel changed
	Token          = "token"           // they gave a one-time permission
	RecurringToken = "recurring_token" // they gave a permission for regular messages
	OptInRequest   = "opt_in_request"  // they were asked for a permission
	Capture        = "capture"         // they were asked for an address
)

// Item is one thing that happened.
type Item struct {
	ID             string // within the timeline
	At             time.Time
	Type           string
	Channel        string    // "" for none
	Page, Campaign uuid.UUID // Nil for none
	Delivery       int64     // 0 for none
	Data           map[string]any
	position       Position
}

// Position is where a page of a timeline ended; its zero value is before the first.
type Position struct {
	At   time.Time `json:"at"`
	Rank int       `json:"rank"` // of the source
	Key  string    `json:"key"`  // within the source
}

// Store reads timelines. It is safe for use by many goroutines.
type Store struct {
	db       *db.DB
	contacts *contact.Store
	words    Words
}

// Words opens what somebody texted, where it was kept.
type Words func(id uuid.UUID, sealed []byte) (string, error)

// NewStore returns a store.
func NewStore(d *db.DB, contacts *contact.Store, words Words) *Store {
	return &Store{d, contacts, words}
}

// List returns up to limit items of a contact that come after a position, newest
// first, and the position of the last one; that is zero when nothing comes after
// it. A contact that is not there is a fault.NotFound, a position that was made up
// an Invalid one.
func (s *Store) List(ctx context.Context, contactID uuid.UUID, after Position, limit int) ([]Item, Position, error) {
	if _, err := s.contacts.Get(ctx, contactID); err != nil {
		return nil, Position{}, err
	}
	if !after.possible() {
		return nil, Position{}, fault.InvalidFields(fault.Field{Pointer: "/query/cursor", Code: "bad_format", Detail: "Must be a next_cursor of this list."})
	}
	var all []Item
	for rank, src := range s.sources() {
		items, err := src(s.db.Read(ctx), page{contact: contactID, after: after, rank: rank + 1, limit: limit + 1})
		if err != nil {
			return nil, Position{}, fmt.Errorf("read a timeline: %w", err)
		}
		all = append(all, items...)
	}
	slices.SortStableFunc(all, func(a, b Item) int { // each source comes in its order
		return cmp.Or(b.position.At.Compare(a.position.At), a.position.Rank-b.position.Rank)
	})
	if len(all) <= limit {
		return all, Position{}, nil
	}
	return all[:limit], all[limit-1].position, nil
}

// page is what one source is asked for.
type page struct {
	contact uuid.UUID
	after   Position
	rank    int // of this source, from 1: of what happened at one moment, the lower comes first
	limit   int
}

// end completes a query over one contact: only what comes after the position, in order.
func (p page) end(at, key string) (sql string, args []any) {
	switch {
	case p.after.At.IsZero():
	case p.rank == p.after.Rank:
		sql, args = fmt.Sprintf(" AND (%[1]s < ? OR %[1]s = ? AND %[2]s < ?)", at, key), []any{p.after.At, p.after.At, p.after.Key}
	case p.rank > p.after.Rank:
		sql, args = fmt.Sprintf(" AND %s <= ?", at), []any{p.after.At}
	default:
		sql, args = fmt.Sprintf(" AND %s < ?", at), []any{p.after.At}
	}
	return sql + fmt.Sprintf(" ORDER BY %s DESC, %s DESC LIMIT ?", at, key), append(args, p.limit)
}

// read runs a query that ends with the condition on the contact, and turns its rows
// into items.
func read[R any](q *gorm.DB, p page, query, at, key string, item func(R) Item) ([]Item, error) {
	end, args := p.end(at, key)
	var rows []struct {
		MomentAt time.Time
		RowKey   string
		Row      R `gorm:"embedded"`
	}
	sql := fmt.Sprintf("SELECT %s AS moment_at, CAST(%s AS text) AS row_key, ", at, key) + query + end
	if err := q.Raw(sql, append([]any{p.contact}, args...)...).Scan(&rows).Error; err != nil {
		return nil, err
	}
	out := make([]Item, len(rows))
	for i, r := range rows {
		out[i] = item(r.Row)
		out[i].ID = out[i].Type + ":" + r.RowKey
		out[i].At, out[i].position = r.MomentAt.UTC(), Position{r.MomentAt.UTC(), p.rank, r.RowKey}
	}
	return out, nil
}
