package token

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// SyncState is where the reading of a Page's list stands.
type SyncState string

// The states of a sync.
const (
	SyncRunning  SyncState = "running"
	SyncFinished SyncState = "finished"
	SyncFailed   SyncState = "failed"
)

// Sync is the last time that a Page's own list of recurring tokens was read.
type Sync struct {
	PageID     uuid.UUID
	State      SyncState
	Cursor     string // where the next part begins
	Listed     int    // tokens read so far
	Code       string // Meta's code, when it refused
	StartedAt  time.Time
	FinishedAt *time.Time
}

const (
	syncQueue   = "sync"
	syncFor     = 20 * time.Second // that a job works at most
	syncAgain   = time.Minute      // after an answer that was none
	staleSync   = time.Hour        // a sync that takes longer has been left
	relistEvery = 24 * time.Hour   // Meta does not always tell of those who stop
)

var errNoSync = fault.New(fault.NotFound, "sync_not_found", "The recurring tokens of this page have not been read from Meta yet.")

// syncJob reads a Page's list.
type syncJob struct {
	Page    uuid.UUID `json:"page"`
	Started time.Time `json:"started"`
}

// Kind names the job.
func (syncJob) Kind() string { return "token.sync_recurring" }

// relistJob reads the lists of all Pages that have recurring tokens.
type relistJob struct{}

// Kind names the job.
func (relistJob) Kind() string { return "token.relist_recurring" }

// LastSync returns the last sync of a Page, or a NotFound fault.
func (s *Store) LastSync(ctx context.Context, pageID uuid.UUID) (Sync, error) {
	var found []Sync
	if err := s.db.Read(ctx).Raw("SELECT * FROM recurring_syncs WHERE page_id = ?", pageID).Scan(&found).Error; err != nil {
		return Sync{}, fmt.Errorf("read a sync: %w", err)
	}
	if len(found) == 0 {
		return Sync{}, errNoSync
	}
	return found[0], nil
}

// StartSync has a Page's own list of recurring tokens read, and returns the
// sync: a running one is left to run. Tokens that are new come in with their
// people, and live ones that are not in the list any more are missing from then on.
func (r *Recurring) StartSync(ctx context.Context, pageID uuid.UUID) (Sync, error) {
	if r.o.Lister == nil {
		return Sync{}, errAbsent
	}
	if _, err := r.o.Pages.Sender(ctx, pageID); err != nil {
		return Sync{}, err
	}
	now := r.moment()
	err := r.db.Transact(ctx, func(tx *db.Tx) error {
		res := tx.Exec(`INSERT INTO recurring_syncs AS s (page_id, state, started_at) VALUES (?, 'running', ?)
			ON CONFLICT (page_id) DO UPDATE SET state = 'running', cursor = '', listed = 0, code = '', started_at = EXCLUDED.started_at, finished_at = NULL
			WHERE s.state <> 'running' OR s.started_at < ?`, pageID, now, now.Add(-staleSync))
		if res.Error != nil || res.RowsAffected == 0 {
			return res.Error
		}
		return r.o.Queue.Insert(ctx, tx, queue.Order{Args: syncJob{pageID, now}, Queue: syncQueue})
	})
	if err != nil {
		return Sync{}, fmt.Errorf("start a sync: %w", err)
	}
	return r.LastSync(ctx, pageID)
}

// relist starts a sync for every Page that has something to lose by none.
func (r *Recurring) relist(ctx context.Context) error {
	if r.o.Lister == nil {
		return nil
	}
	var pages []uuid.UUID
	if err := r.db.Read(ctx).Raw("SELECT id FROM pages WHERE EXISTS (SELECT 1 FROM recurring_tokens t WHERE t.page_id = pages.id AND t.status = 'live') ORDER BY id").Scan(&pages).Error; err != nil {
		return fmt.Errorf("find pages with recurring tokens: %w", err)
	}
	var errs []error
	for _, id := range pages {
		_, err := r.StartSync(ctx, id)
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// sync reads on from where the last run came to. Each part of the list and the
// progress are one transaction, so a run cut off costs nothing.
func (r *Recurring) sync(ctx context.Context, job queue.Job[syncJob]) error {
	page, err := r.o.Pages.Sender(ctx, job.Args.Page)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for end := queue.WorkUntil(ctx, syncFor); ; {
		s, err := r.LastSync(ctx, job.Args.Page)
		if err != nil || s.State != SyncRunning || !s.StartedAt.Equal(job.Args.Started) {
			return none(err)
		}
		listing, res := r.o.Lister.ListRecurring(ctx, page, s.Cursor)
		if again, err := r.heed(ctx, s, res); err != nil || again > 0 || res.Outcome != channel.Accepted {
			return later(again, err)
		}
		if err := r.db.Transact(ctx, func(tx *db.Tx) error { return r.keep(ctx, tx, s, listing) }); err != nil {
			return err
		}
		if listing.Next == "" {
			return nil
		}
		if !time.Now().Before(end) || r.o.Queue.Ending() {
			return queue.Later(0)
		}
	}
}

func none(err error) error {
	if fault.Is(err, fault.NotFound) { // the Page is gone
		return nil
	}
	return err
}

func later(d time.Duration, err error) error {
	if err != nil || d == 0 {
		return err
	}
	return queue.Later(d)
}

// heed acts on an answer that is no list: a fault that passes is waited for,
// anything else ends the sync.
func (r *Recurring) heed(ctx context.Context, s Sync, res channel.Result) (again time.Duration, err error) {
	switch res.Outcome {
	case channel.Accepted:
		return 0, nil
	case channel.TryLater, channel.Unknown: // reading changes nothing, so it may be done again
		if r.moment().Sub(s.StartedAt) < staleSync {
			return max(res.RetryAfter, syncAgain), nil
		}
	}
	err = r.db.Transact(ctx, func(tx *db.Tx) error {
		return tx.Exec("UPDATE recurring_syncs SET state = 'failed', code = ?, finished_at = ? WHERE page_id = ? AND started_at = ?",
			res.Code, r.moment(), s.PageID, s.StartedAt).Error
	})
	if err != nil {
		return 0, fmt.Errorf("end a sync: %w", err)
	}
	return 0, nil
}

// keep stores one part of the list.
func (r *Recurring) keep(ctx context.Context, tx *db.Tx, s Sync, l channel.Listing) error {
	if err := r.keepTokens(ctx, tx, s, l.Tokens); err != nil {
		return err
	}
	state, done := SyncRunning, (*time.Time)(nil)
	if l.Next == "" {
		now := r.moment()
		state, done = SyncFinished, &now
	}
	res := tx.Exec("UPDATE recurring_syncs SET cursor = ?, listed = listed + ?, state = ?, finished_at = ? WHERE page_id = ? AND started_at = ? AND cursor = ?",
		l.Next, len(l.Tokens), state, done, s.PageID, s.StartedAt, s.Cursor)
	if res.Error != nil || res.RowsAffected == 0 || l.Next != "" || s.Listed+len(l.Tokens) == 0 {
		return res.Error // an empty list proves nothing: the Page may not be let list
	}
	return tx.Exec(`UPDATE recurring_tokens SET status = 'missing', status_at = ?, updated_at = ? WHERE page_id = ? AND status = 'live'
		AND status_at < ? AND (listed_at IS NULL OR listed_at < ?)`, s.StartedAt, r.moment(), s.PageID, s.StartedAt, s.StartedAt).Error
}

// forgotten returns those of the listed tokens of which nobody is known whose
// they are: they were stopped, or their people erased.
func (r *Recurring) forgotten(tx *db.Tx, page uuid.UUID, listed []channel.Listed) (map[string]bool, error) {
	byHash, hashes := map[string]string{}, make([][]byte, len(listed))
	for i, l := range listed {
		hashes[i] = r.box.Hash(sealedRecurring, l.Token)
		byHash[string(hashes[i])] = l.Token
	}
	var found [][]byte
	err := tx.Raw("SELECT t.value_hash FROM ? JOIN recurring_tokens t ON t.page_id = v.page AND t.value_hash = v.hash WHERE t.contact_id IS NULL",
		tx.Values("v", db.UUIDs("page", slices.Repeat([]uuid.UUID{page}, len(listed))), db.Blobs("hash", hashes))).Scan(&found).Error
	if err != nil {
		return nil, fmt.Errorf("find recurring tokens: %w", err)
	}
	out := make(map[string]bool, len(found))
	for _, h := range found {
		out[byHash[string(h)]] = true
	}
	return out, nil
}

func (r *Recurring) keepTokens(ctx context.Context, tx *db.Tx, s Sync, listed []channel.Listed) error {
	forgotten, err := r.forgotten(tx, s.PageID, listed)
	if err != nil {
		return err
	}
	var psids []string
	var events []channel.Event
	for _, l := range listed {
		if l.PSID == "" || !storable(l.Token, maxValue) || l.Title == TestTitle || forgotten[l.Token] {
			continue
		}
		psids = append(psids, l.PSID)
		events = append(events, channel.Event{Kind: channel.EventOptIn, PSID: l.PSID, Token: l.Token, Title: l.Title, At: l.Created, Expires: l.Expires})
	}
	if len(events) == 0 {
		return nil
	}
	people, err := r.o.People(ctx, tx, s.PageID, psids)
	if err != nil {
		return err
	}
	places, err := r.placesOf(ctx, tx, events)
	if err != nil {
		return err
	}
	words := make([]word, 0, len(events))
	byToken := map[string]channel.Listed{}
	for _, l := range listed {
		byToken[l.Token] = l
	}
	for i, ev := range events {
		words = append(words, listedWord(ev, byToken[ev.Token], s, people[ev.PSID], places[i].topic))
	}
	return r.take(ctx, tx, words)
}

// listedWord says that a token was there when it was made, and is still. What a
// person said since then weighs more.
func listedWord(ev channel.Event, l channel.Listed, s Sync, contact uuid.UUID, topic string) word {
	if ev.At.IsZero() || ev.At.After(s.StartedAt) {
		ev.At = s.StartedAt
	}
	w := wordOf(ev, s.PageID, contact, topic)
	w.source, w.listed, w.eligible = FromListing, s.StartedAt, latest(w.eligible, l.Eligible)
	if l.Renewed {
		w.renewed = w.at
	}
	return w
}
