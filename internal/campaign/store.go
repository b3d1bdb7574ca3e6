package campaign

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/hours"
	"beckon/internal/queue"
)

// Settings are what a campaign may count on here.
type Settings struct {
	Channels map[channel.Kind]bool // those that are set up
	Sender   content.Sender        // who e-mails come from
	Budgets  Budgets
	Now      func() time.Time
}

// Service keeps campaigns and leads them through their states.
type Service struct {
	db    *db.DB
	queue *queue.Queue
	set   Settings
	cache *definitions
	atlas *hours.Atlas
}

// NewService returns a service over an open, migrated database.
func NewService(d *db.DB, q *queue.Queue, set Settings) *Service {
	return &Service{db: d, queue: q, set: set, cache: newDefinitions(), atlas: hours.NewAtlas()}
}

// ErrNone says that there is no such campaign.
var ErrNone = fault.New(fault.NotFound, "campaign_not_found", "There is no such campaign.")

// Patch is what of a campaign is to be set; nil leaves a part as it is. An
// empty Route asks for the default: every lane that there is something to say on.
type Patch struct {
	Name          *string
	PageID        *uuid.UUID
	Topic         *string
	Audience      json.RawMessage
	Route         *[]channel.Lane
	Content       *content.Source
	FallThrough   *bool
	Transactional *bool
	// StartsAt and EndsAt: the zero time removes. With StartsLocal the date and
	// time count as they are written, in whatever zone.
	StartsAt           *time.Time
	StartsLocal        *bool
	EndsAt             *time.Time
	AllowedHours       json.RawMessage // null asks for the default
	EscalateAfterHours *int            // 0 is never
	FollowUp           json.RawMessage // a FollowUp; null is nothing
	Budget             json.RawMessage // a JSON merge patch of what Budgets keeps; null is without limit
	// AsOf, when set, is the UpdatedAt of the draft that the change was made
	// from: one changed since is left alone.
	AsOf time.Time
}

// Create stores a draft. The definition that comes with it carries the warnings.
func (s *Service) Create(ctx context.Context, p Patch) (Campaign, *Definition, error) {
	now := s.set.Now()
	c := Campaign{ID: uuid.Must(uuid.NewV7()), State: Draft, Audience: "{}", Content: "{}", Route: "[]", FallThrough: true, CreatedAt: now, UpdatedAt: now}
	return s.save(ctx, c, p, func(tx *db.Tx, c *Campaign) error { return tx.Create(c).Error })
}

// Update changes a draft.
func (s *Service) Update(ctx context.Context, id uuid.UUID, p Patch) (Campaign, *Definition, error) {
	c, err := s.Get(ctx, id)
	if err != nil {
		return c, nil, err
	}
	if c.State != Draft {
		return s.rebudget(ctx, c, p)
	}
	if !p.AsOf.IsZero() && !p.AsOf.Equal(c.UpdatedAt) {
		return c, nil, errChanged
	}
	return s.save(ctx, c, p, func(tx *db.Tx, c *Campaign) error {
		res := tx.Model(&Campaign{}).Where("id = ? AND state = ? AND updated_at = ?", id, Draft, c.UpdatedAt).
			Select("name", "page_id", "topic", "audience", "route", "content", "fall_through", "transactional",
				"starts_at", "starts_local", "ends_at", "allowed_hours", "escalate_after_hours", "follow_up", "budget", "updated_at").
			UpdateColumns(c.touched(s.set.Now()))
		if res.Error == nil && res.RowsAffected == 0 {
			return errChanged
		}
		return res.Error
	})
}

var (
	errFrozen  = fault.New(fault.Conflict, "campaign_frozen", "Only a draft can be changed.")
	errChanged = fault.New(fault.Conflict, "changed_meanwhile", "The campaign was changed or started by somebody else; read it again.")
)

// touched is the campaign with a new time of change: always a later one, since
// that is what tells of a change made meanwhile.
func (c *Campaign) touched(now time.Time) Campaign {
	n := *c
	n.UpdatedAt = now
	if !now.After(c.UpdatedAt) {
		n.UpdatedAt = c.UpdatedAt.Add(time.Microsecond)
	}
	return n
}

func (s *Service) save(ctx context.Context, c Campaign, p Patch, write func(*db.Tx, *Campaign) error) (Campaign, *Definition, error) {
	if err := c.apply(p); err != nil {
		return c, nil, err
	}
	def, defErr := s.Define(c)
	if defErr != nil && !fault.Is(defErr, fault.Invalid) {
		return c, nil, defErr
	}
	err := s.db.Transact(ctx, func(tx *db.Tx) error {
		unknown, err := c.checkNames(tx)
		if err != nil {
			return err
		}
		misfits, err := c.checkTemplate(tx.DB)
		if err != nil {
			return err
		}
		budget, err := s.readBudget(tx, &c)
		if err != nil {
			return err
		}
		if err := fault.InvalidFields(slices.Concat(c.checkText(), unknown, misfits, budget, fieldsOf(defErr))...); err != nil {
			return err
		}
		return write(tx, &c)
	})
	if err != nil {
		return c, nil, fmt.Errorf("save a campaign: %w", err)
	}
	saved, err := s.Get(ctx, c.ID)
	if err != nil {
		return saved, def, err
	}
	def.Warnings, err = s.wary(ctx, def)
	return saved, def, err
}

func (c *Campaign) apply(p Patch) error {
	set(&c.Name, p.Name)
	set(&c.PageID, p.PageID)
	set(&c.Topic, p.Topic)
	set(&c.FallThrough, p.FallThrough)
	set(&c.Transactional, p.Transactional)
	c.reschedule(p)
	if p.FollowUp != nil {
		c.FollowUp = nil
		if string(p.FollowUp) != "null" {
			c.FollowUp = new(string(p.FollowUp))
		}
	}
	if p.Audience != nil {
		c.Audience = string(p.Audience)
	}
	old, err := c.Source()
	if err != nil {
		return err
	}
	lanes, err := c.Lanes()
	if err != nil {
		return err
	}
	src := old
	set(&src, p.Content)
	switch {
	case p.Route != nil && len(*p.Route) > 0:
		lanes = *p.Route
	case p.Route != nil || slices.Equal(lanes, defaultRoute(old)): // the default follows the content
		lanes = defaultRoute(src)
	}
	return errors.Join(store(&c.Content, src), store(&c.Route, lanes), c.patchBudget(p.Budget))
}

func set[T any](at, to *T) {
	if to != nil {
		*at = *to
	}
}

func store(at *string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("store a campaign: %w", err)
	}
	*at = string(b)
	return nil
}

// MaxName is the longest name of a campaign, in characters.
const MaxName = 200

// Define reads and compiles a campaign as it would go out from this server. Its
// mistakes are fault.Invalid, all at once.
func (s *Service) Define(c Campaign) (*Definition, error) { return c.Define(s.set.Sender) }

// checkText looks for what cannot be shown or stored.
func (c *Campaign) checkText() []fault.Field {
	var out []fault.Field
	if strings.TrimSpace(c.Name) == "" || utf8.RuneCountInString(c.Name) > MaxName {
		out = append(out, fault.Field{Pointer: "/name", Code: "bad_length", Detail: "A name has 1 to 200 characters."})
	}
	if strings.ContainsRune(c.Name, 0) || !utf8.ValidString(c.Name) {
		out = append(out, fault.Field{Pointer: "/name", Code: "bad_text", Detail: noNUL})
	}
	if c.FollowUp != nil && holdsNUL(*c.FollowUp) {
		out = append(out, fault.Field{Pointer: pointerFollowUp, Code: "bad_text", Detail: noNUL})
	}
	if holdsNUL(c.Content) {
		out = append(out, fault.Field{Pointer: "/content", Code: "bad_text", Detail: noNUL})
	}
	return out
}

const noNUL = "Must be text without NUL characters: PostgreSQL keeps none."

// holdsNUL reports whether any string of a JSON text holds the NUL character.
func holdsNUL(text string) bool {
	for d := json.NewDecoder(strings.NewReader(text)); ; {
		token, err := d.Token()
		if err != nil {
			return false
		}
		if s, ok := token.(string); ok && strings.ContainsRune(s, 0) {
			return true
		}
	}
}

// checkNames looks up what the campaign names.
func (c *Campaign) checkNames(tx *db.Tx) ([]fault.Field, error) {
	var page, topic bool
	err := tx.Raw("SELECT EXISTS (SELECT 1 FROM pages WHERE id = ?), EXISTS (SELECT 1 FROM topics WHERE slug = ?)",
		c.PageID, c.Topic).Row().Scan(&page, &topic)
	if err != nil {
		return nil, fmt.Errorf("look up page and topic: %w", err)
	}
	var out []fault.Field
	if !page {
		out = append(out, fault.Field{Pointer: "/page_id", Code: "page_not_found", Detail: "There is no such page."})
	}
	if !topic {
		out = append(out, fault.Field{Pointer: "/topic", Code: "topic_not_found", Detail: "There is no such topic."})
	}
	asking, err := c.askable(tx)
	return append(out, asking...), err
}

// Warnings tells what may go wrong with a campaign: what its content lacks, and
// channels that are not set up here. What an older release took and this one
// does not is a warning too.
func (s *Service) Warnings(ctx context.Context, c Campaign) ([]content.Warning, error) {
	def, err := s.Define(c)
	if fault.Is(err, fault.Invalid) {
		var out []content.Warning
		for _, f := range fieldsOf(err) {
			out = append(out, content.Warning(f))
		}
		return out, nil
	}
	if err != nil {
		return nil, err
	}
	return s.wary(ctx, def)
}

// wary is every warning about a campaign.
func (s *Service) wary(ctx context.Context, def *Definition) ([]content.Warning, error) {
	unapproved, err := s.unapproved(ctx, def)
	return slices.Concat(def.Warnings, s.absent(def), s.followsWithoutMessenger(def), unapproved), err
}

// absent warns of lanes whose channel is not set up here.
func (s *Service) absent(def *Definition) []content.Warning {
	var out []content.Warning
	for i, l := range def.Route {
		if !s.set.Channels[l.Kind()] {
			out = append(out, content.Warning{Pointer: fmt.Sprintf("/route/%d", i), Code: "channel_absent",
				Detail: "The channel " + string(l.Kind()) + " is not set up on this server."})
		}
	}
	return out
}

func fieldsOf(err error) []fault.Field {
	var f *fault.Error
	if errors.As(err, &f) {
		return f.Fields
	}
	return nil
}

// Get returns a campaign.
func (s *Service) Get(ctx context.Context, id uuid.UUID) (Campaign, error) {
	var c Campaign
	err := s.db.Read(ctx).Where("id = ?", id).Take(&c).Error
	if db.IsNone(err) {
		return c, ErrNone
	}
	if err != nil {
		return c, fmt.Errorf("read a campaign: %w", err)
	}
	return c, nil
}

// List returns campaigns, but no escalations and no tests, newest first, that come after the given one;
// uuid.Nil starts at the newest.
func (s *Service) List(ctx context.Context, after uuid.UUID, limit int) ([]Campaign, error) {
	q := s.db.Read(ctx).Where("escalation_of IS NULL AND test_of IS NULL").Order("id DESC").Limit(limit)
	if after != uuid.Nil {
		q = q.Where("id < ?", after)
	}
	var out []Campaign
	if err := q.Find(&out).Error; err != nil {
		return nil, fmt.Errorf("list campaigns: %w", err)
	}
	return out, nil
}

// Delete removes a draft.
func (s *Service) Delete(ctx context.Context, id uuid.UUID) error {
	if _, err := s.Get(ctx, id); err != nil {
		return err
	}
	err := s.db.Transact(ctx, func(tx *db.Tx) error {
		res := tx.Where("id = ? AND state = ?", id, Draft).Delete(&Campaign{})
		if res.Error == nil && res.RowsAffected == 0 {
			return errFrozen
		}
		return res.Error
	})
	if err != nil {
		return fmt.Errorf("delete a campaign: %w", err)
	}
	return nil
}
