// Package campaign is a campaign's definition and its life from draft to
// finished.
package campaign

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/audience"
	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/fault"
)

// State is where a campaign stands.
type State string

// The states of a campaign.
const (
	Draft     State = "draft"
	Scheduled State = "scheduled"
	Running   State = "running"
	Paused    State = "paused"
	Finished  State = "finished"
	Cancelled State = "cancelled"
)

// Campaign is one intent of a marketer. Audience, route, content and allowed
// hours are JSON as stored; Define reads them.
type Campaign struct {
	ID          uuid.UUID
	Name        string
	PageID      uuid.UUID
	Topic       string
	Audience    string
	Route       string
	Content     string
	FallThrough bool
	// Transactional says that the campaign tells people of something they asked
	// for, and advertises nothing: the lane utility is for such campaigns only.
	Transactional bool
	StartsAt      *time.Time // not before; with StartsLocal, what it reads in UTC is the clock on each contact's wall
	StartsLocal   bool
	EndsAt        *time.Time // the deadline
	AllowedHours  *string    // nil is the default
	// EscalateAfterHours is how long a silence lasts after a Messenger delivery
	// before the person gets one more message, on a link-back lane; 0 is never.
	EscalateAfterHours int
	// EscalationOf is the campaign whose silent people this one writes to again;
	// such a campaign is led by that one.
	EscalationOf *uuid.UUID
	// TestOf is the campaign that this one tries on one contact.
	TestOf       *uuid.UUID
	FollowUp     *string // what follows when somebody reacts, JSON; nil is nothing
	Budget       *string // the most it may spend on texts, JSON as Budgets.Read returned it; nil is without limit
	State        State
	PlannedTo    *uuid.UUID // last contact planned
	PlannedUntil *uuid.UUID // last contact to plan
	PlannedAt    *time.Time
	StartedAt    *time.Time
	FinishedAt   *time.Time
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Definition is what a campaign means: its stored parts read and compiled. It
// is safe for use by many goroutines.
type Definition struct {
	ID            uuid.UUID
	Payer         uuid.UUID // whose budget its texts are paid from: its own, or that of the campaign it escalates
	Name          string
	PageID        uuid.UUID
	Topic         string
	FallThrough   bool
	Transactional bool
	Audience      audience.Audience
	Route         []channel.Lane
	Content       *content.Compiled
	FollowUp      *Following // nil when nothing follows
	Warnings      []content.Warning
	Sender        content.Sender // of its e-mails
	Schedule
}

// Where returns the audience as a condition over contacts, which have the given
// alias: see audience.Audience.Where. Guard is how long a person is not asked again
// for a permission.
func (d *Definition) Where(alias string, now time.Time, guard time.Duration) (sql string, args []any) {
	return d.Audience.Where(alias, audience.Moment{Now: now, Guard: guard})
}

// Lanes reads the stored route.
func (c Campaign) Lanes() ([]channel.Lane, error) {
	var lanes []channel.Lane
	if err := json.Unmarshal([]byte(c.Route), &lanes); err != nil {
		return nil, fmt.Errorf("read the route of campaign %s: %w", c.ID, err)
	}
	return lanes, nil
}

// Source reads the stored content.
func (c Campaign) Source() (content.Source, error) {
	var src content.Source
	if err := json.Unmarshal([]byte(c.Content), &src); err != nil {
		return src, fmt.Errorf("read the content of campaign %s: %w", c.ID, err)
	}
	return src, nil
}

// Define reads and compiles a campaign whose e-mails come from that sender. Its
// mistakes are fault.Invalid, all at once; pointers start at the campaign's fields.
func (c Campaign) Define(by content.Sender) (*Definition, error) {
	lanes, err := c.Lanes()
	if err != nil {
		return nil, err
	}
	src, err := c.Source()
	if err != nil {
		return nil, err
	}
	who, whoErr := audience.Parse(json.RawMessage(c.Audience))
	compiled, warnings, whatErr := content.Compile(src, by)
	when, whenErr := c.schedule(lanes)
	then, thenWarnings, thenErr := c.following()
	if thenErr != nil && !fault.Is(thenErr, fault.Invalid) {
		return nil, thenErr
	}
	if err := fault.InvalidFields(slices.Concat(fieldsOf(whoErr), fieldsOf(whatErr), c.checkRoute(lanes, src), fieldsOf(whenErr), fieldsOf(thenErr))...); err != nil {
		return nil, err
	}
	return &Definition{ID: c.ID, Payer: c.payer(), Name: c.Name, PageID: c.PageID, Topic: c.Topic, FallThrough: c.FallThrough,
		Transactional: c.Transactional, Audience: who, Route: lanes, Content: compiled, FollowUp: then, Warnings: append(warnings, thenWarnings...), Sender: by, Schedule: when}, nil
}

func (c Campaign) payer() uuid.UUID {
	if c.EscalationOf != nil {
		return *c.EscalationOf
	}
	return c.ID
}

// Template names the utility template of the campaign; both are "" when it has
// none.
func (d *Definition) Template() (name, language string) { return d.Content.Template() }

// Lanes returns the lanes that campaigns can take, in the default order of
// preference.
func Lanes() []channel.Lane { return channel.Lanes() }

func (c Campaign) checkRoute(lanes []channel.Lane, src content.Source) []fault.Field {
	if len(lanes) == 0 {
		return []fault.Field{{Pointer: "/content", Code: "required", Detail: "Say something on at least one channel: messenger, utility, sms or email."}}
	}
	var out []fault.Field
	seen := map[channel.Lane]bool{}
	for i, l := range lanes {
		at := fmt.Sprintf("/route/%d", i)
		switch {
		case !l.Valid():
			out = append(out, fault.Field{Pointer: at, Code: "not_allowed", Detail: "This lane is not one of window, one_time, utility, recurring, sms, email."})
		case seen[l]:
			out = append(out, fault.Field{Pointer: at, Code: "duplicate", Detail: "Each lane stands in a route once."})
		case !says(src, l):
			out = append(out, fault.Field{Pointer: "/content/" + Part(l), Code: "required", Detail: "The route has the lane " + string(l) + ", but there is nothing to say on it."})
		case l == channel.Utility && !c.Transactional:
			out = append(out, fault.Field{Pointer: "/transactional", Code: "not_transactional", Detail: "Utility messages are for campaigns that are declared transactional."})
		}
		seen[l] = true
	}
	return out
}

// Part is the member of the content that is said on a lane.
func Part(l channel.Lane) string {
	if l == channel.Utility {
		return string(l)
	}
	return string(l.Kind())
}

func says(src content.Source, l channel.Lane) bool {
	switch {
	case l == channel.Utility:
		return src.Utility != nil
	case l.Kind() == channel.Messenger:
		return src.Messenger != nil
	case l.Kind() == channel.SMS:
		return src.SMS != nil
	case l.Kind() == channel.Email:
		return src.Email != nil
	}
	return false
}

// defaultRoute is every lane that there is something to say on, but the one of
// recurring tokens, which Meta has ended in most of the world: it has to be asked for.
func defaultRoute(src content.Source) []channel.Lane {
	return slices.DeleteFunc(Lanes(), func(l channel.Lane) bool { return l == channel.Recurring || !says(src, l) })
}
