package profile

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/page"
	"beckon/internal/queue"
)

// ReadJob reads the profiles of a Page's people that are due.
type ReadJob struct {
	Page uuid.UUID `json:"page"`
}

// Kind names the job.
func (ReadJob) Kind() string { return "profile.read" }

const (
	atOnce   = 10                     // profiles in one bite
	apart    = 200 * time.Millisecond // calls of one node: messages come first
	workFor  = 15 * time.Second
	leased   = 10 * time.Minute // a node that has not ended by then is dead
	putOff   = 15 * time.Minute
	maxTries = 5
)

// verdict is what an answer means for the person and for the Page.
type verdict string

const (
	known  verdict = "known"
	none   verdict = "none"   // there is nothing to read, now or later
	barred verdict = "barred" // the app may not read this
	later  verdict = "later"  // the Page cannot ask now
)

// judge reads the codes of the User Profile API. A refusal for want of a permission
// is not the Page's trouble: sending goes on.
func judge(p channel.Profile, r channel.Result) verdict {
	code, sub, _ := strings.Cut(r.Code, "/")
	switch {
	case r.Outcome == channel.Accepted && p.Empty(), sub == "2018218":
		return none
	case r.Outcome == channel.Accepted:
		return known
	case sub == "2018247", code == "10", code == "200":
		return barred
	case r.Outcome == channel.Refused, r.Outcome == channel.Gone:
		return none
	}
	return later
}

// run is one job at work on one Page.
type run struct {
	*Service
	page      uuid.UUID
	sender    channel.Page
	namesOnly bool // the rest is barred
}

// bite is what came of some people.
type bite struct {
	read []contact.Introduction
	none []string
	stop verdict // barred or later: the others are not asked
	wait time.Duration
}

func (s *Service) read(ctx context.Context, job queue.Job[ReadJob]) error {
	if s.Reader == nil {
		return nil
	}
	sender, err := s.Pages.Sender(ctx, job.Args.Page)
	if fault.Is(err, fault.NotFound) {
		return nil // it was removed, and its people with it
	}
	if err != nil {
		return err
	}
	r := &run{Service: s, page: job.Args.Page, sender: sender}
	for end := queue.WorkUntil(ctx, workFor); ; {
		psids, err := r.claim(ctx)
		if err != nil || len(psids) == 0 {
			return err
		}
		b := r.ask(ctx, psids)
		if err := r.settle(context.WithoutCancel(ctx), b); err != nil {
			return err
		}
		switch {
		case b.stop != "":
			return nil // the rest is taken up when it is due
		case time.Now().After(end) || ctx.Err() != nil:
			return queue.Later(0)
		}
	}
}

// claim takes the next people, so that nobody else asks for them meanwhile.
func (r *run) claim(ctx context.Context) (psids []string, err error) {
	now := r.moment()
	err = r.DB.Transact(ctx, func(tx *db.Tx) error {
		psids = nil
		return tx.Raw(`UPDATE profile_fetches SET due_at = ?, tries = tries + 1, updated_at = ? WHERE page_id = ? AND psid IN (
			SELECT psid FROM profile_fetches WHERE page_id = ? AND state = 'due' AND due_at <= ? ORDER BY due_at LIMIT ?`+tx.SkipLocked()+`)
			RETURNING psid`, now.Add(leased), now, r.page, r.page, now, atOnce).Scan(&psids).Error
	})
	if err != nil {
		return nil, fmt.Errorf("take profiles to read: %w", err)
	}
	return psids, nil
}

// ask reads profiles one after the other, until the Page may not or cannot.
func (r *run) ask(ctx context.Context, psids []string) (b bite) {
	for _, psid := range psids {
		p, res := r.one(ctx, psid)
		switch v := judge(p, res); v {
		case known:
			b.read = append(b.read, introduction(psid, p))
		case none:
			b.none = append(b.none, psid)
		default:
			b.stop, b.wait = v, max(res.RetryAfter, putOff)
			return b
		}
	}
	return b
}

// one reads one profile. Where only the rest is barred, the names are read.
func (r *run) one(ctx context.Context, psid string) (channel.Profile, channel.Result) {
	r.Wait(ctx, apart)
	p, res := r.Reader.Profile(ctx, r.sender, psid, r.namesOnly)
	if r.namesOnly || judge(p, res) != barred {
		return p, res
	}
	r.namesOnly = true
	r.Wait(ctx, apart)
	return r.Reader.Profile(ctx, r.sender, psid, true)
}

func introduction(psid string, p channel.Profile) contact.Introduction {
	return contact.Introduction{PSID: psid, FirstName: p.FirstName, LastName: p.LastName, Locale: p.Locale, TimeZone: zoneAt(p.Offset)}
}

// settle writes down what was read, and what that says of the Page. People who
// were not asked, or in vain, are put off; too often, and they are left alone.
func (r *run) settle(ctx context.Context, b bite) error {
	now := r.moment()
	err := r.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := r.Contacts.Introduce(ctx, tx, r.page, b.read); err != nil {
			return err
		}
		for state, psids := range map[string][]string{"done": names(b.read), "none": b.none} {
			if err := r.end(tx, state, psids); err != nil {
				return err
			}
		}
		switch {
		case b.stop == barred: // nobody is left waiting for what may not be
			if err := tx.Exec("DELETE FROM profile_fetches WHERE page_id = ? AND state = 'due'", r.page).Error; err != nil {
				return err
			}
			return page.Learn(tx, r.page, page.Profile, page.Off, page.ByGraph, now)
		case b.stop == later:
			return tx.Exec(`UPDATE profile_fetches SET due_at = ?, state = CASE WHEN tries >= ? THEN 'none' ELSE state END
				WHERE page_id = ? AND state = 'due' AND (due_at < ? OR tries >= ?)`, now.Add(b.wait), maxTries, r.page, now.Add(b.wait), maxTries).Error
		case len(b.read) > 0:
			return page.Learn(tx, r.page, page.Profile, page.Works, page.ByGraph, now)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write profiles down: %w", err)
	}
	return nil
}

func (r *run) end(tx *db.Tx, state string, psids []string) error {
	if len(psids) == 0 {
		return nil
	}
	return tx.Exec("UPDATE profile_fetches SET state = ?, updated_at = ? WHERE page_id = ? AND psid IN ?", state, r.moment(), r.page, psids).Error
}

func names(read []contact.Introduction) []string {
	psids := make([]string, len(read))
	for i, p := range read {
		psids[i] = p.PSID
	}
	return psids
}
