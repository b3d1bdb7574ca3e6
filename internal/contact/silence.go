package contact

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/event"
)

// Silence asks to suppress an address, or to lift that: the one given, or the one
// a contact has, or one of which only the hash is known.
type Silence struct {
	Channel   channel.Kind // SMS or Email
	Address   string
	ContactID uuid.UUID
	Hash      []byte
	Reason    string
	Source    string
	// At is when it was said; zero is now. Of what was refused and lifted, in
	// whatever order it is told and however often, the latest holds, and of both at
	// one moment the refusal.
	At time.Time
}

// Suppress silences addresses: each reason stands for itself, and one that stands
// already stays as it is. Where the reason is the person's own word, the consent of
// the contact that holds the address becomes unsubscribed, unless it was given
// later. Addresses need not be well-formed: what a provider names is suppressed as
// it stands. What was lifted after Silence.At is passed over. An event tells of each
// suppression that is new and whose address a contact holds.
func (s *Store) Suppress(_ context.Context, tx *db.Tx, list []Silence) error {
	for _, kind := range kinds() {
		if _, err := s.suppress(tx, s.wanted(kind, list)); err != nil {
			return err
		}
	}
	return nil
}

// suppress does what was asked for one channel and returns the suppressions that
// are new.
func (s *Store) suppress(tx *db.Tx, w wanted) ([]Suppression, error) {
	if len(w.list) == 0 {
		return nil, nil
	}
	if err := w.findHolders(tx); err != nil {
		return nil, err
	}
	if err := w.dropLifted(tx); err != nil {
		return nil, err
	}
	if err := w.refuse(tx, s.now()); err != nil {
		return nil, err
	}
	made, err := insertSuppressions(tx, w.rows(s.now()))
	if err != nil {
		return nil, err
	}
	return made, w.tell(tx, event.SuppressionAdded, made, s.now())
}

// tell tells of suppressions whose address a contact holds, or that were asked for alone.
func (w *wanted) tell(tx *db.Tx, what event.Type, rows []Suppression, at time.Time) error {
	var events []event.Event
	for _, x := range rows {
		e := event.Event{Type: what, At: at, Data: map[string]any{"suppression_id": x.ID.String(), "channel": string(x.Channel), "reason": x.Reason}}
		h := w.byHash[string(x.Hash)]
		if h != nil {
			e.Contact = h.ID
		}
		if h != nil || w.alone {
			events = append(events, e)
		}
	}
	return event.Add(tx, events...)
}

func kinds() []channel.Kind { return []channel.Kind{channel.SMS, channel.Email} }

// wanted is what was asked for the addresses of one channel.
type wanted struct {
	kind   channel.Kind
	list   []Silence // with their hashes, as far as they are known
	alone  bool      // one address, asked for by somebody who waits for the answer
	byHash map[string]*holder
	byID   map[uuid.UUID]*holder
}

func (s *Store) wanted(kind channel.Kind, list []Silence) wanted {
	w := wanted{kind: kind, byHash: map[string]*holder{}, byID: map[uuid.UUID]*holder{}}
	now := s.now()
	for _, one := range list {
		if one.Channel != kind {
			continue
		}
		if one.ContactID == uuid.Nil && one.Address != "" {
			one.Hash = s.hashAsIs(kind, one.Address)
		}
		if one.At = one.At.UTC().Truncate(time.Microsecond); one.At.After(now) {
			one.At = now
		}
		if one.ContactID != uuid.Nil || len(one.Hash) > 0 {
			w.list = append(w.list, one)
		}
	}
	return w
}

// hashAsIs is the hash of an address in its one form, or of what stands there when
// it has none.
func (s *Store) hashAsIs(kind channel.Kind, address string) []byte {
	form, ok := s.form(kind, address)
	if !ok {
		form = strings.TrimSpace(address)
	}
	return s.hash(hashKind(kind), form)
}

// holder is a contact whose address is concerned, with what it said of the channel.
type holder struct {
	ID   uuid.UUID
	Hash []byte
	Consent
}

// findHolders finds the contacts concerned, and learns from them the hashes of the
// addresses of those that were named by id. They are locked where their consent may change.
func (w *wanted) findHolders(tx *db.Tx) error {
	var ids []uuid.UUID
	var hashes [][]byte
	lock := ""
	for _, one := range w.list {
		if one.ContactID != uuid.Nil {
			ids = append(ids, one.ContactID)
		} else {
			hashes = append(hashes, one.Hash)
		}
		if OptOut(one.Reason) {
			lock = tx.ForUpdate()
		}
	}
	hash, consent := hashKind(w.kind)+"_hash", string(w.kind)+"_consent_"
	sql := fmt.Sprintf(`SELECT id, %[1]s AS hash, %[2]sstatus AS status, %[2]ssource AS source, %[2]sat AS at, %[2]sevidence AS evidence, %[2]sundated AS undated
		FROM contacts WHERE id IN (SELECT v.id FROM ? UNION SELECT c.id FROM contacts c JOIN ? ON c.%[1]s = v.hash) ORDER BY id`, hash, consent)
	var found []holder
	if err := tx.Raw(sql+lock, tx.Values("v", db.UUIDs("id", ids)), tx.Values("v", db.Blobs("hash", hashes))).Scan(&found).Error; err != nil {
		return fmt.Errorf("find who holds an address: %w", err)
	}
	for i := range found {
		h := &found[i]
		w.byID[h.ID] = h
		if len(h.Hash) > 0 {
			w.byHash[string(h.Hash)] = h
		}
	}
	for i := range w.list {
		if h := w.byID[w.list[i].ContactID]; h != nil {
			w.list[i].Hash = h.Hash
		}
	}
	return nil
}

// holder is the contact concerned, or nil.
func (w *wanted) holder(one Silence) *holder {
	if one.ContactID != uuid.Nil {
		return w.byID[one.ContactID]
	}
	return w.byHash[string(one.Hash)]
}

// OptOut reports whether a reason to suppress an address is the person's own word.
func OptOut(reason string) bool { return slices.Contains(optOuts(), reason) }

func optOuts() []string { return []string{ReasonStop, ReasonUnsubscribe, ReasonComplaint} }

// refuse has those unsubscribe whose own word it is.
func (w *wanted) refuse(tx *db.Tx, now time.Time) error {
	var said []ConsentChange
	seen := map[uuid.UUID]bool{}
	for _, one := range w.list {
		h, at := w.holder(one), one.At
		if at.IsZero() {
			at = now
		}
		if h == nil || seen[h.ID] || !OptOut(one.Reason) || h.Status == Unsubscribed || at.Before(moment(h.At)) && !h.Undated {
			continue
		}
		seen[h.ID] = true
		said = append(said, ConsentChange{ContactID: h.ID, Channel: w.kind, How: HowRefused, NotedAt: now, Was: h.Consent,
			Consent: Consent{Status: Unsubscribed, Source: cmp.Or(one.Source, one.Reason), At: &at, Evidence: one.Reason}})
	}
	return changeConsents(tx, w.kind, said)
}

// changeConsents writes consents of one channel, and that they changed.
func changeConsents(tx *db.Tx, kind channel.Kind, said []ConsentChange) error {
	if len(said) == 0 {
		return nil
	}
	texts := func(name string, of func(ConsentChange) string) db.Column { return db.Texts(name, each(said, of)) }
	times := func(name string, of func(ConsentChange) time.Time) db.Column { return db.Times(name, each(said, of)) }
	sql := fmt.Sprintf("UPDATE contacts SET %[1]sstatus = v.status, %[1]ssource = v.source, %[1]sat = v.at, %[1]sevidence = v.evidence, %[1]sundated = (v.undated <> ''), updated_at = v.noted FROM ? WHERE contacts.id = v.id",
		string(kind)+"_consent_")
	err := tx.Exec(sql, tx.Values("v", db.UUIDs("id", each(said, func(e ConsentChange) uuid.UUID { return e.ContactID })),
		texts("status", func(e ConsentChange) string { return e.Status }), texts("source", func(e ConsentChange) string { return e.Source }),
		texts("evidence", func(e ConsentChange) string { return e.Evidence }), texts("undated", func(e ConsentChange) string { return flag(e.Undated) }), times("at", func(e ConsentChange) time.Time { return moment(e.At) }),
		times("noted", func(e ConsentChange) time.Time { return e.NotedAt }))).Error
	if err != nil {
		return fmt.Errorf("change consents: %w", err)
	}
	return remember(tx, said)
}

// dropLifted leaves out what was lifted later.
func (w *wanted) dropLifted(tx *db.Tx) error {
	var hashes [][]byte
	for _, one := range w.list {
		if !one.At.IsZero() && len(one.Hash) > 0 {
			hashes = append(hashes, one.Hash)
		}
	}
	if len(hashes) == 0 {
		return nil
	}
	var rows []struct {
		Hash     []byte
		Reason   string
		LiftedAt time.Time
	}
	if err := tx.Raw("SELECT l.hash, l.reason, l.lifted_at FROM ? JOIN lifts l ON l.channel = ? AND l.hash = v.hash",
		tx.Values("v", db.Blobs("hash", hashes)), string(w.kind)).Scan(&rows).Error; err != nil {
		return fmt.Errorf("find what was lifted: %w", err)
	}
	lifted := map[string]time.Time{}
	for _, r := range rows {
		lifted[r.Reason+" "+string(r.Hash)] = r.LiftedAt
	}
	w.list = slices.DeleteFunc(w.list, func(one Silence) bool {
		at, is := lifted[one.Reason+" "+string(one.Hash)]
		return is && !one.At.IsZero() && one.At.Before(at)
	})
	return nil
}

// rows are the suppressions that were asked for: one for each reason.
func (w *wanted) rows(now time.Time) []Suppression {
	var out []Suppression
	at := map[string]int{}
	for _, one := range w.list {
		if len(one.Hash) == 0 {
			continue
		}
		if one.At.IsZero() {
			one.At = now
		}
		k := one.Reason + " " + string(one.Hash)
		if i, twice := at[k]; twice {
			out[i].RefusedAt = *later(&out[i].RefusedAt, &one.At)
			continue
		}
		at[k] = len(out)
		out = append(out, Suppression{Channel: w.kind, Hash: one.Hash, Reason: one.Reason, Source: one.Source, CreatedAt: now, RefusedAt: one.At})
	}
	return out
}

// insertSuppressions adds rows in the order of their hashes, so that two
// transactions wait for each other instead of deadlocking, and returns those that
// are new.
func insertSuppressions(tx *db.Tx, rows []Suppression) ([]Suppression, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	slices.SortFunc(rows, func(a, b Suppression) int {
		return cmp.Or(bytes.Compare(a.Hash, b.Hash), strings.Compare(a.Reason, b.Reason))
	})
	for i := range rows {
		rows[i].ID = uuid.Must(uuid.NewV7())
	}
	texts := func(name string, of func(Suppression) string) db.Column { return db.Texts(name, each(rows, of)) }
	times := func(name string, of func(Suppression) time.Time) db.Column { return db.Times(name, each(rows, of)) }
	var written []uuid.UUID
	if err := tx.Raw(`INSERT INTO suppressions (id, channel, hash, reason, source, created_at, refused_at)
		SELECT v.id, v.channel, v.hash, v.reason, v.source, v.created, v.refused FROM ? WHERE TRUE
		ON CONFLICT (channel, hash, reason) DO UPDATE SET refused_at = excluded.refused_at WHERE suppressions.refused_at < excluded.refused_at RETURNING id`,
		tx.Values("v", db.UUIDs("id", each(rows, func(x Suppression) uuid.UUID { return x.ID })),
			texts("channel", func(x Suppression) string { return string(x.Channel) }),
			db.Blobs("hash", each(rows, func(x Suppression) []byte { return x.Hash })),
			texts("reason", func(x Suppression) string { return x.Reason }), texts("source", func(x Suppression) string { return x.Source }),
			times("created", func(x Suppression) time.Time { return x.CreatedAt }),
			times("refused", func(x Suppression) time.Time { return x.RefusedAt }))).Scan(&written).Error; err != nil {
		return nil, fmt.Errorf("suppress: %w", err)
	}
	mine := set(written)
	return slices.DeleteFunc(rows, func(x Suppression) bool { return !mine[x.ID] }), nil
}
