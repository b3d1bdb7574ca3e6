package capture

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/event"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// declines is the payload of the button that says no.
const declines = "bk:capture:no"

// Hear takes the answers to open questions out of what was heard. Each event
// counts once, and only those that came after the question.
func (s *Service) Hear(ctx context.Context, tx *db.Tx, h channel.Heard) error {
	said := spoken(h)
	if len(said) == 0 {
		return nil
	}
	list, err := opened(tx, h.Page, said)
	if err != nil {
		return err
	}
	for _, c := range list {
		for _, ev := range said[c.ContactID] {
			if err := s.take(ctx, tx, &c, ev); err != nil {
				return err
			}
		}
	}
	return nil
}

// spoken is what each person said or tapped, oldest first.
func spoken(h channel.Heard) map[uuid.UUID][]channel.Event {
	out := map[uuid.UUID][]channel.Event{}
	for _, ev := range h.Events {
		if id, known := h.People[ev.PSID]; known && ev.Kind == channel.EventMessage && ev.Text+ev.Payload != "" {
			out[id] = append(out[id], ev)
		}
	}
	for _, list := range out {
		slices.SortStableFunc(list, func(a, b channel.Event) int { return a.At.Compare(b.At) })
	}
	return out
}

// opened locks the open questions to some people, but for those who said stop:
// nothing that they say after it is a yes.
func opened(tx *db.Tx, page uuid.UUID, said map[uuid.UUID][]channel.Event) (list []Capture, err error) {
	ids := make([]uuid.UUID, 0, len(said))
	for id := range said {
		ids = append(ids, id)
	}
	err = tx.Raw("SELECT * FROM captures WHERE contact_id IN (SELECT v.id FROM ?) AND page_id = ? AND state IN "+open+`
		AND NOT EXISTS (SELECT 1 FROM stops s WHERE s.page_id = captures.page_id AND s.contact_id = captures.contact_id AND s.stopped) ORDER BY id`+tx.ForUpdate(),
		tx.Values("v", db.UUIDs("id", ids)), page).Scan(&list).Error
	if err != nil {
		return nil, fmt.Errorf("find open questions: %w", err)
	}
	return list, nil
}

func (c *Capture) isOpen() bool { return c.State == Sending || c.State == Asked || c.State == Unknown }

// take lets one thing that somebody said answer a question, if it does.
func (s *Service) take(ctx context.Context, tx *db.Tx, c *Capture, ev channel.Event) error {
	if !c.isOpen() || c.HeardAt != nil && !ev.At.After(*c.HeardAt) {
		return nil
	}
	if !ev.At.Before(c.ExpiresAt) {
		c.State = Expired
		return s.save(tx, c)
	}
	q, err := c.question()
	if err != nil {
		return err
	}
	if ev.Payload == declines || isNo(channel.Words(ev.Text)) || s.Leaves != nil && s.Leaves(ev) {
		c.State, c.HeardAt = Declined, &ev.At
		return s.save(tx, c)
	}
	address, offered := find(c.Channel, ev)
	offered = offered && (ev.Payload != "" || !negates(ev.Text))
	if !offered && ev.Payload != "" { // another button
		return nil
	}
	c.HeardAt = &ev.At
	if offered {
		err := s.Contacts.PatchIn(ctx, tx, c.ContactID, draft(c, q, address, ev.At))
		if err == nil || fault.Is(err, fault.Conflict) {
			return s.answered(ctx, tx, c, err != nil)
		}
		if !fault.Is(err, fault.Invalid) {
			return err
		}
	}
	return s.again(ctx, tx, c)
}

// answered closes a question to which an address came.
func (s *Service) answered(ctx context.Context, tx *db.Tx, c *Capture, conflict bool) error {
	told := event.CaptureAnswered
	c.State = Captured
	if conflict {
		told, c.State = event.CaptureConflict, Conflict
	}
	if err := s.save(tx, c); err != nil {
		return err
	}
	if err := event.Add(tx, event.Event{Type: told, At: s.Now(), Page: c.PageID, Contact: c.ContactID,
		Data: map[string]any{"capture_id": c.ID.String(), "channel": string(c.Channel)}}); err != nil {
		return err
	}
	return s.Queue.Insert(ctx, tx, queue.Order{Args: AnswerJob{c.ID, true}})
}

// again asks once more, politely; the second answer that is no address ends it.
func (s *Service) again(ctx context.Context, tx *db.Tx, c *Capture) error {
	c.Tries++
	if c.Tries > 1 {
		c.State = Unanswered
		return s.save(tx, c)
	}
	if err := s.save(tx, c); err != nil {
		return err
	}
	return s.Queue.Insert(ctx, tx, queue.Order{Args: AnswerJob{c.ID, false}})
}

func (s *Service) save(tx *db.Tx, c *Capture) error {
	err := tx.Exec("UPDATE captures SET state = ?, tries = ?, heard_at = ?, updated_at = ? WHERE id = ?", c.State, c.Tries, c.HeardAt, s.Now(), c.ID).Error
	if err != nil {
		return fmt.Errorf("close a question: %w", err)
	}
	return nil
}

// draft is what an answer says about the contact: the address, and a consent whose
// evidence is what was asked.
func draft(c *Capture, q content.Question, address string, at time.Time) contact.Draft {
	const form = "2006-01-02 15:04 MST"
	yes := contact.Of(contact.Consent{Status: contact.Subscribed, Source: "messenger", At: &at,
		Evidence: fmt.Sprintf("Asked in Messenger on %s, answered on %s: %s", c.AskedAt.UTC().Format(form), at.UTC().Format(form), q.Asked())})
	if c.Channel == channel.SMS {
		return contact.Draft{Phone: contact.Of(address), SMSConsent: yes}
	}
	return contact.Draft{Email: contact.Of(address), EmailConsent: yes}
}

var number = regexp.MustCompile(`\+?[0-9][0-9 ()./-]{4,24}[0-9]`)

// find looks for what may be an address: in the button that hands over the one of
// the person's profile, or in what they typed.
func find(kind channel.Kind, ev channel.Event) (address string, found bool) {
	text := ev.Text
	if ev.QuickReply && ev.Payload != "" {
		text = ev.Payload
	}
	if kind == channel.SMS {
		address = number.FindString(text)
		return address, address != ""
	}
	for _, word := range strings.Fields(text) {
		if strings.Contains(word, "@") {
			address = strings.TrimFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
			return address, address != ""
		}
	}
	return "", false
}

// negates reports whether something is denied in what somebody says: an address
// in it is then no yes.
func negates(said string) bool {
	return slices.ContainsFunc(strings.Fields(channel.Words(said)), func(word string) bool {
		switch word {
		case "no", "not", "don't", "dont", "never", "nein", "nicht", "kein", "keine", "nie", "non", "ne", "pas", "jamais", "nunca", "não",
			"nao", "mai", "nee", "niet", "nooit", "nej", "inte", "aldrig", "nei", "ikke", "aldri", "ei", "hayır", "нет", "не", "ні", "никогда":
			return true
		}
		return false
	})
}

// isNo reports whether the whole of what somebody says is a no.
func isNo(said string) bool {
	switch said {
	case "no", "nope", "no thanks", "no thank you", "not now", "i don't want to", "i would rather not", "skip", "cancel", "stop",
		"nein", "nein danke", "non", "non merci", "no gracias", "não", "não obrigado", "não obrigada", "no grazie",
		"nee", "nee bedankt", "nej", "nej tack", "nei", "nie", "nie dziękuję", "hayır", "нет", "нет спасибо":
		return true
	}
	return false
}
