package optout

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/event"
)

// text is something that a person said. By SMS it has a row of its own.
type text struct {
	channel.Event
	id      uuid.UUID // of the row; Nil by e-mail
	contact uuid.UUID // Nil when nobody holds the number
}

// keep writes texts down and returns those that were not heard before.
func (s *Service) keep(tx *db.Tx, said []text, who map[string]contact.Party) ([]text, error) {
	var fresh []text
	n := map[string]bool{}
	for _, x := range said {
		if n[x.MID] {
			continue
		}
		n[x.MID] = true
		x.id, x.contact = db.IDAt(x.At), who[x.Address].ContactID
		fresh = append(fresh, x)
	}
	ids, err := s.insert(tx, fresh)
	if err != nil {
		return nil, err
	}
	var out []text
	for _, x := range fresh {
		if ids[x.id] {
			out = append(out, x)
		}
	}
	return out, nil
}

func (s *Service) insert(tx *db.Tx, texts []text) (map[uuid.UUID]bool, error) {
	n := len(texts)
	ids, contacts, mids, wishes := make([]uuid.UUID, n), make([]uuid.UUID, n), make([]string, n), make([]string, n)
	attachments, bodies, at := make([]int64, n), make([][]byte, n), make([]time.Time, n)
	for i, x := range texts {
		body, err := s.sealed(x)
		if err != nil {
			return nil, err
		}
		ids[i], contacts[i], mids[i], wishes[i] = x.id, x.contact, x.MID, wish(x.Event)
		attachments[i], bodies[i], at[i] = int64(x.Attachments), body, x.At
	}
	var fresh []uuid.UUID
	err := tx.Raw(`INSERT INTO texts (id, mid, contact_id, wish, attachments, body, at)
		SELECT v.id, v.mid, v.contact_id, v.wish, v.attachments, v.body, v.at FROM ? WHERE TRUE ON CONFLICT (mid) DO NOTHING RETURNING id`,
		tx.Values("v", db.UUIDs("id", ids), db.Texts("mid", mids), db.UUIDs("contact_id", contacts), db.Texts("wish", wishes),
			db.Int64s("attachments", attachments), db.Blobs("body", bodies), db.Times("at", at))).Scan(&fresh).Error
	if err != nil {
		return nil, fmt.Errorf("keep texts: %w", err)
	}
	out := make(map[uuid.UUID]bool, len(fresh))
	for _, id := range fresh {
		out[id] = true
	}
	return out, nil
}

// sealed is what is kept of the words: nothing unless that is wanted, and nothing
// of somebody who could not ask to be forgotten.
func (s *Service) sealed(x text) ([]byte, error) {
	if !s.KeepTexts || x.contact == uuid.Nil || x.Text == "" {
		return nil, nil
	}
	return s.Box.Seal(x.Text, sealedAs(x.id))
}

// Words opens the words of a text that were kept.
func (s *Service) Words(id uuid.UUID, sealed []byte) (string, error) {
	return s.Box.Open(sealed, sealedAs(id))
}

func sealedAs(id uuid.UUID) string { return "text " + id.String() }

func wish(ev channel.Event) string {
	if ev.Kind == channel.EventMessage {
		return ev.Status
	}
	return string(ev.Kind)
}

// tellOfTexts tells of texts that are nothing but texts, and of those that a person
// should look at, where a contact holds the number.
func tellOfTexts(tx *db.Tx, texts []text, now time.Time) error {
	var out []event.Event
	for _, x := range texts {
		if x.Kind != channel.EventMessage || x.contact == uuid.Nil {
			continue
		}
		e := event.Event{Type: event.SMSReceived, At: now, Contact: x.contact, Data: map[string]any{"text_id": x.id.String()}}
		if x.Status == channel.StatusReview {
			e.Type = event.SMSReview
		}
		if x.Attachments > 0 {
			e.Data["attachments"] = x.Attachments
		}
		out = append(out, e)
	}
	return event.Add(tx, out...)
}

// PurgeJob forgets texts of numbers that nobody held.
type PurgeJob struct{}

// Kind names the job.
func (PurgeJob) Kind() string { return "optout.purge" }

// How long texts of numbers that nobody held are kept, so that one that comes again
// is known, and how many are forgotten at once.
const (
	keepFor     = 30 * 24 * time.Hour
	purgeAtOnce = 5000
)

func (s *Service) purge(ctx context.Context) error {
	for {
		var gone int64
		err := s.DB.Transact(ctx, func(tx *db.Tx) error {
			res := tx.Exec("DELETE FROM texts WHERE id IN (SELECT id FROM texts WHERE contact_id IS NULL AND id < ? ORDER BY id LIMIT ?)",
				db.IDFrom(s.Now().Add(-keepFor)), purgeAtOnce)
			gone = res.RowsAffected
			return res.Error
		})
		if err != nil {
			return fmt.Errorf("forget old texts: %w", err)
		}
		if gone < purgeAtOnce {
			return nil
		}
	}
}
