package contact

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

const (
	// defaultMisses is how many messages in a row may miss an address.
	defaultMisses = 3
	// missesCount is how long a miss counts. After as long without another one an
	// address is forgotten.
	missesCount = 365 * 24 * time.Hour
)

// Missed is a message that did not arrive at an address which may be right all
// the same: a full mailbox, a phone that is off. The address is the one given,
// or the one that the contact has.
type Missed struct {
	Channel   channel.Kind // SMS or Email
	Address   string
	ContactID uuid.UUID
	Delivery  int64     // our number for the message, or else
	Message   string    // the provider's name for it, or else its time tells it from others
	At        time.Time // zero: now
	Source    string    // who says so
}

// Reached is a message that arrived at an address: the one given, or the one
// that the contact has.
type Reached struct {
	Channel   channel.Kind // SMS or Email
	Address   string
	ContactID uuid.UUID
	At        time.Time // zero: now
}

// Miss counts messages that did not arrive. Each counts once, however often and
// in whatever order it is told, for a year, and until a message arrives there.
// An address that was missed Options.MissLimit times in a row is suppressed as a
// bounce (e-mail) or undeliverable (SMS), and counted anew from then on: who
// lifts that suppression gives it as many tries again.
func (s *Store) Miss(ctx context.Context, tx *db.Tx, list []Missed) error {
	for _, kind := range kinds() {
		missed, err := s.missed(tx, kind, list)
		if err != nil {
			return err
		}
		if len(missed) == 0 {
			continue
		}
		fresh, err := s.countMisses(tx, kind, missed)
		if err != nil {
			return err
		}
		if err := s.giveUp(ctx, tx, kind, fresh, missed); err != nil {
			return err
		}
	}
	return nil
}

// Reach notes messages that arrived: what missed their addresses before then
// counts no more. A word that comes late, about a message that arrived before
// others missed, leaves those counted.
func (s *Store) Reach(_ context.Context, tx *db.Tx, list []Reached) error {
	for _, kind := range kinds() {
		at := map[string]time.Time{}
		wanted := make([]spot, len(list))
		for i, r := range list {
			wanted[i] = spot{r.Channel, r.Address, r.ContactID}
		}
		hashes, err := s.hashesOf(tx, kind, wanted)
		if err != nil {
			return err
		}
		for i, hash := range hashes {
			if then := s.moment(list[i].At); hash != nil && then.After(at[string(hash)]) {
				at[string(hash)] = then
			}
		}
		if err := countFrom(tx, kind, at); err != nil {
			return err
		}
	}
	return nil
}

// ForgetMisses forgets addresses that nothing missed for a year.
func (s *Store) ForgetMisses(ctx context.Context) error {
	return s.db.Transact(ctx, func(tx *db.Tx) error {
		if err := tx.Exec("DELETE FROM missed_addresses WHERE last_at < ?", s.now().Add(-missesCount)).Error; err != nil {
			return fmt.Errorf("forget misses: %w", err)
		}
		return nil
	})
}

// spot is an address on a channel, or the contact that has it.
type spot struct {
	channel channel.Kind
	address string
	contact uuid.UUID
}

// hashesOf finds the keyed hash of each spot on the channel, in order; nil for
// those on another one, and for contacts without an address.
func (s *Store) hashesOf(tx *db.Tx, kind channel.Kind, list []spot) ([][]byte, error) {
	out, ids := make([][]byte, len(list)), []uuid.UUID(nil)
	for i, p := range list {
		switch {
		case p.channel != kind:
		case p.address != "":
			out[i] = s.hashAsIs(kind, p.address)
		case p.contact != uuid.Nil:
			ids = append(ids, p.contact)
		}
	}
	if len(ids) == 0 {
		return out, nil
	}
	var held []holder
	if err := tx.Raw("SELECT c.id, c."+hashKind(kind)+"_hash AS hash FROM contacts c JOIN ? ON c.id = v.id", tx.Values("v", db.UUIDs("id", ids))).Scan(&held).Error; err != nil {
		return nil, fmt.Errorf("find addresses of contacts: %w", err)
	}
	of := make(map[uuid.UUID][]byte, len(held))
	for _, h := range held {
		of[h.ID] = h.Hash
	}
	for i, p := range list {
		if p.channel == kind && p.address == "" {
			out[i] = of[p.contact]
		}
	}
	return out, nil
}

// miss is a row of misses, with who said it.
type miss struct {
	hash    []byte
	message string
	at      time.Time
	missed  Missed
}

// missed are the misses of one channel, each message once, in the order of their
// hashes: two transactions wait for each other instead of deadlocking.
func (s *Store) missed(tx *db.Tx, kind channel.Kind, list []Missed) ([]miss, error) {
	wanted := make([]spot, len(list))
	for i, m := range list {
		wanted[i] = spot{m.Channel, m.Address, m.ContactID}
	}
	hashes, err := s.hashesOf(tx, kind, wanted)
	if err != nil {
		return nil, err
	}
	var out []miss
	for i, m := range list {
		if hashes[i] != nil {
			at := s.moment(m.At)
			out = append(out, miss{hash: hashes[i], message: m.name(at), at: at, missed: m})
		}
	}
	slices.SortFunc(out, func(a, b miss) int {
		if by := bytes.Compare(a.hash, b.hash); by != 0 {
			return by
		}
		return strings.Compare(a.message, b.message)
	})
	return slices.CompactFunc(out, func(a, b miss) bool { return bytes.Equal(a.hash, b.hash) && a.message == b.message }), nil
}

// name tells a message from all others to the same address.
func (m Missed) name(at time.Time) string {
	switch {
	case m.Delivery != 0:
		return strconv.FormatInt(m.Delivery, 10)
	case m.Message != "":
		return "id " + m.Message
	}
	return "at " + at.Format(time.RFC3339Nano)
}

// moment is when something happened: now when that is not said, and for what
// cannot have happened yet.
func (s *Store) moment(at time.Time) time.Time {
	now := s.now()
	if at.IsZero() || at.After(now) {
		return now
	}
	return at.UTC().Truncate(time.Microsecond)
}

// countMisses writes misses down and returns the hashes of those that were not
// known yet. The first statement holds each address until the transaction ends,
// so that two of them cannot both overlook the other's.
func (s *Store) countMisses(tx *db.Tx, kind channel.Kind, list []miss) ([][]byte, error) {
	hashes, last := newest(list)
	if err := tx.Exec(`INSERT INTO missed_addresses (channel, hash, last_at) SELECT ?, v.hash, v.at FROM ? WHERE TRUE ON CONFLICT (channel, hash) DO UPDATE
		SET last_at = CASE WHEN missed_addresses.last_at < excluded.last_at THEN excluded.last_at ELSE missed_addresses.last_at END`,
		kind, tx.Values("v", db.Blobs("hash", hashes), db.Times("at", last))).Error; err != nil {
		return nil, fmt.Errorf("count misses: %w", err)
	}
	all, messages, times := make([][]byte, len(list)), make([]string, len(list)), make([]time.Time, len(list))
	for i, m := range list {
		all[i], messages[i], times[i] = m.hash, m.message, m.at
	}
	var fresh [][]byte
	err := tx.Raw(`INSERT INTO misses (channel, hash, message, at) SELECT ?, v.hash, v.message, v.at FROM ? WHERE TRUE ON CONFLICT DO NOTHING RETURNING hash`,
		kind, tx.Values("v", db.Blobs("hash", all), db.Texts("message", messages), db.Times("at", times))).Scan(&fresh).Error
	if err != nil {
		return nil, fmt.Errorf("count misses: %w", err)
	}
	return fresh, nil
}

// newest are the addresses of misses that come in the order of their hashes, and
// when each was missed last.
func newest(list []miss) (hashes [][]byte, at []time.Time) {
	for _, m := range list {
		switch n := len(hashes) - 1; {
		case n < 0 || !bytes.Equal(hashes[n], m.hash):
			hashes, at = append(hashes, m.hash), append(at, m.at)
		case m.at.After(at[n]):
			at[n] = m.at
		}
	}
	return hashes, at
}

// giveUp suppresses those of the addresses that were missed too often in a row.
func (s *Store) giveUp(ctx context.Context, tx *db.Tx, kind channel.Kind, hashes [][]byte, list []miss) error {
	if len(hashes) == 0 {
		return nil
	}
	var over []struct{ Hash []byte }
	err := tx.Raw(`SELECT m.hash FROM misses m JOIN missed_addresses a ON a.channel = m.channel AND a.hash = m.hash
		WHERE m.channel = ? AND m.hash IN (SELECT v.hash FROM ?) AND m.at > ? AND (a.since IS NULL OR m.at > a.since)
		GROUP BY m.hash HAVING COUNT(*) >= ?`, kind, tx.Values("v", db.Blobs("hash", hashes)), s.now().Add(-missesCount), s.missLimit).Scan(&over).Error
	if err != nil {
		return fmt.Errorf("count misses: %w", err)
	}
	last, until := map[string]Missed{}, map[string]time.Time{}
	for _, m := range list {
		last[string(m.hash)] = m.missed
	}
	var silence []Silence
	for _, o := range over {
		m := last[string(o.Hash)]
		silence = append(silence, Silence{Channel: kind, Address: m.Address, ContactID: m.ContactID, Reason: missReason(kind), Source: m.Source})
		until[string(o.Hash)] = s.now()
	}
	if err := s.Suppress(ctx, tx, silence); err != nil {
		return err
	}
	return countFrom(tx, kind, until)
}

func missReason(kind channel.Kind) string {
	if kind == channel.SMS {
		return ReasonUndeliverable
	}
	return ReasonBounce
}

// countFrom makes misses up to a moment count no more, for each hash its own.
func countFrom(tx *db.Tx, kind channel.Kind, from map[string]time.Time) error {
	if len(from) == 0 {
		return nil
	}
	hashes, at := make([][]byte, 0, len(from)), make([]time.Time, 0, len(from))
	for hash := range from {
		hashes = append(hashes, []byte(hash))
	}
	slices.SortFunc(hashes, bytes.Compare)
	for _, hash := range hashes {
		at = append(at, from[string(hash)])
	}
	err := tx.Exec(`UPDATE missed_addresses SET since = v.at FROM ? WHERE missed_addresses.channel = ? AND missed_addresses.hash = v.hash
		AND (missed_addresses.since IS NULL OR missed_addresses.since < v.at)`, tx.Values("v", db.Blobs("hash", hashes), db.Times("at", at)), kind).Error
	if err != nil {
		return fmt.Errorf("count misses anew: %w", err)
	}
	return nil
}
