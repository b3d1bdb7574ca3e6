// Package delivery is the ledger: one row for each contact of a campaign, its
// attempts, receipts and counts. States only move forward.
package delivery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
)

// State is where a delivery stands.
type State string

// The states of a delivery.
const (
	Pending     State = "pending"
	Sending     State = "sending"
	Accepted    State = "accepted"
	Delivered   State = "delivered"
	Failed      State = "failed"
	Unknown     State = "unknown"
	Unreachable State = "unreachable"
	Held        State = "held"
	Expired     State = "expired"
	Cancelled   State = "cancelled"
)

// States returns the closed set.
func States() []State {
	return []State{Pending, Sending, Accepted, Delivered, Failed, Unknown, Unreachable, Held, Expired, Cancelled}
}

// Delivery is one contact's place in one campaign.
type Delivery struct {
	ID          int64
	CampaignID  uuid.UUID
	ContactID   uuid.UUID
	Lane        channel.Lane // "" when unreachable
	RouteFrom   int          // lanes of the route before this one are used up
	State       State
	Attempt     int   // tries so far
	JobID       int64 // the job that claimed it
	ProviderID  string
	Code        string // the provider's last code
	Reason      string // why unreachable or failed
	NotBefore   *time.Time
	SentAt      *time.Time
	AcceptedAt  *time.Time
	DeliveredAt *time.Time
	ReadAt      *time.Time
	ClickedAt   *time.Time
	ReturnedAt  *time.Time
	RepliedAt   *time.Time
	EscalatedAt *time.Time // one more message went to the silent person, see campaign.Campaign.EscalationOf
	CreatedAt   time.Time
}

// Attempt is one finished try of a delivery on one lane.
type Attempt struct {
	DeliveryID int64
	N          int
	Lane       channel.Lane
	Outcome    channel.Outcome
	ProviderID string
	Code       string
	Detail     string
	StartedAt  time.Time
	FinishedAt time.Time
}

// Store reads and writes the ledger.
type Store struct {
	db    *db.DB
	now   func() time.Time
	grace time.Duration
	leaf  int64
}

// LeafWidth is how many deliveries a leaf of the ledger holds on PostgreSQL:
// about 6 GB with its indexes, so that ten leaves are a hundred million and an
// old one goes at once.
const LeafWidth = 10_000_000

// NewStore returns a ledger over an open, migrated database.
func NewStore(d *db.DB, now func() time.Time) *Store { return &Store{d, now, DefaultGrace, LeafWidth} }

// ErrNone says that there is no such delivery.
var ErrNone = fault.New(fault.NotFound, "delivery_not_found", "There is no such delivery.")

// Get returns a delivery with its attempts, oldest first.
func (s *Store) Get(ctx context.Context, id int64) (Delivery, []Attempt, error) {
	var d Delivery
	err := s.db.Read(ctx).Where("id = ?", id).Take(&d).Error
	if db.IsNone(err) {
		return d, nil, ErrNone
	}
	if err != nil {
		return d, nil, fmt.Errorf("read a delivery: %w", err)
	}
	var attempts []Attempt
	err = s.db.Read(ctx).Where("delivery_id = ?", id).Order("n").Find(&attempts).Error
	if err != nil {
		return d, nil, fmt.Errorf("read attempts: %w", err)
	}
	d.proved()
	return d, d.withLast(attempts), nil
}

// proved leaves out receipts that count only once it is proved that the
// delivery was taken: see MarkUpTo.
func (d *Delivery) proved() {
	if d.AcceptedAt == nil {
		d.DeliveredAt, d.ReadAt = nil, nil
	}
}

// withLast completes the history by a try that was taken: the delivery itself
// is the record of that one.
func (d Delivery) withLast(history []Attempt) []Attempt {
	if (d.State != Accepted && d.State != Delivered) || d.SentAt == nil || d.AcceptedAt == nil {
		return history
	}
	last := Attempt{DeliveryID: d.ID, N: d.Attempt, Lane: d.Lane, Outcome: channel.Accepted, ProviderID: d.ProviderID,
		StartedAt: *d.SentAt, FinishedAt: *d.AcceptedAt}
	if n := len(history); n > 0 && history[n-1].N == d.Attempt { // it was unknown for a while
		history = history[:n-1]
	}
	return append(history, last)
}

// Filter narrows a list of deliveries. Zero fields do not narrow.
type Filter struct {
	Campaign uuid.UUID
	Contact  uuid.UUID
	State    State
	Lane     channel.Lane
	After    int64 // only ids beyond this one
	Limit    int
}

// List returns deliveries by id, oldest first.
func (s *Store) List(ctx context.Context, f Filter) ([]Delivery, error) {
	q := s.db.Read(ctx).Where("id > ?", f.After).Order("id").Limit(f.Limit)
	q = narrow(q, "campaign_id", f.Campaign)
	q = narrow(q, "contact_id", f.Contact)
	q = narrow(q, "state", f.State)
	q = narrow(q, "lane", f.Lane)
	var out []Delivery
	if err := q.Find(&out).Error; err != nil {
		return nil, fmt.Errorf("list deliveries: %w", err)
	}
	for i := range out {
		out[i].proved()
	}
	return out, nil
}

func narrow[T comparable](q *gorm.DB, column string, v T) *gorm.DB {
	var zero T
	if v == zero {
		return q
	}
	return q.Where(column+" = ?", v)
}

// Home is where a delivery's link leads back to, and whose it is.
type Home struct {
	ContactID uuid.UUID // uuid.Nil once the delivery is given up
	PageID    uuid.UUID
	PageName  string
	MMe       string `gorm:"column:m_me"` // the Page's name at m.me
}

// Home returns where a delivery belongs, also when it is given up with its
// campaign: then only whose it was is not known any more.
func (s *Store) Home(ctx context.Context, id int64) (Home, error) {
	h, err := home(s.db.Read(ctx), "deliveries d", "d.contact_id", "d.id = ?", id)
	if errors.Is(err, ErrNone) {
		return home(s.db.Read(ctx), "delivery_blocks d", "NULL", "d.first_id = (SELECT MAX(first_id) FROM delivery_blocks WHERE first_id <= ?) AND ? < d.past_id", id, id)
	}
	return h, err
}

// HomesIn is Home for many deliveries inside a transaction; one that is unknown or
// given up has no home and is left out.
func (s *Store) HomesIn(tx *db.Tx, ids []int64) (map[int64]Home, error) {
	if len(ids) == 0 {
		return map[int64]Home{}, nil
	}
	var rows []struct {
		ID int64
		Home
	}
	err := tx.Raw("SELECT d.id, d.contact_id, "+homeColumns+" FROM ? JOIN deliveries d ON d.id = v.id "+homeJoins, tx.Values("v", db.Int64s("id", ids))).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("find the pages of deliveries: %w", err)
	}
	out := make(map[int64]Home, len(rows))
	for _, r := range rows {
		out[r.ID] = r.Home
	}
	return out, nil
}

const (
	homeColumns = `p.id AS page_id, p.name AS page_name, CASE WHEN p.username <> '' THEN p.username ELSE p.facebook_page_id END AS m_me`
	homeJoins   = "JOIN campaigns c ON c.id = d.campaign_id JOIN pages p ON p.id = c.page_id"
)

func home(q *gorm.DB, from, contact, where string, args ...any) (Home, error) {
	var h []Home
	err := q.Raw("SELECT "+contact+" AS contact_id, "+homeColumns+" FROM "+from+" "+homeJoins+" WHERE "+where, args...).Scan(&h).Error
	if err != nil {
		return Home{}, fmt.Errorf("find a delivery's page: %w", err)
	}
	if len(h) == 0 {
		return Home{}, ErrNone
	}
	return h[0], nil
}
