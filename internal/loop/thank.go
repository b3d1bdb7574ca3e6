package loop

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// thank sends the thanks and writes down what came of them. Only thanks that
// were definitely not taken are sent again.
func (l *Loop) thank(ctx context.Context, t turn) (turn, error) {
	m, err := l.compose(ctx, t)
	if fault.Is(err, fault.Invalid) {
		return l.thanked(ctx, t, l.Now(), refused(err))
	}
	if err != nil {
		return t, errors.Join(err, l.back(ctx, t))
	}
	began := l.Now()
	r, err := l.Speaker.Say(ctx, t.Page, channel.Window, m)
	if err != nil && r.Outcome == "" { // it never came to a call
		return t, errors.Join(err, l.back(ctx, t))
	}
	after, problem := l.thanked(ctx, t, began, r)
	return after, errors.Join(problem, err)
}

func (l *Loop) compose(ctx context.Context, t turn) (channel.Message, error) {
	c, err := l.Contacts.Get(ctx, t.ContactID)
	if err != nil {
		return channel.Message{}, err
	}
	return t.def.Thank(t.PageName, recipient(c, t.PSID, l.Link(t.DeliveryID)))
}

func recipient(c contact.Contact, psid, link string) campaign.Recipient {
	return campaign.Recipient{To: psid, ExternalID: c.ExternalID, FirstName: c.FirstName, LastName: c.LastName, Email: c.Email, Phone: c.Phone,
		Locale: c.Locale, Attributes: json.RawMessage(c.Attributes), Link: link}
}

func refused(err error) channel.Result {
	r := channel.Result{Outcome: channel.Refused}
	var f *fault.Error
	if errors.As(err, &f) {
		r.Code = f.Code
	}
	return r
}

// back puts thanks that were not sent where they were.
func (l *Loop) back(ctx context.Context, t turn) error {
	t.State = Due
	return l.DB.Transact(context.WithoutCancel(ctx), func(tx *db.Tx) error { return l.save(tx, t.FollowUp) })
}

// thanked acts on what came of the thanks, and begins the next step.
func (l *Loop) thanked(ctx context.Context, t turn, began time.Time, r channel.Result) (after turn, err error) {
	t.ProviderID, t.Code = r.ProviderID, r.Code
	switch r.Outcome {
	case channel.TryLater, channel.StopTheLine:
		if err := l.back(ctx, t); err != nil {
			return t, err
		}
		return t, queue.Later(max(r.RetryAfter, soon))
	case channel.Accepted, channel.Unknown, channel.Refused:
		t.Thanks, t.State = string(r.Outcome), Asking
	default:
		t.Thanks, t.State, t.Reason = string(r.Outcome), Done, "not_reached"
	}
	err = l.DB.Transact(context.WithoutCancel(ctx), func(tx *db.Tx) error {
		if err := l.mark(ctx, tx, t, began, r.Outcome); err != nil {
			return err
		}
		after, err = l.onward(tx, t)
		return err
	})
	return after, err
}

// mark notes what a refusal tells of the person.
func (l *Loop) mark(ctx context.Context, tx *db.Tx, t turn, began time.Time, o channel.Outcome) error {
	switch o {
	case channel.Gone:
		return l.Contacts.Block(ctx, tx, t.Page, []string{t.PSID}, began)
	case channel.TokenDead:
		return l.Contacts.CloseWindow(ctx, tx, t.Page, []string{t.PSID}, began)
	}
	return nil
}
