package mirror

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel/sendgrid"
	"beckon/internal/channel/wire"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/queue"
)

// What is known of an address and SendGrid's global list.
const (
	listed  = "listed"
	nobody  = "nobody"  // we knew no such address when we looked: only its hash
	refused = "refused" // SendGrid does not take it
)

// written are the reasons that are written back. Bounces are SendGrid's own.
func written() []string {
	return []string{contact.ReasonUnsubscribe, contact.ReasonComplaint, contact.ReasonManual}
}

// theirs are the sources of what SendGrid itself told us, by its lists or by its
// events.
func theirs() []string { return []string{Source, "provider"} }

const (
	dropsAtOnce = 100
	// lookBack is how far a look reaches behind the last one; the whole is looked
	// through once a day.
	lookBack = 2 * time.Hour
)

// someone is an address that is to come onto SendGrid's list, or off it.
type someone struct {
	Hash  []byte
	Email string // "" when no contact has it
}

// push puts onto SendGrid's global list who refused our mail since, and takes off
// it who was lifted. SendGrid is told first and it is written down then: what is
// told twice changes nothing there.
func (s *Service) push(ctx context.Context) error {
	if rests, err := s.rests(ctx); rests || err != nil {
		return err
	}
	st, err := s.state(ctx, backList)
	if err != nil {
		return err
	}
	return s.settle(ctx, &st, s.writeBack(ctx, &st, queue.WorkUntil(ctx, workFor)))
}

func (s *Service) writeBack(ctx context.Context, st *state, end time.Time) error {
	began, since := s.Now(), uuid.Nil
	whole := st.FinishedAt == nil || st.FullAt == nil || began.Sub(*st.FullAt) > nightly
	if !whole {
		since = db.IDFrom(st.FinishedAt.Add(-lookBack))
	}
	added, err := s.each(ctx, end, func() ([]someone, error) { return s.unwritten(ctx, since) }, s.add)
	if err != nil {
		return err
	}
	dropped, err := s.each(ctx, end, func() ([]someone, error) { return s.lifted(ctx) }, s.drop)
	if err != nil {
		return err
	}
	if added+dropped > 0 {
		s.Log.InfoContext(ctx, "wrote back to SendGrid's global list", "added", added, "removed", dropped)
	}
	return s.change(ctx, st, func(_ *db.Tx, n *state) error {
		n.DoneUntil, n.FinishedAt, n.LastSeen, n.LastAdded, n.Problem, n.ProblemAt = &began, &began, int64(added+dropped), int64(added), "", nil
		if whole {
			n.FullAt = &began
		}
		return nil
	})
}

// each does work with those that find finds, until it finds nobody any more.
func (s *Service) each(ctx context.Context, end time.Time, find func() ([]someone, error), work func(context.Context, []someone) (int, error)) (n int, err error) {
	for {
		batch, err := find()
		if err != nil || len(batch) == 0 {
			return n, err
		}
		done, err := work(ctx, batch)
		if n += done; err != nil {
			return n, err
		}
		if time.Now().After(end) || s.Queue.Ending() {
			return n, errPause
		}
	}
}

// unwritten finds who refused our mail and is not known to stand on the list.
// Those whose refusal SendGrid told us of are its own business.
func (s *Service) unwritten(ctx context.Context, since uuid.UUID) (out []someone, err error) {
	err = s.DB.Read(ctx).Raw(`SELECT s.hash, MAX(COALESCE(c.email, '')) AS email FROM suppressions s
		LEFT JOIN mirrored m ON m.account = ? AND m.hash = s.hash LEFT JOIN contacts c ON c.email_hash = s.hash
		WHERE s.channel = 'email' AND s.reason IN ? AND s.source NOT IN ? AND s.id >= ? AND (m.hash IS NULL OR (m.state = ? AND c.email_hash IS NOT NULL))
		GROUP BY s.hash LIMIT ?`, s.Name, written(), theirs(), since, nobody, sendgrid.PageSize).Scan(&out).Error
	if err != nil {
		return nil, fmt.Errorf("find who refused mail: %w", err)
	}
	return out, nil
}

// lifted finds who stands on the list though nothing is left here that says so.
func (s *Service) lifted(ctx context.Context) (out []someone, err error) {
	err = s.DB.Read(ctx).Raw(`SELECT m.hash, MAX(COALESCE(c.email, '')) AS email FROM lifts l
		JOIN mirrored m ON m.account = ? AND m.hash = l.hash AND m.state = ? LEFT JOIN contacts c ON c.email_hash = m.hash
		WHERE l.channel = 'email' AND NOT EXISTS (SELECT 1 FROM suppressions s WHERE s.channel = 'email' AND s.hash = m.hash AND s.reason IN ?)
		GROUP BY m.hash LIMIT ?`, s.Name, listed, written(), dropsAtOnce).Scan(&out).Error
	if err != nil {
		return nil, fmt.Errorf("find whose suppression was lifted: %w", err)
	}
	return out, nil
}

// add puts people onto the list in one call.
func (s *Service) add(ctx context.Context, batch []someone) (n int, err error) {
	var known, unknown []someone
	for _, p := range batch {
		if p.Email == "" {
			unknown = append(unknown, p)
		} else {
			known = append(known, p)
		}
	}
	if err := s.note(ctx, unknown, nobody); err != nil {
		return 0, err
	}
	return s.addKnown(ctx, known)
}

// addKnown halves what SendGrid does not take as a whole: one address that it
// refuses keeps no other from the list.
func (s *Service) addKnown(ctx context.Context, people []someone) (int, error) {
	if len(people) == 0 {
		return 0, nil
	}
	addresses := make([]string, len(people))
	for i, p := range people {
		addresses[i] = p.Email
	}
	err := s.Account.Unsubscribe(ctx, addresses)
	switch {
	case err == nil:
		return len(people), s.note(ctx, people, listed)
	case wire.Refused(err) != http.StatusBadRequest:
		return 0, err
	case len(people) == 1:
		return 0, s.note(ctx, people, refused)
	}
	first, err := s.addKnown(ctx, people[:len(people)/2])
	if err != nil {
		return first, err
	}
	second, err := s.addKnown(ctx, people[len(people)/2:])
	return first + second, err
}

// drop takes people off the list, one after the other. Of whom only the hash is
// left nothing can be said to SendGrid.
func (s *Service) drop(ctx context.Context, batch []someone) (n int, err error) {
	var gone [][]byte
	for _, p := range batch {
		if p.Email != "" {
			if err = s.Account.Resubscribe(ctx, p.Email); err != nil {
				break
			}
			n++
		}
		gone = append(gone, p.Hash)
	}
	return n, errors.Join(s.forget(ctx, gone), err)
}

func (s *Service) note(ctx context.Context, people []someone, state string) error {
	hashes := make([][]byte, len(people))
	for i, p := range people {
		hashes[i] = p.Hash
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error { return s.mark(tx, hashes, state) })
}

// mark writes down what is known of addresses and the list.
func (s *Service) mark(tx *db.Tx, hashes [][]byte, state string) error {
	if len(hashes) == 0 {
		return nil
	}
	err := tx.Exec(`INSERT INTO mirrored (account, hash, state, at) SELECT DISTINCT ?, v.hash, ?, CAST(? AS `+tx.TimeType()+`) FROM ? WHERE TRUE
		ON CONFLICT (account, hash) DO UPDATE SET state = excluded.state, at = excluded.at WHERE mirrored.state <> excluded.state`,
		s.Name, state, s.Now(), tx.Values("v", db.Blobs("hash", hashes))).Error
	if err != nil {
		return fmt.Errorf("write down who stands on SendGrid's list: %w", err)
	}
	return nil
}

func (s *Service) forget(ctx context.Context, hashes [][]byte) error {
	if len(hashes) == 0 {
		return nil
	}
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		err := tx.Exec("DELETE FROM mirrored WHERE account = ? AND hash IN (SELECT v.hash FROM ?)", s.Name, tx.Values("v", db.Blobs("hash", hashes))).Error
		if err != nil {
			return fmt.Errorf("write down who is off SendGrid's list: %w", err)
		}
		return nil
	})
}
