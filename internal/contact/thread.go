package contact

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/event"
)

// SignKind is what a sign tells about a person's thread.
type SignKind int

// The kinds of signs.
const (
	// HandedOver: a hand-over gave the thread to Sign.App.
	HandedOver SignKind = iota
	// SaidElsewhere: something was said while another app held the thread, or
	// Graph refused a message for that.
	SaidElsewhere
	// HumanWrote: a human wrote to the person in the Page's inbox.
	HumanWrote
	// Acted: the person acted with us as its holder. MoveWindow has noted when.
	Acted
)

// Whom a hand-over gave the thread to, when it is not named by an app's id.
const (
	Us    = "us"
	Other = "other" // an app that was not named
)

// Sign is one thing that tells who holds a person's thread on a page.
type Sign struct {
	Kind SignKind
	PSID string
	App  string // with HandedOver: Us, Other or an app's id
	At   time.Time
}

// NoteThreads keeps signs of who holds people's threads, and tells by event
// when that changes. The order of signs, and how often one is told, change
// nothing; PSIDs that nobody holds are passed over.
func (s *Store) NoteThreads(_ context.Context, tx *db.Tx, page uuid.UUID, signs []Sign) error {
	if len(signs) == 0 {
		return nil
	}
	news := map[string]Address{}
	told := false
	for _, sign := range signs {
		a := news[sign.PSID]
		a.take(sign)
		news[sign.PSID] = a
		told = told || sign.Kind != Acted
	}
	rows, err := threadsOf(tx, page, news, told)
	if err != nil || len(rows) == 0 {
		return err
	}
	hold, err := holdOf(tx, page)
	if err != nil {
		return err
	}
	now := s.now()
	var changed []Address
	var events []event.Event
	for _, a := range rows {
		before := a
		a.merge(news[a.PSID])
		a.HeldUntil = a.held(now, hold)
		if !a.sameThread(before) {
			changed = append(changed, a)
		}
		events = append(events, threadEvents(before, a, now)...)
	}
	if err := writeThreads(tx, changed); err != nil {
		return err
	}
	return event.Add(tx, events...)
}

// threadsOf locks the addresses. Without a sign that could close a thread only
// those matter that are held.
func threadsOf(tx *db.Tx, page uuid.UUID, news map[string]Address, all bool) ([]Address, error) {
	psids := make([]string, 0, len(news))
	for p := range news {
		psids = append(psids, p)
	}
	slices.Sort(psids)
	var rows []Address
	err := tx.Raw("SELECT * FROM messenger_addresses WHERE (page_id, psid) IN (SELECT v.page, v.psid FROM ?) AND (? OR held_until IS NOT NULL) ORDER BY psid"+tx.ForUpdate(),
		tx.Values("v", onPage(page, psids), db.Texts("psid", psids)), all).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("find threads: %w", err)
	}
	return rows, nil
}

// holdOf is how long threads of a page are left alone after the last sign.
func holdOf(tx *db.Tx, page uuid.UUID) (time.Duration, error) {
	var hours int
	if err := tx.Raw("SELECT hold_hours FROM pages WHERE id = ?", page).Scan(&hours).Error; err != nil {
		return 0, fmt.Errorf("read how long threads are held: %w", err)
	}
	return time.Duration(hours) * time.Hour, nil
}

// take notes a sign, if it is later than those of its kind.
func (a *Address) take(sign Sign) {
	at := sign.At.UTC().Truncate(time.Microsecond)
	switch sign.Kind {
	case HandedOver:
		a.merge(Address{ThreadApp: sign.App, ThreadAppAt: &at})
	case SaidElsewhere:
		a.merge(Address{StandbyAt: &at})
	case HumanWrote:
		a.merge(Address{HumanAt: &at})
	}
}

// merge takes over what another address knows of later signs. Of two hand-overs
// at one time it does not matter which is taken, as long as it is always the same.
func (a *Address) merge(b Address) {
	if d := moment(b.ThreadAppAt).Compare(moment(a.ThreadAppAt)); d > 0 || d == 0 && strings.Compare(b.ThreadApp, a.ThreadApp) > 0 {
		a.ThreadApp, a.ThreadAppAt = b.ThreadApp, b.ThreadAppAt
	}
	a.StandbyAt, a.HumanAt = later(a.StandbyAt, b.StandbyAt), later(a.HumanAt, b.HumanAt)
}

func later(a, b *time.Time) *time.Time {
	if moment(b).After(moment(a)) {
		return b
	}
	return a
}

// held is until when the thread is left alone, nil when it need not be. What
// another app holds is ours again by a hand-over, or when the person acts with
// us as the holder; a human's conversation ends by a hand-over only, for without
// one the person's answers to the human reach us too.
func (a *Address) held(now time.Time, hold time.Duration) *time.Time {
	acted, handed, ours := moment(a.LastActionAt), moment(a.ThreadAppAt), a.ThreadApp == Us
	var last time.Time
	if !ours && !acted.After(handed) {
		last = handed
	}
	if at := moment(a.StandbyAt); !acted.After(at) && (!ours || at.After(handed)) && at.After(last) {
		last = at
	}
	if at := moment(a.HumanAt); at.After(handed) && at.After(last) {
		last = at
	}
	if until := last.Add(hold); !last.IsZero() && until.After(now) {
		return &until
	}
	return nil
}

func (a *Address) sameThread(b Address) bool {
	same := func(x, y *time.Time) bool { return moment(x).Equal(moment(y)) }
	return a.ThreadApp == b.ThreadApp && same(a.ThreadAppAt, b.ThreadAppAt) && same(a.StandbyAt, b.StandbyAt) &&
		same(a.HumanAt, b.HumanAt) && same(a.HeldUntil, b.HeldUntil)
}

func threadEvents(before, after Address, now time.Time) []event.Event {
	e := event.Event{At: now, Page: after.PageID, Contact: after.ContactID}
	switch {
	case before.HeldUntil == nil && after.HeldUntil != nil:
		e.Type, e.Data = event.ThreadHeld, map[string]any{"held_until": after.HeldUntil.Format(time.RFC3339)}
	case before.HeldUntil != nil && after.HeldUntil == nil:
		e.Type = event.ThreadFreed
	default:
		return nil
	}
	return []event.Event{e}
}

const updateThreads = `UPDATE messenger_addresses SET thread_app = v.app, thread_app_at = v.app_at, standby_at = v.standby, human_at = v.human, held_until = v.until
	FROM ? WHERE page_id = v.page AND messenger_addresses.psid = v.psid`

func writeThreads(tx *db.Tx, list []Address) error {
	if len(list) == 0 {
		return nil
	}
	texts := func(name string, of func(*Address) string) db.Column { return db.Texts(name, eachOf(list, of)) }
	times := func(name string, of func(*Address) *time.Time) db.Column {
		return db.Times(name, eachOf(list, func(a *Address) time.Time { return moment(of(a)) }))
	}
	err := tx.Exec(updateThreads, tx.Values("v",
		db.UUIDs("page", eachOf(list, func(a *Address) uuid.UUID { return a.PageID })),
		texts("psid", func(a *Address) string { return a.PSID }),
		texts("app", func(a *Address) string { return a.ThreadApp }),
		times("app_at", func(a *Address) *time.Time { return a.ThreadAppAt }),
		times("standby", func(a *Address) *time.Time { return a.StandbyAt }),
		times("human", func(a *Address) *time.Time { return a.HumanAt }),
		times("until", func(a *Address) *time.Time { return a.HeldUntil }))).Error
	if err != nil {
		return fmt.Errorf("note who holds threads: %w", err)
	}
	return nil
}

func eachOf[T any](list []Address, of func(*Address) T) []T {
	out := make([]T, len(list))
	for i := range list {
		out[i] = of(&list[i])
	}
	return out
}

// HoldThreads notes that Graph refused messages because another app holds the
// threads.
func (s *Store) HoldThreads(ctx context.Context, tx *db.Tx, page uuid.UUID, psids ...string) error {
	signs := make([]Sign, len(psids))
	for i, p := range psids {
		signs[i] = Sign{Kind: SaidElsewhere, PSID: p, At: s.now()}
	}
	return s.NoteThreads(ctx, tx, page, signs)
}

// LetThreadsGo frees up to limit threads that have been left alone for long
// enough, or whose page leaves nobody alone any more, and returns how many.
func (s *Store) LetThreadsGo(ctx context.Context, tx *db.Tx, limit int) (int, error) {
	now := s.now()
	var rows []Address
	err := tx.WithContext(ctx).Raw(`SELECT * FROM messenger_addresses WHERE held_until IS NOT NULL
		AND (held_until <= ? OR page_id IN (SELECT id FROM pages WHERE hold_hours = 0)) ORDER BY held_until LIMIT ?`+tx.ForUpdate(), now, limit).Scan(&rows).Error
	if err != nil {
		return 0, fmt.Errorf("find threads to let go: %w", err)
	}
	events := make([]event.Event, len(rows))
	for i := range rows {
		rows[i].HeldUntil = nil
		events[i] = event.Event{Type: event.ThreadFreed, At: now, Page: rows[i].PageID, Contact: rows[i].ContactID}
	}
	if err := writeThreads(tx, rows); err != nil {
		return 0, err
	}
	return len(rows), event.Add(tx, events...)
}
