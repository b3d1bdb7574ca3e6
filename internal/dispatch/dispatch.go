// Package dispatch is the engine: it plans campaigns in pages, sends them in
// batches, settles what came of each message and sends people on to their next
// lane.
package dispatch

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/queue"
	"beckon/internal/token"
)

// Pages gives the credentials of a Page, and is told when they are refused and
// what Meta turns out to let it do.
type Pages interface {
	Sender(ctx context.Context, id uuid.UUID) (channel.Page, error)
	TokenRefused(ctx context.Context, tx *db.Tx, id uuid.UUID) error
	// Tried learns from what came of messages on a lane not known to work.
	Tried(tx *db.Tx, id uuid.UUID, lane channel.Lane, accepted, dead int) error
}

// Lines says how fast a sender may go, and whether it may go at all.
type Lines interface {
	// Lease takes up to want turns of a line; with want 0 it only asks.
	Lease(tx *db.Tx, name string, want int) (channel.Grant, error)
	// Owe takes more turns than were leased, or gives back those at its end.
	Owe(ctx context.Context, g channel.Grant, units int) error
	// Note acts on what came of a lease.
	Note(tx *db.Tx, g channel.Grant, campaign uuid.UUID, t channel.Tally) error
}

// Purse pays for texts out of what a campaign may spend on them.
type Purse interface {
	// Pay takes what texts cost before they are handed over, for a batch: one
	// payment for each, in order.
	Pay(tx *db.Tx, campaign, batch uuid.UUID, texts []channel.Text) ([]channel.Payment, error)
	// Refund gives back what texts cost that were definitely not taken.
	Refund(tx *db.Tx, campaign uuid.UUID, payments []channel.Payment) error
	// Handed says that the batch has nothing on its way any more.
	Handed(tx *db.Tx, batch uuid.UUID) error
}

// Parts are what the engine drives.
type Parts struct {
	DB        *db.DB
	Queue     *queue.Queue
	Campaigns *campaign.Service
	Contacts  *contact.Store
	Tokens    *token.Store
	Ledger    *delivery.Store
	Pages     Pages
	Lines     Lines
	Purse     Purse
	Senders   map[channel.Kind]channel.Sender
	// Link and Unsubscribe make a delivery's personal URLs.
	Link        func(delivery int64) string
	Unsubscribe func(delivery int64) string
	// Mark makes the name under which a delivery is known at a provider. It must
	// be one that only this installation can read: several may share an account.
	Mark func(delivery int64) string
	// Segments counts the parts of an SMS, for the preview.
	Segments func(text string) int
	// Country is where a phone number is from, as ISO 3166 has it, "" for nowhere.
	Country func(phone string) string
	// AskAgain is how long a person is not asked again for a permission, for
	// audiences of those who may be; 0 means token.DefaultGuard.
	AskAgain time.Duration
	Log      *slog.Logger
	Now      func() time.Time
	// Wait returns after d, or when ctx ends; nil is by the real clock.
	Wait func(ctx context.Context, d time.Duration)
}

// Sizes bound the engine's steps.
type Sizes struct {
	Page     int // contacts planned in one transaction
	Batch    int // deliveries of one send job
	Parallel int // send jobs at once, per lane and node
}

// DefaultSizes suit a small server.
func DefaultSizes() Sizes { return Sizes{Page: 5000, Batch: 500, Parallel: 4} }

// Engine plans and sends. It is safe for use by many goroutines and on many
// nodes over one database.
type Engine struct {
	Parts
	db       *db.DB
	size     Sizes
	chunks   *chunks
	channels map[channel.Kind]bool
}

// SendJob sends one batch.
type SendJob struct {
	Batch uuid.UUID `json:"batch"`
}

// Kind names the job.
func (SendJob) Kind() string { return "dispatch.send" }

// laneQueue is a queue per lane: a slow provider holds up nobody else.
func laneQueue(l channel.Lane) string { return "send_" + string(l) }

// New registers the engine's jobs on the queue.
func New(p Parts, size Sizes) *Engine {
	e := &Engine{Parts: p, db: p.DB, size: size, chunks: newChunks(size.Batch), channels: map[channel.Kind]bool{}}
	if e.Wait == nil {
		e.Wait = wait
	}
	if e.AskAgain == 0 {
		e.AskAgain = token.DefaultGuard
	}
	for kind := range p.Senders {
		e.channels[kind] = true
	}
	queue.Handle(p.Queue, 2, e.plan)
	queue.Handle(p.Queue, 0, e.send)
	e.handleSchedule()
	e.handleReconcile()
	for _, l := range campaign.Lanes() {
		p.Queue.Lane(laneQueue(l), size.Parallel)
	}
	return e
}

// scopeOf is scope for a campaign.
func (e *Engine) scopeOf(q *gorm.DB, def *campaign.Definition) (scope, error) {
	s, err := e.scope(q, def)
	s.recurring = slices.Contains(def.Route, channel.Recurring)
	s.noTokens = !slices.Contains(def.Route, channel.OneTime)
	s.noPSIDs = !slices.ContainsFunc(def.Route, func(l channel.Lane) bool { return l.Kind() == channel.Messenger })
	return s, err
}

// scope reads what of a Page matters to the decision, and whether Meta approved
// the utility template that the campaign names.
func (e *Engine) scope(q *gorm.DB, def *campaign.Definition) (scope, error) {
	s := scope{page: def.PageID, topic: def.Topic, now: e.Now(), channels: e.channels, zoneOf: e.Campaigns.Zone, countryOf: e.Country, capable: map[channel.Lane]string{},
		transactional: def.Transactional}
	name, language := def.Template()
	var found []struct {
		TimeZone, Name, State, Template string
		Closed                          string
		Spent, Waits                    bool
	}
	err := q.Raw(`SELECT p.time_zone, COALESCE(c.name, '') AS name, COALESCE(c.state, '') AS state, COALESCE(t.status, '') AS template,
			COALESCE((SELECT string_agg(country, ',') FROM closed_countries WHERE campaign_id = ?), '') AS closed,
			b.reached_at IS NOT NULL AS spent, COALESCE(b.waits, FALSE) AS waits
		FROM pages p LEFT JOIN capabilities c ON c.page_id = p.id LEFT JOIN budgets b ON b.campaign_id = ?
		LEFT JOIN message_templates t ON t.page_id = p.id AND t.name = ? AND t.language = ? WHERE p.id = ?`, def.Payer, def.Payer, name, language, def.PageID).Scan(&found).Error
	if err != nil {
		return s, fmt.Errorf("read page: %w", err)
	}
	if len(found) == 0 {
		return s, errNoPage
	}
	s.spent, s.saving = found[0].Spent && !found[0].Waits, found[0].Spent && found[0].Waits
	s.closed = countries(found[0].Closed)
	s.pageZone, s.approved = found[0].TimeZone, found[0].Template == channel.TemplateApproved
	for _, c := range found {
		s.capable[channel.Lane(c.Name)] = c.State
	}
	return s, nil
}

// slot is what deliveries that can be sent together have in common: the lane,
// and the moment from which they may go. Zero is at once.
type slot struct {
	lane channel.Lane
	at   time.Time
}

// waiting are deliveries that wait to be sent, by slot.
type waiting map[slot][]int64

func (w waiting) add(lane channel.Lane, at time.Time, id int64) {
	s := slot{lane, at}
	w[s] = append(w[s], id)
}

// addBatches writes batches for waiting deliveries, each with its job in the
// same transaction: two statements, however many there are.
func (e *Engine) addBatches(ctx context.Context, tx *db.Tx, campaign uuid.UUID, w waiting) error {
	var batches []delivery.Batch
	var at []time.Time
	for _, s := range slices.SortedFunc(maps.Keys(w), slot.compare) {
		slices.Sort(w[s])
		for _, b := range e.split(campaign, s.lane, w[s]) {
			batches, at = append(batches, b), append(at, s.at)
		}
	}
	if len(batches) == 0 {
		return nil
	}
	if err := e.Ledger.AddBatches(tx, batches); err != nil {
		return err
	}
	orders := make([]queue.Order, len(batches))
	for i, b := range batches {
		orders[i] = queue.Order{Args: SendJob{b.ID}, Queue: laneQueue(b.Lane), At: at[i]}
	}
	return e.Queue.Insert(ctx, tx, orders...)
}

func (s slot) compare(o slot) int {
	return cmp.Or(laneOrder(s.lane)-laneOrder(o.lane), s.at.Compare(o.at))
}

// split covers ids with ranges no wider than a batch.
func (e *Engine) split(campaign uuid.UUID, lane channel.Lane, ids []int64) []delivery.Batch {
	var out []delivery.Batch
	for _, id := range ids {
		if n := len(out); n > 0 && id < out[n-1].FirstID+int64(e.size.Batch) {
			out[n-1].LastID = id
			continue
		}
		out = append(out, delivery.Batch{CampaignID: campaign, Lane: lane, FirstID: id, LastID: id})
	}
	return out
}
