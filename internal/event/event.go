// Package event keeps what happened for those outside: each event is written in
// the transaction of what it tells, and read in order by cursor.
package event

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/queue"
)

// Type names what happened.
type Type string

// The types of events.
const (
	LineStopped       Type = "line.stopped"
	LineResumed       Type = "line.resumed"
	LineSlowed        Type = "line.slowed"
	CampaignStarted   Type = "campaign.started"
	CampaignPaused    Type = "campaign.paused"
	CampaignResumed   Type = "campaign.resumed"
	CampaignFinished  Type = "campaign.finished"
	CampaignCancelled Type = "campaign.cancelled"
	CountryClosed     Type = "campaign.country_closed"
	BudgetReached     Type = "campaign.budget_reached"
	BudgetChanged     Type = "campaign.budget_changed"
	ThreadHeld        Type = "thread.held"
	ThreadFreed       Type = "thread.freed"
	ContactErased     Type = "contact.erased"
	SuppressionAdded  Type = "suppression.added"
	SuppressionLifted Type = "suppression.lifted"
	ContactOptedOut   Type = "contact.opted_out"
	ContactOptedIn    Type = "contact.opted_in"
	SMSReceived       Type = "sms.received"
	SMSReview         Type = "sms.review"
	CaptureAnswered   Type = "capture.answered"
	CaptureConflict   Type = "capture.conflict"
	TokenGranted      Type = "token.granted"
	TokenExpiring     Type = "token.expiring"
	TokenExpired      Type = "token.expired"
	TokenRevoked      Type = "token.revoked"

	CampaignComplaints    Type = "campaign.complaints"
	SuppressionsSynced    Type = "suppressions.synced"
	PageCapabilityChanged Type = "page.capability_changed"
	RelayFailed           Type = "relay.failed"
	PageHealthChanged     Type = "page.health_changed"
	PageQuiet             Type = "page.quiet"
	TemplateChanged       Type = "template.status_changed"
)

// Types returns every type there is.
func Types() []Type {
	return []Type{LineStopped, LineResumed, LineSlowed, CampaignStarted, CampaignPaused, CampaignResumed, CampaignFinished, CampaignCancelled, CampaignComplaints, CountryClosed, BudgetReached, BudgetChanged, CaptureAnswered, CaptureConflict,
		ThreadHeld, ThreadFreed, ContactErased, SuppressionAdded, SuppressionLifted, SuppressionsSynced, PageCapabilityChanged, PageHealthChanged, PageQuiet, RelayFailed, TemplateChanged,
		ContactOptedOut, ContactOptedIn, SMSReceived, SMSReview,
		TokenGranted, TokenExpiring, TokenExpired, TokenRevoked}
}

// Event is one thing that happened. What it is about is named by ids, and Data
// says the rest; no personal data may stand in it.
type Event struct {
	Type                    Type
	At                      time.Time
	Page, Campaign, Contact uuid.UUID      // uuid.Nil for none
	Delivery                int64          // 0 for none
	Data                    map[string]any // may be nil
	ID                      uuid.UUID      // given by Add
}

// row is what stands in the table.
type row struct {
	ID         uuid.UUID
	Type       Type
	At         time.Time
	PageID     *uuid.UUID
	CampaignID *uuid.UUID
	ContactID  *uuid.UUID
	DeliveryID *int64
	Data       string
}

func (row) TableName() string { return "events" }

// addAtOnce keeps a statement below the number of parameters that both engines take.
const addAtOnce = 2000

// Add writes events down in the transaction of what they tell, in their order.
// They need their type and their time.
func Add(tx *db.Tx, events ...Event) error {
	if len(events) == 0 {
		return nil
	}
	rows := make([]row, len(events))
	for i, e := range events {
		data, err := json.Marshal(e.Data)
		if err != nil {
			return fmt.Errorf("write the data of an event: %w", err)
		}
		if e.Data == nil {
			data = []byte("{}")
		}
		rows[i] = row{ID: idAt(e.At.Add(time.Duration(i) * time.Microsecond)), Type: e.Type, At: e.At.UTC(), PageID: orNull(e.Page), CampaignID: orNull(e.Campaign),
			ContactID: orNull(e.Contact), DeliveryID: orNull(e.Delivery), Data: string(data)}
	}
	for part := range slices.Chunk(rows, addAtOnce) {
		if err := tx.Create(&part).Error; err != nil {
			return fmt.Errorf("write events: %w", err)
		}
	}
	return nil
}

// idAt is a new id that sorts by the moment given, to the microsecond: a version 7
// of that time.
func idAt(at time.Time) uuid.UUID {
	id := uuid.Must(uuid.NewV7())
	ms, part := at.UnixMilli(), at.Nanosecond()%1e6*4096/1e6
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	id[6], id[7] = 0x70|byte(part>>8), byte(part)
	return id
}

// firstAt sorts before every id of that moment or later.
func firstAt(at time.Time) uuid.UUID {
	id := idAt(at)
	clear(id[6:])
	return id
}

func orNull[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}

func orZero[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// settling is how old an event is before List tells of it: longer than any
// transaction that writes one, and than clocks of nodes differ. So none comes to
// stand before one that was read already.
const settling = 10 * time.Second

// keep is how long events are kept.
const keep = 30 * 24 * time.Hour

// Store reads events and forgets old ones. It is safe for use by many goroutines.
type Store struct {
	db  *db.DB
	now func() time.Time
}

// NewStore returns a store.
func NewStore(d *db.DB, now func() time.Time) *Store { return &Store{d, now} }

// Filter narrows a list; its zero value lets everything through.
type Filter struct {
	Type Type
}

// List returns up to limit events, oldest first: those after the event with the
// id after, or the first ones that are kept when after is uuid.Nil. An event is
// listed ten seconds after it happened, so that none is missed by going on after
// the last one.
func (s *Store) List(ctx context.Context, after uuid.UUID, limit int, f Filter) ([]Event, error) {
	q := s.db.Read(ctx).Where("id > ? AND id < ?", after, firstAt(s.now().Add(-settling))).Order("id").Limit(limit)
	if f.Type != "" {
		q = q.Where("type = ?", string(f.Type))
	}
	var rows []row
	if err := q.Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("list events: %w", err)
	}
	out := make([]Event, len(rows))
	for i, r := range rows {
		var err error
		if out[i], err = r.event(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (r row) event() (Event, error) {
	e := Event{ID: r.ID, Type: r.Type, At: r.At.UTC(), Page: orZero(r.PageID), Campaign: orZero(r.CampaignID),
		Contact: orZero(r.ContactID), Delivery: orZero(r.DeliveryID)}
	if err := json.Unmarshal([]byte(r.Data), &e.Data); err != nil {
		return e, fmt.Errorf("read the data of event %s: %w", r.ID, err)
	}
	return e, nil
}

// purgeJob forgets old events.
type purgeJob struct{}

// Kind names the job.
func (purgeJob) Kind() string { return "event.purge" }

// Register adds the hourly job that forgets events after thirty days.
func (s *Store) Register(q *queue.Queue) {
	queue.Keep(q, time.Hour, purgeJob{}, func(ctx context.Context) error { return s.Purge(ctx, s.now().Add(-keep)) })
}

// purgeAtOnce bounds one transaction.
const purgeAtOnce = 5000

// Purge forgets events that happened before the given moment, a bounded number
// at a time.
func (s *Store) Purge(ctx context.Context, before time.Time) error {
	for {
		var gone int64
		err := s.db.Transact(ctx, func(tx *db.Tx) error {
			res := tx.Exec("DELETE FROM events WHERE id IN (SELECT id FROM events WHERE id < ? ORDER BY id LIMIT ?)", firstAt(before), purgeAtOnce)
			gone = res.RowsAffected
			return res.Error
		})
		if err != nil {
			return fmt.Errorf("forget old events: %w", err)
		}
		if gone < purgeAtOnce {
			return nil
		}
	}
}
