package privacy

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/queue"
)

// Job fulfils one wish.
type Job struct {
	Deletion uuid.UUID `json:"deletion"`
}

// Kind names the job.
func (Job) Kind() string { return "privacy.delete" }

// SweepJob looks once more after a person who was deleted.
type SweepJob struct {
	Deletion uuid.UUID `json:"deletion"`
}

// Kind names the job.
func (SweepJob) Kind() string { return "privacy.sweep" }

const (
	askGraphFor   = 24 * time.Hour   // how long Graph is asked who somebody is
	askGraphEvery = 10 * time.Minute //
	tellFor       = time.Hour        // how long somebody is tried to be told
	sweepAfter    = 2 * time.Hour    // when they are told, and callbacks that were late have been applied
)

// work fulfils a wish, and tells who asked in the chat. It may be cut off
// anywhere and run again.
func (s *Service) work(ctx context.Context, job queue.Job[Job]) error {
	d, person, err := s.open(ctx, job.Args.Deletion)
	if err != nil || person == "" {
		return err
	}
	if d.State == Received {
		psids, err := s.psids(ctx, d, person)
		if err != nil {
			return err
		}
		if err := s.fulfil(ctx, d, psids); err != nil {
			return err
		}
	}
	if d.Source == Chat && s.Speaker != nil {
		return s.tell(ctx, d.ID, person)
	}
	return nil
}

// open reads a wish and whose it is; "" when it is over.
func (s *Service) open(ctx context.Context, id uuid.UUID) (Deletion, string, error) {
	var found []Deletion
	if err := s.DB.Read(ctx).Raw("SELECT * FROM deletions WHERE id = ?", id).Scan(&found).Error; err != nil {
		return Deletion{}, "", fmt.Errorf("read deletion %s: %w", id, err)
	}
	if len(found) == 0 || found[0].Person == nil {
		return Deletion{}, "", nil
	}
	person, err := s.Box.Open(found[0].Person, sealedAs)
	if err != nil {
		return Deletion{}, "", fmt.Errorf("open deletion %s: %w", id, err)
	}
	return found[0], person, nil
}

// place is a PSID on a page; any page when that is Nil.
type place struct {
	page uuid.UUID
	psid string
}

// psids finds whom a wish is about. Facebook names a person by an id of its own,
// which Graph may know how to turn into PSIDs; it is looked for as a PSID as well.
func (s *Service) psids(ctx context.Context, d Deletion, person string) ([]place, error) {
	if d.Source == Chat {
		return []place{{*d.PageID, person}}, nil
	}
	out := []place{{psid: person}}
	if s.PSIDs == nil {
		return out, nil
	}
	byGraph, r := s.PSIDs(ctx, person)
	if (r.Outcome == channel.TryLater || r.Outcome == channel.Unknown) && s.moment().Before(d.RequestedAt.Add(askGraphFor)) {
		return nil, queue.Later(max(askGraphEvery, r.RetryAfter))
	}
	if r.Outcome != channel.Accepted {
		s.Log.WarnContext(ctx, "Graph does not say who wants to be deleted", "deletion_id", d.ID, "code", r.Code, "detail", r.Detail)
	}
	var graphIDs []string
	for id := range byGraph {
		graphIDs = append(graphIDs, id)
	}
	if len(graphIDs) == 0 {
		return out, nil
	}
	pages, err := s.Pages(ctx, graphIDs)
	for graphID, page := range pages {
		out = append(out, place{page, byGraph[graphID]})
	}
	return out, err
}

// fulfil erases everybody who is found, and closes the wish with that.
func (s *Service) fulfil(ctx context.Context, d Deletion, places []place) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		n, err := s.erase(tx, places, func(contact.Address) bool { return true })
		if err != nil {
			return err
		}
		state := Nothing
		if n > 0 {
			state = Done
		}
		now := s.moment()
		if d.Source == Chat {
			if err := s.Queue.Insert(ctx, tx, queue.Order{Args: SweepJob{d.ID}, At: now.Add(sweepAfter)}); err != nil {
				return err
			}
		}
		if err := tx.Exec(`UPDATE deletions SET state = ?, finished_at = ?, person = CASE WHEN source = ? THEN person END WHERE id = ? AND state = ?`,
			state, now, Chat, d.ID, Received).Error; err != nil {
			return fmt.Errorf("close deletion %s: %w", d.ID, err)
		}
		return nil
	})
}

// erase erases the contacts behind PSIDs, and returns how many.
func (s *Service) erase(tx *db.Tx, places []place, wanted func(contact.Address) bool) (n int, err error) {
	gone := map[uuid.UUID]bool{}
	for _, p := range places {
		held, err := s.Contacts.Holding(tx, p.psid)
		if err != nil {
			return n, err
		}
		for _, a := range held {
			if p.page != uuid.Nil && p.page != a.PageID || gone[a.ContactID] || !wanted(a) {
				continue
			}
			gone[a.ContactID] = true
			if err := s.Contacts.EraseIn(tx, a.ContactID); err != nil {
				return n, err
			}
			n++
		}
	}
	return n, nil
}

// sweep erases what callbacks that came late have made of somebody who asked to
// be deleted in the chat, unless they came back themselves since. Then nothing
// says any more who it was.
func (s *Service) sweep(ctx context.Context, job queue.Job[SweepJob]) error {
	d, person, err := s.open(ctx, job.Args.Deletion)
	if err != nil || person == "" {
		return err
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		late := func(a contact.Address) bool { return a.LastActionAt == nil || !a.LastActionAt.After(d.RequestedAt) }
		if _, err := s.erase(tx, []place{{*d.PageID, person}}, late); err != nil {
			return err
		}
		if err := tx.Exec("UPDATE deletions SET person = NULL WHERE id = ?", d.ID).Error; err != nil {
			return fmt.Errorf("close deletion %s: %w", d.ID, err)
		}
		return nil
	})
}

// tell says in the chat that it is done, at most once.
func (s *Service) tell(ctx context.Context, id uuid.UUID, psid string) error {
	d, begun, err := s.beginToTell(ctx, id)
	if err != nil || !begun {
		return err
	}
	text, err := json.Marshal(map[string]string{"text": answer(d.Language, s.Status(d.Code))})
	if err != nil {
		return fmt.Errorf("answer deletion %s: %w", id, err)
	}
	r, err := s.Speaker.Say(ctx, *d.PageID, channel.Window, channel.Message{To: psid, Body: text})
	if err != nil && r.Outcome == "" { // nothing was sent
		r = channel.Result{Outcome: channel.TryLater}
	}
	state, wait := outcome(r), time.Duration(0)
	if r.Outcome == channel.TryLater && !r.Elsewhere && s.moment().Before(d.RequestedAt.Add(tellFor)) {
		state, wait = "", max(r.RetryAfter, 30*time.Second)
	}
	if err := s.told(context.WithoutCancel(ctx), id, state); err != nil || wait == 0 {
		return err
	}
	return queue.Later(wait)
}

func outcome(r channel.Result) string {
	switch r.Outcome {
	case channel.Accepted:
		return "sent"
	case channel.Unknown:
		return "unknown"
	}
	return "failed"
}

// beginToTell writes down that somebody is being told. What was being sent when
// a node ended is unknown, and never sent again.
func (s *Service) beginToTell(ctx context.Context, id uuid.UUID) (d Deletion, begun bool, err error) {
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		var found []Deletion
		if err := tx.Raw("SELECT * FROM deletions WHERE id = ?"+tx.ForUpdate(), id).Scan(&found).Error; err != nil || len(found) == 0 {
			return err
		}
		d, begun = found[0], found[0].Answer == ""
		next := "sending"
		if d.Answer == "sending" {
			next = "unknown"
		} else if !begun {
			return nil
		}
		return tx.Exec("UPDATE deletions SET answer = ? WHERE id = ?", next, id).Error
	})
	if err != nil {
		err = fmt.Errorf("begin to answer deletion %s: %w", id, err)
	}
	return d, begun, err
}

func (s *Service) told(ctx context.Context, id uuid.UUID, state string) error {
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		return tx.Exec("UPDATE deletions SET answer = ? WHERE id = ? AND answer = 'sending'", state, id).Error
	})
	if err != nil {
		return fmt.Errorf("answer deletion %s: %w", id, err)
	}
	return nil
}

// PurgeJob forgets old deletions.
type PurgeJob struct{}

// Kind names the job.
func (PurgeJob) Kind() string { return "privacy.purge" }

// keep is how long it can be asked for how a deletion stands.
const keep = 365 * 24 * time.Hour

func (s *Service) purge(ctx context.Context) error {
	err := s.DB.Transact(ctx, func(tx *db.Tx) error {
		return tx.Exec("DELETE FROM deletions WHERE requested_at < ?", s.moment().Add(-keep)).Error
	})
	if err != nil {
		return fmt.Errorf("forget old deletions: %w", err)
	}
	return nil
}
