package loop

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

const (
	// fresh is how long after a reaction something may follow: later it would
	// answer nothing any more.
	fresh = time.Hour
	// soon is when something is tried again, if nobody says when.
	soon = 2 * time.Second
	// seldom is when a question is tried again: what stops a Page from asking
	// lasts longer than what holds up a message.
	seldom = 15 * time.Second
)

// turn is a follow-up whose next step may be taken now.
type turn struct {
	FollowUp
	place
	def *campaign.Definition
}

// place is where the person stands now.
type place struct {
	Page         uuid.UUID
	PageName     string
	Campaign     campaign.State
	PSID         string `gorm:"column:psid"`
	LastActionAt *time.Time
	BlockedAt    *time.Time
	HeldUntil    *time.Time // another app holds the conversation
	Stopped      bool
}

// follow takes one step after the other. Each is written down before it is
// taken; a step that was cut off is not taken again, but the thanks may then
// have gone out or not.
func (l *Loop) follow(ctx context.Context, job queue.Job[FollowJob]) error {
	t, err := l.next(ctx, job.Args.FollowUp)
	for err == nil {
		switch t.State {
		case Thanking:
			t, err = l.thank(ctx, t)
		case Asking:
			t, err = l.ask(ctx, t)
		case Capturing:
			t, err = l.capture(ctx, t)
		default:
			return nil
		}
	}
	return err
}

// next finds the next step and writes down that it is taken. A follow-up that is
// over, or whose contact is gone, has none.
func (l *Loop) next(ctx context.Context, id uuid.UUID) (t turn, err error) {
	var found []FollowUp
	if err := l.DB.Read(ctx).Raw("SELECT * FROM follow_ups WHERE id = ?", id).Scan(&found).Error; err != nil {
		return t, fmt.Errorf("read a follow-up: %w", err)
	}
	if len(found) == 0 {
		return t, nil
	}
	def, err := l.Campaigns.Definition(ctx, found[0].CampaignID)
	if err != nil {
		return t, err
	}
	err = l.DB.Transact(ctx, func(tx *db.Tx) error {
		t, err = l.step(tx, id, def)
		return err
	})
	return t, err
}

func (l *Loop) step(tx *db.Tx, id uuid.UUID, def *campaign.Definition) (turn, error) {
	var found []FollowUp
	if err := tx.Raw("SELECT * FROM follow_ups WHERE id = ?"+tx.ForUpdate(), id).Scan(&found).Error; err != nil {
		return turn{}, fmt.Errorf("lock a follow-up: %w", err)
	}
	if len(found) == 0 || found[0].over() {
		return turn{}, nil
	}
	t := turn{FollowUp: found[0], def: def}
	if t.State == Thanking { // cut off in the middle
		t.Thanks, t.State = string(channel.Unknown), Asking
	}
	return l.onward(tx, t)
}

// onward takes a follow-up to its next step.
func (l *Loop) onward(tx *db.Tx, t turn) (turn, error) {
	var err error
	if t.State == Done {
		return t, l.save(tx, t.FollowUp)
	}
	if t.place, err = l.look(tx, t.FollowUp); err != nil {
		return turn{}, err
	}
	why := t.closed(l.Now())
	if l.Speaker == nil {
		why = "channel_absent"
	}
	if why != "" {
		t.end(why)
	} else if err := l.advance(tx, &t); err != nil {
		return turn{}, err
	}
	return t, l.save(tx, t.FollowUp)
}

func (f *FollowUp) over() bool { return f.State == Done || f.State == Skipped }

// end ends a follow-up early.
func (f *FollowUp) end(why string) {
	f.Reason = why
	if f.State == Due && f.Thanks == "" {
		f.State = Skipped
	} else {
		f.State = Done
	}
}

// look reads where the person stands.
func (l *Loop) look(tx *db.Tx, f FollowUp) (p place, err error) {
	var found []place
	err = tx.Raw(`SELECT c.page_id AS page, p.name AS page_name, c.state AS campaign, COALESCE(a.psid, '') AS psid, a.last_action_at, a.blocked_at, a.held_until,
			COALESCE(s.stopped, FALSE) AS stopped
		FROM campaigns c JOIN pages p ON p.id = c.page_id
			LEFT JOIN messenger_addresses a ON a.page_id = c.page_id AND a.contact_id = ?
			LEFT JOIN stops s ON s.page_id = c.page_id AND s.contact_id = ?
		WHERE c.id = ?`, f.ContactID, f.ContactID, f.CampaignID).Scan(&found).Error
	if err != nil || len(found) == 0 {
		return p, fmt.Errorf("look where somebody stands: %w", errors.Join(err, errGone))
	}
	return found[0], nil
}

var errGone = errors.New("the campaign or its page is gone")

// closed says why nothing may be said to the person now; "" when it may.
func (t *turn) closed(now time.Time) string {
	switch {
	case t.Campaign == campaign.Cancelled:
		return "cancelled"
	case t.PSID == "":
		return "no_address"
	case t.BlockedAt != nil:
		return "blocked"
	case t.Stopped:
		return "stopped"
	case t.HeldUntil != nil && now.Before(*t.HeldUntil):
		return "thread_held"
	case !channel.InWindow(t.LastActionAt, now):
		return "window_closed"
	case now.Sub(t.ReactedAt) > fresh:
		return "too_late"
	}
	return ""
}

// advance passes over the steps with nothing to do.
func (l *Loop) advance(tx *db.Tx, t *turn) error {
	then := t.def.FollowUp
	if t.State == Due {
		t.State = Thanking
	}
	if t.State == Thanking && then.Thanks == nil {
		t.State = Asking
	}
	if t.State == Asking {
		wanted, err := l.wanted(tx, t)
		if err != nil {
			return err
		}
		if !wanted {
			t.State = Capturing
		}
	}
	if t.State == Capturing && (then.Capture == nil || l.Capture == nil) {
		t.State = Done
	}
	return nil
}

// wanted reports whether a permission is to be asked for: not of somebody who
// holds one that is not used yet.
func (l *Loop) wanted(tx *db.Tx, t *turn) (bool, error) {
	topic := t.def.FollowUp.Topic
	if topic == "" || t.Asked != "" {
		return false, nil
	}
	var has bool
	err := tx.Raw(`SELECT EXISTS (SELECT 1 FROM tokens WHERE contact_id = ? AND page_id = ? AND topic = ? AND status = 'available' AND expires_at > ?)`,
		t.ContactID, t.Page, topic, l.Now()).Scan(&has).Error
	if err != nil {
		return false, fmt.Errorf("look for a permission: %w", err)
	}
	if has {
		t.Asked = "has_token"
	}
	return !has, nil
}

func (l *Loop) save(tx *db.Tx, f FollowUp) error {
	err := tx.Exec(`UPDATE follow_ups SET state = ?, reason = ?, thanks = ?, provider_id = ?, code = ?, asked = ?, captured = ?, updated_at = ? WHERE id = ?`,
		f.State, f.Reason, f.Thanks, f.ProviderID, f.Code, f.Asked, f.Captured, l.Now(), f.ID).Error
	if err != nil {
		return fmt.Errorf("save a follow-up: %w", err)
	}
	return nil
}

// settle writes down what came of a step, whoever has gone meanwhile, and begins
// the next one.
func (l *Loop) settle(ctx context.Context, t turn) (after turn, err error) {
	err = l.DB.Transact(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		after, err = l.onward(tx, t)
		return err
	})
	return after, err
}

// ask asks for a permission.
func (l *Loop) ask(ctx context.Context, t turn) (turn, error) {
	state, err := l.Ask(ctx, t.ContactID, t.Page, t.def.FollowUp.Topic)
	if t.Asked, err = answered(state, err); err != nil {
		return t, err
	}
	t.State = Capturing
	return l.settle(ctx, t)
}

// capture asks for an address.
func (l *Loop) capture(ctx context.Context, t turn) (turn, error) {
	state, err := l.Capture(ctx, t.ContactID, t.Page, *t.def.FollowUp.Capture)
	if t.Captured, err = answered(state, err); err != nil {
		return t, err
	}
	t.State = Done
	return l.settle(ctx, t)
}

// answered is what came of asking. That it may not be is an answer too, as is
// that it may not be before a person lets the Page ask again.
func answered(state string, err error) (string, error) {
	var f *fault.Error
	switch {
	case err == nil:
		return state, nil
	case fault.HasCode(err, "asking_stopped"):
		return "asking_stopped", nil
	case fault.Is(err, fault.Unavailable):
		return "", queue.Later(seldom)
	case (fault.Is(err, fault.Invalid) || fault.Is(err, fault.NotFound) || fault.Is(err, fault.Conflict)) && errors.As(err, &f):
		return f.Code, nil
	}
	return "", err
}
