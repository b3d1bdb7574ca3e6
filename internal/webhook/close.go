package webhook

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// closeAll notes that callbacks were applied, and forgets what they said: bodies
// hold what people wrote, and their addresses. Of a body remains what nobody here
// understands, or all of it where that is wanted.
func (i *Inbox) closeAll(tx *db.Tx, calls []*call) error {
	if len(calls) == 0 {
		return nil
	}
	n := len(calls)
	ids, bodies, problems, events, unknown := make([]uuid.UUID, n), make([][]byte, n), make([]string, n), make([]int64, n), make([]int64, n)
	for k, c := range calls {
		ids[k], problems[k], events[k], unknown[k] = c.ID, describe(c.problem, c.lost), int64(len(c.events)), c.unknown()
		if !i.KeepBodies {
			bodies[k] = remains(c.events)
		}
	}
	low, high := bounds(ids)
	err := tx.Exec(`UPDATE callbacks SET applied_at = ?, body = COALESCE(v.body, callbacks.body), events = v.events, unknown = v.unknown, problem = v.problem
		FROM ? WHERE callbacks.id = v.id AND callbacks.id BETWEEN ? AND ?`,
		i.Now(), tx.Values("v", db.UUIDs("id", ids), db.Blobs("body", bodies), db.Int64s("events", events), db.Int64s("unknown", unknown), db.Texts("problem", problems)),
		low, high).Error
	if err != nil {
		return fmt.Errorf("close callbacks: %w", err)
	}
	return nil
}

// unknown counts the events that nobody here understands.
func (c *call) unknown() (n int64) {
	for _, ev := range c.events {
		if ev.Kind == channel.EventOther {
			n++
		}
	}
	return n
}

// maxRemains bounds what is kept of a body.
const maxRemains = 64 << 10

// remains is what nobody here understands, as a JSON array; empty when there is
// none.
func remains(events []channel.Event) []byte {
	out := []byte{}
	for _, ev := range events {
		if ev.Kind == channel.EventOther && len(ev.Raw) > 0 && len(out)+len(ev.Raw) < maxRemains {
			out = append(append(out, ','), ev.Raw...)
		}
	}
	if len(out) > 0 {
		out[0] = '['
		out = append(out, ']')
	}
	return out
}

// maxProblem bounds what is kept about a callback that cannot be read.
const maxProblem = 1000

func describe(problem error, lost int) string {
	var lines []string
	if lost > 0 {
		lines = append(lines, fmt.Sprintf("Events that cannot be applied: %d.", lost))
	}
	if problem != nil {
		lines = append(lines, problem.Error())
	}
	text := strings.Join(lines, "\n")
	return strings.ToValidUTF8(text[:min(len(text), maxProblem)], "")
}

// Tally is what came in and what became of it.
type Tally struct {
	Callbacks int64
	Events    int64
	Unknown   int64      // events that nobody here understands; they are kept in the callbacks' bodies
	Problems  int64      // callbacks of which a part could not be read or applied
	Waiting   int64      // callbacks that are not applied yet
	Oldest    *time.Time // when the first of those came
}

// Tally counts the callbacks that came since a moment.
func (i *Inbox) Tally(ctx context.Context, since time.Time) (t Tally, err error) {
	err = i.DB.Read(ctx).Raw(`SELECT COUNT(*) AS callbacks, COALESCE(SUM(events), 0) AS events, COALESCE(SUM(unknown), 0) AS unknown,
			COUNT(CASE WHEN problem <> '' THEN 1 END) AS problems, COUNT(CASE WHEN applied_at IS NULL THEN 1 END) AS waiting,
			MIN(CASE WHEN applied_at IS NULL THEN received_at END) AS oldest
		FROM callbacks WHERE id >= ?`, db.IDFrom(since)).Scan(&t).Error
	if err != nil {
		return t, fmt.Errorf("count callbacks: %w", err)
	}
	return t, nil
}
