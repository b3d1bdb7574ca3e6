package line

import (
	"context"
	"fmt"
	"math"
	"time"

	"beckon/internal/channel"
	"beckon/internal/db"
)

const (
	// ahead is how far turns are given out before their time, and how long those
	// of one lease last.
	ahead = time.Second
	// credit is what a line that stood idle for a moment may catch up on: between
	// two leases there is always a little.
	credit = 250 * time.Millisecond
	// probeUnits is how much is risked on a line that may work again, and
	// probeTime how long that may take before somebody else tries.
	probeUnits = 5
	probeTime  = time.Minute
	// longestWait is how soon a resumed line is noticed at the latest.
	longestWait = time.Minute
	leastWait   = 10 * time.Millisecond
)

// Lease takes up to want turns of a line. It belongs into the transaction that
// claims what is to be sent, before the claim: what has no turn is not claimed.
// On any number of nodes the turns that come in a time T are never more than
// pace times T and one second's worth; clocks that differ by s make that T+2s,
// once, and never raise the pace. A line without a pace costs one plain read and
// grants all that is wanted. With want 0 nothing is taken: it only says whether
// there would be something.
func (s *Store) Lease(tx *db.Tx, name string, want int) (channel.Grant, error) {
	now, rate := s.now(), s.rates.of(name)
	if rate > 0 && want > 0 {
		if g, err := take(tx, name, lease{rate, want, full, full}, now); err != nil || g.Units > 0 {
			return g, err
		}
	}
	var rows []row
	if err := tx.Raw("SELECT * FROM lines WHERE sender = ?", name).Scan(&rows).Error; err != nil {
		return channel.Grant{}, fmt.Errorf("read a line: %w", err)
	}
	if len(rows) == 0 {
		return s.first(tx, name, want, now)
	}
	return rows[0].lease(tx, rate, want, now)
}

// first leases a line that has no row.
func (s *Store) first(tx *db.Tx, name string, want int, now time.Time) (channel.Grant, error) {
	rate := s.rates.of(name)
	if rate == 0 || want == 0 {
		return freely(name, want, now), nil
	}
	if err := insert(tx, name, now); err != nil {
		return channel.Grant{}, err
	}
	g, err := take(tx, name, lease{rate, want, full, full}, now)
	if err == nil && g.Units == 0 { // another node was faster
		g.Wait = leastWait
	}
	return g, err
}

func freely(name string, want int, now time.Time) channel.Grant {
	return channel.Grant{Line: name, Units: want, Start: now, End: now, Leased: now}
}

// lease is for lines that are not simply at their pace, or have none.
func (r *row) lease(tx *db.Tx, rate float64, want int, now time.Time) (channel.Grant, error) {
	share, pace := r.shareAt(now), r.paceAt(rate, now)
	switch {
	case r.StoppedAt != nil && (r.RetryAt == nil || now.Before(*r.RetryAt)):
		return channel.Grant{Line: r.Sender, Stopped: true, Wait: r.patience(now), Leased: now}, nil
	case r.StoppedAt != nil && want > 0:
		return r.probe(tx, pace, want, now)
	case pace == 0 && share == r.Share:
		g := freely(r.Sender, want, now)
		g.Watched = r.doubted()
		return g, nil
	case pace == 0:
		g := freely(r.Sender, want, now)
		return g, at(tx.Exec("UPDATE lines SET share = ?, updated_at = ? WHERE sender = ? AND share = ?", full, now, r.Sender, r.Share).Error)
	case want > 0 && r.Share < full:
		l := lease{pace, want, r.Share, r.Share}
		if share == full {
			l.becomes = full
		}
		if g, err := take(tx, r.Sender, l, now); err != nil || g.Units > 0 {
			return g, err
		}
	}
	g := channel.Grant{Line: r.Sender, Wait: r.untilFree(now), Leased: now}
	if want > 0 {
		g.Wait = max(g.Wait, leastWait)
	}
	return g, nil
}

func (r *row) doubted() bool { return r.Streak+r.Tried > 0 }

func (r *row) untilFree(now time.Time) time.Duration {
	return min(max(time.UnixMicro(r.FreeAt).Sub(now)-ahead, 0), longestWait)
}

// patience is how long to leave a stopped line alone: until it is tried, or, when
// that is for somebody to say, the longer the longer it stands.
func (r *row) patience(now time.Time) time.Duration {
	wait := now.Sub(*r.StoppedAt) / 4
	if r.RetryAt != nil {
		wait = r.RetryAt.Sub(now)
	}
	return min(max(wait, 2*time.Second), longestWait)
}

// lease says what is to be taken of a line, and how it must stand for that.
type lease struct {
	pace         float64
	want         int
	was, becomes int // the share in its row
}

// units is at most a second's worth, and one when the line is slower than that.
func (l lease) units() int {
	return min(l.want, max(1, int(l.pace*ahead.Seconds())))
}

// span is how long units take, in microseconds; rounded up, so that the pace is
// never exceeded.
func span(units int, pace float64) int64 { return int64(math.Ceil(float64(units) * 1e6 / pace)) }

// since is from when idle time may be used.
func since(now time.Time, pace float64) int64 {
	if pace < 2 { // one turn more would be more than a second's worth
		return now.UnixMicro()
	}
	return now.Add(-credit).UnixMicro()
}

// take gives out turns at the end of the line, if it is not stopped, stands at
// the share expected and is not full for the next second. It returns no units
// otherwise.
func take(tx *db.Tx, name string, l lease, now time.Time) (channel.Grant, error) {
	units := l.units()
	from, long := since(now, l.pace), span(units, l.pace)
	var got []struct {
		FreeAt int64
		Doubt  int
	}
	err := tx.Raw(`UPDATE lines SET free_at = CASE WHEN free_at > ? THEN free_at ELSE ? END + ?, share = ?
		WHERE sender = ? AND free_at <= ? AND stopped_at IS NULL AND share = ? RETURNING free_at, streak + tried AS doubt`,
		from, from, long, l.becomes, name, now.Add(ahead).UnixMicro(), l.was).Scan(&got).Error
	if err != nil {
		return channel.Grant{}, fmt.Errorf("lease a line: %w", err)
	}
	if len(got) == 0 {
		return channel.Grant{Line: name}, nil
	}
	g := turns(name, units, got[0].FreeAt, long, now)
	g.Watched = got[0].Doubt > 0
	return g, nil
}

// turns is a grant of units that end at free.
func turns(name string, units int, free, long int64, now time.Time) channel.Grant {
	return channel.Grant{Line: name, Units: units, Start: time.UnixMicro(free - long).UTC(), End: time.UnixMicro(free).UTC(),
		Every: time.Duration(long) * time.Microsecond / time.Duration(units), Leased: now}
}

// probe gives a few turns of a stopped line to whoever asks first.
func (r *row) probe(tx *db.Tx, pace float64, want int, now time.Time) (channel.Grant, error) {
	l := lease{pace: pace, want: min(want, probeUnits)}
	units, from, long := l.want, now.UnixMicro(), int64(0)
	if pace > 0 {
		units, from = l.units(), since(now, pace)
		long = span(units, pace)
	}
	var got []int64
	err := tx.Raw(`UPDATE lines SET retry_at = ?, free_at = CASE WHEN free_at > ? THEN free_at ELSE ? END + ?, updated_at = ?
		WHERE sender = ? AND stopped_at IS NOT NULL AND retry_at <= ? AND free_at <= ? RETURNING free_at`,
		now.Add(probeTime), from, from, long, now, r.Sender, now, now.Add(ahead).UnixMicro()).Scan(&got).Error
	if err != nil {
		return channel.Grant{}, fmt.Errorf("probe a line: %w", err)
	}
	if len(got) == 0 {
		return channel.Grant{Line: r.Sender, Stopped: true, Wait: 2 * time.Second, Leased: now}, nil
	}
	g := turns(r.Sender, units, got[0], long, now)
	g.Probe = true
	return g, nil
}

// Owe corrects a lease: with units above zero what is sent takes that many more
// than were leased, an SMS of more segments say; below zero that many turns at
// the end of the lease are not used, because the batch was halted. They are given
// back only while nobody leased what comes after them.
func (s *Store) Owe(ctx context.Context, g channel.Grant, units int) error {
	if g.Every == 0 || units == 0 {
		return nil
	}
	now, long := s.now().UnixMicro(), (time.Duration(units) * g.Every).Microseconds()
	return s.db.Transact(ctx, func(tx *db.Tx) error {
		if units < 0 {
			return at(tx.Exec("UPDATE lines SET free_at = ? WHERE sender = ? AND free_at = ?",
				max(g.End.UnixMicro()+long, g.Start.UnixMicro()), g.Line, g.End.UnixMicro()).Error)
		}
		return at(tx.Exec("UPDATE lines SET free_at = CASE WHEN free_at > ? THEN free_at ELSE ? END + ? WHERE sender = ?", now, now, long+1, g.Line).Error)
	})
}

func at(err error) error {
	if err != nil {
		return fmt.Errorf("move a line on: %w", err)
	}
	return nil
}
