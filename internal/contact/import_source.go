package contact

import (
	"bytes"
	"context"
	"fmt"

	"github.com/google/uuid"
)

const (
	maxLine   = 1 << 20  // of NDJSON
	maxRecord = 64 << 10 // of CSV
	maxSpan   = 50       // physical lines of one CSV record
)

// source reads the kept body of an import as one stream, a part at a time. The
// bytes it hands out stay as they are.
type source struct {
	fetch func(part int64) ([]byte, error) // nil at the end
	part  int64                            // to fetch next
	rest  []byte                           // fetched and not yet taken
	at    int64                            // where rest starts in the body
	ended bool
}

// newSource starts at a place in the body.
func newSource(at int64, fetch func(part int64) ([]byte, error)) (*source, error) {
	s := &source{fetch: fetch, part: at / partSize, at: at - at%partSize}
	if err := s.fill(int(at%partSize) + 1); err != nil {
		return nil, err
	}
	s.take(min(int(at%partSize), len(s.rest)))
	return s, nil
}

func (s *Store) partsOf(ctx context.Context, id uuid.UUID) func(int64) ([]byte, error) {
	return func(part int64) ([]byte, error) {
		var data [][]byte
		if err := s.db.Read(ctx).Raw("SELECT data FROM import_parts WHERE import_id = ? AND n = ?", id, part).Scan(&data).Error; err != nil {
			return nil, fmt.Errorf("read a part of an import: %w", err)
		}
		if len(data) == 0 {
			return nil, nil
		}
		return data[0], nil
	}
}

// fill fetches until n bytes are there, or the body ends.
func (s *source) fill(n int) error {
	for len(s.rest) < n && !s.ended {
		data, err := s.fetch(s.part)
		if err != nil {
			return err
		}
		s.part++
		s.ended = len(data) == 0
		s.rest = append(s.rest[:len(s.rest):len(s.rest)], data...)
	}
	return nil
}

func (s *source) take(n int) []byte {
	out := s.rest[:n]
	s.rest, s.at = s.rest[n:], s.at+int64(n)
	return out
}

// line takes the next physical line, its end included. One longer than most
// comes back nil, with long set. At the end of the body it is empty.
func (s *source) line(most int) (line []byte, long bool, err error) {
	if err := s.fill(most + 1); err != nil {
		return nil, false, err
	}
	if n := bytes.IndexByte(s.rest[:min(most+1, len(s.rest))], '\n'); n >= 0 {
		return s.take(n + 1), false, nil
	}
	if len(s.rest) <= most {
		return s.take(len(s.rest)), false, nil
	}
	return nil, true, s.skipLine()
}

func (s *source) skipLine() error {
	for {
		if n := bytes.IndexByte(s.rest, '\n'); n >= 0 {
			s.take(n + 1)
			return nil
		}
		s.take(len(s.rest))
		if err := s.fill(1); err != nil || len(s.rest) == 0 {
			return err
		}
	}
}

// done reports whether the body is used up.
func (s *source) done() (bool, error) {
	err := s.fill(1)
	return len(s.rest) == 0, err
}
