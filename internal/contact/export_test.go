package contact

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/nyaruka/phonenumbers"
)

// ErrOvertaken is for tests that run the same import twice.
var ErrOvertaken = errOvertaken

// OneChunkAtATime makes each run of an import enqueue its rest after one chunk.
func (s *Store) OneChunkAtATime() { s.budget = 0 }

// OpenImport begins a run of an import and returns what does its work.
func (s *Store) OpenImport(ctx context.Context, id uuid.UUID) (work func(context.Context) error, err error) {
	run, err := s.open(ctx, id)
	if err != nil || run == nil {
		return nil, err
	}
	return run.work, nil
}

// Forms are the functions that put a field into its one form.
func (s *Store) Forms() map[string]func(string) (string, bool) {
	return map[string]func(string) (string, bool){"phone": s.phone, "email": email, "locale": locale, "time zone": s.timeZone}
}

// SlowPhone is the phone number's form without the short cut.
func (s *Store) SlowPhone(v string) (string, bool) {
	n, err := phonenumbers.Parse(v, s.region)
	return phonenumbers.Format(n, phonenumbers.E164), err == nil && phonenumbers.IsValidNumber(n)
}

// Follow is the consent that holds when one sent over the API, with or without
// a time, comes at a moment after another was stored.
func Follow(old, sent Consent, now time.Time) Consent {
	c := &checks{now: now}
	o := Of(sent)
	return c.consent("", &o).follow(old, "api")
}

// ReadCSV reads a whole body as the import does: the cells of each record, nil
// for a refused one, and the physical lines it used.
func ReadCSV(body []byte, comma byte, width int) (records [][]string, lines int) {
	whole := func(part int64) ([]byte, error) {
		at := min(int(part)*partSize, len(body))
		return body[at:min(at+partSize, len(body))], nil
	}
	src, _ := newSource(0, whole)
	c := csvReader{src, comma, width}
	for {
		if done, _ := c.done(); done {
			return records, lines
		}
		r, n, _ := c.next(int64(lines) + 1)
		if lines += n; !r.blank {
			records = append(records, r.cells)
		}
	}
}

// Meaning is what the columns of a CSV file are taken for.
func (s *Store) Meaning(header []string, o ImportOptions) (targets []string, problem string) {
	c, problem := s.compile(header, o)
	for _, col := range c.list {
		targets = append(targets, col.target)
	}
	return targets, problem
}
