package dispatch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/route"
	"beckon/internal/token"
)

// retryAfter is when to try again what a provider did not take without saying when.
const retryAfter = 5 * time.Second

// settled is a try with what came of it.
type settled struct {
	delivery.Try
	contact uuid.UUID
	psid    string    // with Messenger
	address string    // with SMS and e-mail: where it went, or "" where only the contact is known
	at      time.Time // when the provider says it happened; zero is now
	result  channel.Result
	late    bool // told after its batch was worked off
	kept    bool // never handed over
	paid    channel.Payment
}

// effects collects what a number of outcomes ask for, so that each kind of
// effect is one statement.
type effects struct {
	ledger  []delivery.Settlement
	tokens  []token.Fate
	permits []token.Use // recurring tokens
	blocked []string    // PSIDs that cannot be reached
	closed  []string    // PSIDs whose window is closed after all
	held    []string    // PSIDs whose thread another app holds
	silence []contact.Silence
	missed  []contact.Missed
	stop    *channel.Result
	fallers []settled
	// unwanted refused after their chunk was claimed, and were left out.
	unwanted []settled
	onward   waiting // who is to have a batch of their own
}

// settle is the one function that acts on outcomes. All tries are of one
// campaign; scope was read in this transaction or just before.
func (e *Engine) settle(ctx context.Context, tx *db.Tx, def *campaign.Definition, s scope, outcomes []settled) error {
	if len(outcomes) == 0 {
		return nil
	}
	s.now = e.Now()
	fx := &effects{onward: waiting{}}
	for _, o := range outcomes {
		fx.add(o, def, s.now)
	}
	if err := e.apply(ctx, tx, fx, def); err != nil {
		return err
	}
	if err := e.closeCountries(tx, def, s, outcomes); err != nil {
		return err
	}
	if err := e.fallThrough(tx, def, s, fx); err != nil {
		return err
	}
	moved, err := e.Ledger.Settle(tx, fx.ledger)
	if err != nil {
		return err
	}
	left, err := e.leaveOut(tx, def, s, fx)
	if err != nil {
		return err
	}
	maps.Copy(moved, left)
	if err := e.Purse.Refund(tx, def.Payer, untaken(outcomes, moved)); err != nil {
		return err
	}
	if err := e.Campaigns.Filtered(tx, def.Payer, filtered(outcomes, moved)); err != nil {
		return err
	}
	for s := range fx.onward {
		fx.onward[s] = slices.DeleteFunc(fx.onward[s], func(id int64) bool { return !moved[id] })
	}
	return e.addBatches(ctx, tx, def.ID, fx.onward)
}

// add says what to do next for each outcome of the closed set.
func (fx *effects) add(o settled, def *campaign.Definition, now time.Time) {
	o.result.Outcome = o.inTheEnd()
	set := delivery.Settlement{Try: o.Try, Outcome: o.result.Outcome, Result: o.result, Made: o.late}
	switch o.result.Outcome {
	case channel.Accepted:
		set.To = delivery.Accepted
		fx.token(o, token.Spent)
	case channel.TryLater:
		if o.result.Unwanted {
			fx.token(o, token.Available)
			fx.unwanted = append(fx.unwanted, o)
			return
		}
		if o.result.Elsewhere {
			fx.held = append(fx.held, o.psid)
		}
		fx.back(&set, o, def, now.Add(cmpOr(o.result.RetryAfter, retryAfter)))
	case channel.StopTheLine:
		fx.stop = &o.result
		fx.back(&set, o, def, now)
	case channel.Refused, channel.Gone, channel.OptedOut, channel.TokenDead:
		fx.refused(o)
		return
	default: // Unknown, and whatever a sender makes up
		set.Outcome, set.To = channel.Unknown, delivery.Unknown
		fx.token(o, token.Spent)
	}
	fx.ledger = append(fx.ledger, set)
}

// inTheEnd is the outcome, but that what was taken and failed for a passing reason
// is not tried again for ever.
func (o settled) inTheEnd() channel.Outcome {
	if o.late && o.result.Outcome == channel.TryLater && o.result.Tries > 0 && o.N >= o.result.Tries {
		return channel.Refused
	}
	return o.result.Outcome
}

func (fx *effects) back(set *delivery.Settlement, o settled, def *campaign.Definition, at time.Time) {
	set.To, set.NextLane, set.NotBefore = delivery.Pending, o.Lane, at
	set.RouteFrom = max(slices.Index(def.Route, o.Lane), 0)
	fx.token(o, token.Available)
	if o.late { // else the batch that sent it has it still
		fx.onward.add(o.Lane, at, o.Delivery)
	}
}

func (fx *effects) refused(o settled) {
	fate, kind := token.Available, o.Lane.Kind()
	switch {
	case o.result.Outcome == channel.TokenDead && o.Lane == channel.Window:
		fx.closed = append(fx.closed, o.psid)
	case o.result.Outcome == channel.TokenDead:
		fate = token.Void
	case o.result.Outcome == channel.Gone && kind == channel.Messenger:
		fx.blocked = append(fx.blocked, o.psid)
	case o.result.Outcome == channel.Gone || o.result.Outcome == channel.OptedOut:
		fx.silence = append(fx.silence, contact.Silence{Channel: kind, Address: o.address, ContactID: o.whose(), Reason: silenceReason(o), Source: provider, At: o.at})
	case o.result.Soft:
		fx.missed = append(fx.missed, contact.Missed{Channel: kind, Address: o.address, ContactID: o.whose(), Delivery: o.Delivery, Source: provider, At: o.at})
	}
	fx.token(o, fate)
	fx.fallers = append(fx.fallers, o)
}

// provider is the source of what a provider says about an address.
const provider = "provider"

// whose is the contact, where the address a message went to is not known: a
// contact may have another one by now.
func (o *settled) whose() uuid.UUID {
	if o.address != "" {
		return uuid.Nil
	}
	return o.contact
}

func (fx *effects) token(o settled, to token.Status) {
	switch {
	case o.TokenID == nil:
	case o.Lane == channel.Recurring:
		fx.permits = append(fx.permits, token.Use{TokenID: *o.TokenID, Delivery: o.Delivery, Outcome: o.result.Outcome, Code: o.result.Code})
	default:
		fx.tokens = append(fx.tokens, token.Fate{TokenID: *o.TokenID, Delivery: o.Delivery, To: to})
	}
}

// apply writes the effects on people, tokens and senders.
func (e *Engine) apply(ctx context.Context, tx *db.Tx, fx *effects, def *campaign.Definition) error {
	now, page := e.Now(), def.PageID
	if _, err := e.Tokens.Settle(ctx, tx, fx.tokens); err != nil {
		return err
	}
	if _, err := e.Tokens.SettleRecurring(ctx, tx, fx.permits); err != nil {
		return err
	}
	if err := e.Contacts.Block(ctx, tx, page, fx.blocked, now); err != nil {
		return err
	}
	if err := e.Contacts.CloseWindow(ctx, tx, page, fx.closed, now); err != nil {
		return err
	}
	if err := e.Contacts.HoldThreads(ctx, tx, page, fx.held...); err != nil {
		return err
	}
	if err := e.Contacts.Miss(ctx, tx, fx.missed); err != nil {
		return err
	}
	if err := e.Contacts.Suppress(ctx, tx, fx.silence); err != nil {
		return err
	}
	if fx.stop != nil {
		return e.stopLine(ctx, tx, fx, def)
	}
	return nil
}

func silenceReason(o settled) string {
	optOut := o.result.Outcome == channel.OptedOut
	switch {
	case optOut && o.result.Refusal == channel.ByComplaint:
		return contact.ReasonComplaint
	case optOut && o.Lane == channel.LaneSMS:
		return contact.ReasonStop
	case optOut:
		return contact.ReasonUnsubscribe
	case o.Lane == channel.LaneSMS:
		return contact.ReasonUndeliverable
	}
	return contact.ReasonBounce
}

// stopLine keeps everybody off a sender that cannot send, until somebody resumes
// it: nothing else is burned on it.
func (e *Engine) stopLine(ctx context.Context, tx *db.Tx, fx *effects, def *campaign.Definition) error {
	line := fx.ledger[0].Lane.Line(def.PageID.String())
	e.Log.ErrorContext(ctx, "sending is stopped", "sender", line, "code", fx.stop.Code, "detail", fx.stop.Detail)
	err := e.Lines.Note(tx, channel.Grant{Line: line}, def.ID, channel.Tally{Tried: 1, Stop: fx.stop})
	if err == nil && strings.HasPrefix(fx.stop.Code, "190") {
		err = e.Pages.TokenRefused(ctx, tx, def.PageID)
	}
	if err != nil {
		return fmt.Errorf("stop the line: %w", err)
	}
	return nil
}

// fallThrough finds the next open lane for everybody who was definitely
// refused, and adds their settlements.
func (e *Engine) fallThrough(tx *db.Tx, def *campaign.Definition, s scope, fx *effects) error {
	if len(fx.fallers) == 0 {
		return nil
	}
	people, err := e.whoFalls(tx, def, s, fx.fallers)
	if err != nil {
		return err
	}
	for _, o := range fx.fallers {
		set := delivery.Settlement{Try: o.Try, Outcome: o.result.Outcome, Result: o.result, To: delivery.Failed, Reason: string(o.result.Outcome)}
		from := slices.Index(def.Route, o.Lane) + 1
		p, found := people[o.contact]
		d := route.Decide(p.reach, def.Route[from:], s.now)
		switch {
		case !found || !d.Reachable():
		case def.Over(s.now):
			set.To = delivery.Expired
		default:
			set.To, set.NextLane, set.RouteFrom, set.Reason = delivery.Pending, d.Lane, from, ""
			if set.NotBefore = def.NotBefore(d.Lane, s.now, p.zone); !set.NotBefore.IsZero() {
				set.To = delivery.Held
			}
			fx.onward.add(d.Lane, set.NotBefore, o.Delivery)
		}
		fx.ledger = append(fx.ledger, set)
	}
	return nil
}

func (e *Engine) whoFalls(tx *db.Tx, def *campaign.Definition, s scope, fallers []settled) (map[uuid.UUID]person, error) {
	if !def.FallThrough {
		return map[uuid.UUID]person{}, nil
	}
	ids := make([]uuid.UUID, len(fallers))
	for i, o := range fallers {
		ids[i] = o.contact
	}
	return s.people(tx, ids)
}

func cmpOr(d, or time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return or
}
