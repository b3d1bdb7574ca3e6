// Package loop closes the circle: who reacts to a campaign is thanked, and asked
// for the permission with which the next one reaches them in Messenger.
package loop

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/queue"
	"beckon/internal/reply"
)

// State is how far a follow-up has come.
type State string

// The states of a follow-up. Each is written down before what it names is done.
const (
	Due       State = "due"
	Thanking  State = "thanking"
	Asking    State = "asking"
	Capturing State = "capturing"
	Done      State = "done"
	Skipped   State = "skipped" // nothing was sent, Reason says why
)

// FollowUp is what follows for one person who reacted to one campaign.
type FollowUp struct {
	ID         uuid.UUID
	CampaignID uuid.UUID
	ContactID  uuid.UUID
	DeliveryID int64
	State      State
	Reason     string // why it was skipped, or ended early
	Thanks     string // what came of the thanks: a channel.Outcome; "" when they were not sent
	ProviderID string // of the thanks
	Code       string // the provider's, of the thanks
	Asked      string // what came of asking for a permission: the state of the request, or the code of why not
	Captured   string // the same of asking for an address
	ReactedAt  time.Time
	UpdatedAt  time.Time
}

// Parts are what the loop is made of.
type Parts struct {
	DB        *db.DB
	Queue     *queue.Queue
	Campaigns *campaign.Service
	Contacts  *contact.Store
	Speaker   *reply.Speaker // nil when Messenger is not set up
	// Ask asks for a permission and returns the state of the request. A fault
	// that is Unavailable is tried again, any other is the answer.
	Ask func(ctx context.Context, contactID, pageID uuid.UUID, topic string) (string, error)
	// Capture asks for an address, in the same manner.
	Capture func(ctx context.Context, contactID, pageID uuid.UUID, q content.Question) (string, error)
	Link    func(delivery int64) string // the personal link of a delivery
	// Leaves, when set, knows other ways of people to say that they do not want
	// to be written to.
	Leaves func(ev channel.Event) bool
	Log    *slog.Logger
	Now    func() time.Time
}

// Loop follows reactions up. It is a listener of callbacks.
type Loop struct{ Parts }

// FollowJob follows one reaction up.
type FollowJob struct {
	FollowUp uuid.UUID `json:"follow_up"`
}

// Kind names the job.
func (FollowJob) Kind() string { return "loop.follow" }

// followParallel is how many people a node writes to at once; how fast is for
// their Page to say.
const followParallel = 16

// New returns the loop, its jobs registered on the queue, which must not be open
// yet.
func New(p Parts) *Loop {
	l := &Loop{p}
	queue.Handle(p.Queue, followParallel, l.follow)
	queue.Keep(p.Queue, time.Hour, tidyJob{}, l.tidy)
	return l
}

// Hear notes who said stop, and begins a follow-up for each reaction to a campaign
// that asks for one: once for each campaign and contact, whatever they do again.
func (l *Loop) Hear(ctx context.Context, tx *db.Tx, h channel.Heard) error {
	if err := l.heed(tx, h); err != nil {
		return err
	}
	ids, err := l.begin(tx, h.Page, h.Reacted)
	if err != nil {
		return err
	}
	orders := make([]queue.Order, len(ids))
	for i, id := range ids {
		orders[i] = queue.Order{Args: FollowJob{id}}
	}
	return l.Queue.Insert(ctx, tx, orders...)
}

// begin writes down what is to follow, and returns what is new. A reaction to an
// escalation is one to the campaign that leads it. What somebody said on another
// Page than the campaign's is not answered on that one.
func (l *Loop) begin(tx *db.Tx, page uuid.UUID, reacted []channel.Reaction) (ids []uuid.UUID, err error) {
	if len(reacted) == 0 {
		return nil, nil
	}
	n := len(reacted)
	fresh, campaigns, contacts := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]uuid.UUID, n)
	deliveries, at := make([]int64, n), make([]time.Time, n)
	for i, r := range reacted {
		fresh[i], campaigns[i], contacts[i], deliveries[i], at[i] = uuid.Must(uuid.NewV7()), r.Campaign, r.Contact, r.Delivery, r.At
	}
	err = tx.Raw(`INSERT INTO follow_ups (id, campaign_id, contact_id, delivery_id, state, reacted_at, updated_at)
		SELECT v.id, r.id, v.contact, v.delivery, 'due', v.at, v.at
		FROM ? JOIN campaigns c ON c.id = v.campaign JOIN campaigns r ON r.id = COALESCE(c.escalation_of, c.id)
			JOIN contacts p ON p.id = v.contact
		WHERE r.follow_up IS NOT NULL AND r.page_id = ? ON CONFLICT (campaign_id, contact_id) DO NOTHING RETURNING id`,
		tx.Values("v", db.UUIDs("id", fresh), db.UUIDs("campaign", campaigns), db.UUIDs("contact", contacts),
			db.Int64s("delivery", deliveries), db.Times("at", at)), page).Scan(&ids).Error
	if err != nil {
		return nil, fmt.Errorf("begin follow-ups: %w", err)
	}
	return ids, nil
}

// Of returns the follow-ups of a contact, newest first: at most limit.
func (l *Loop) Of(ctx context.Context, contactID uuid.UUID, limit int) ([]FollowUp, error) {
	var out []FollowUp
	err := l.DB.Read(ctx).Raw("SELECT * FROM follow_ups WHERE contact_id = ? ORDER BY id DESC LIMIT ?", contactID, limit).Scan(&out).Error
	if err != nil {
		return nil, fmt.Errorf("list follow-ups: %w", err)
	}
	return out, nil
}

// Count says how far the follow-ups of a campaign have come.
type Count struct{ Open, Done, Skipped, Thanked, Asked int64 }

// Count counts the follow-ups of a campaign. What may have gone out counts.
func (l *Loop) Count(ctx context.Context, campaignID uuid.UUID) (c Count, err error) {
	err = l.DB.Read(ctx).Raw(`SELECT COUNT(CASE WHEN state NOT IN ('done', 'skipped') THEN 1 END) AS open, COUNT(CASE WHEN state = 'done' THEN 1 END) AS done,
			COUNT(CASE WHEN state = 'skipped' THEN 1 END) AS skipped, COUNT(CASE WHEN thanks IN ('accepted', 'unknown') THEN 1 END) AS thanked,
			COUNT(CASE WHEN asked IN ('sending', 'sent', 'unknown', 'granted') THEN 1 END) AS asked
		FROM follow_ups WHERE campaign_id = ?`, campaignID).Scan(&c).Error
	if err != nil {
		return c, fmt.Errorf("count follow-ups: %w", err)
	}
	return c, nil
}

// tidyJob forgets follow-ups of campaigns whose deliveries are given up.
type tidyJob struct{}

// Kind names the job.
func (tidyJob) Kind() string { return "loop.tidy" }

const tidyAtOnce = 1000

func (l *Loop) tidy(ctx context.Context) error {
	var gone int64
	err := l.DB.Transact(ctx, func(tx *db.Tx) error {
		res := tx.Exec(`DELETE FROM follow_ups WHERE id IN (SELECT f.id FROM follow_ups f JOIN campaigns c ON c.id = f.campaign_id
			WHERE c.report IS NOT NULL LIMIT ?)`, tidyAtOnce)
		gone = res.RowsAffected
		return res.Error
	})
	switch {
	case err != nil:
		return fmt.Errorf("forget old follow-ups: %w", err)
	case gone == tidyAtOnce:
		return queue.Later(time.Second)
	}
	return nil
}
