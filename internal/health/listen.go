package health

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Hear notes that Meta sends events of a Page, and acts on Meta's word about it:
// a block stops the Page's line, and its end lets it go on.
func (s *Service) Hear(_ context.Context, tx *db.Tx, h channel.Heard) error {
	if s.due(h.Page) {
		if err := s.Pages.Heard(tx, h.Page); err != nil {
			return err
		}
	}
	for _, ev := range h.Events {
		if ev.Kind != channel.EventPolicy || !slices.Contains([]string{channel.StatusWarning, channel.StatusBlock, channel.StatusUnblock}, ev.Status) {
			continue
		}
		at := ev.At
		if at.IsZero() {
			at = s.Now()
		}
		if err := s.Pages.PolicySaid(tx, h.Page, ev.Status, legible(ev.Reason), at); err != nil {
			return err
		}
	}
	return nil
}

// due reports whether a Page was not written down as heard of by this node for
// half a minute. Should the transaction fail, the next one after that does it.
func (s *Service) due(id uuid.UUID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	if last, ok := s.heard[id]; ok && now.Sub(last) < 30*time.Second && !now.Before(last) {
		return false
	}
	s.heard[id] = now
	return true
}

// longestReason is how much is kept of why Meta says something.
const longestReason = 500

// legible is a text that both engines can keep.
func legible(reason string) string {
	reason = strings.ReplaceAll(strings.ToValidUTF8(reason, ""), "\x00", "")
	if cut := []rune(reason); len(cut) > longestReason {
		return string(cut[:longestReason])
	}
	return reason
}
