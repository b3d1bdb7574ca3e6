package delivery

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/route"
)

// Tally counts deliveries and where they stand.
type Tally struct {
	Total  int
	States map[State]int
}

func (t *Tally) add(state State, n int) {
	if t.States == nil {
		t.States = map[State]int{}
	}
	t.Total += n
	t.States[state] += n
}

// Report accounts for everybody in a campaign: Messenger, LinkBack and
// Unreachable always add up to Audience.
type Report struct {
	Audience      int
	Messenger     Tally
	LinkBack      Tally
	Unreachable   Tally
	Reasons       map[route.Reason]int // of the unreachable
	Lanes         map[channel.Lane]Tally
	Clicked       int
	Returned      int
	Replied       int
	Complaints    int // e-mails called spam
	TokensGranted int
	Escalation    *uuid.UUID // the campaign that the Escalated are in, if it asks for one
	Escalated     Tally      // one more message to silent people; they count on the Messenger side
	Settling      int        // unknown, and may yet become known by themselves
	ToResolve     int        // unknown for longer than the grace time: for a person to decide
}

// Report accounts for a campaign: by its rows, or, once they are given up, as it
// was last.
func (s *Store) Report(ctx context.Context, campaign uuid.UUID) (Report, error) {
	r, err := s.count(ctx, campaign)
	if err != nil {
		return r, err
	}
	if last, kept, err := s.keptReport(ctx, campaign); err != nil || kept { // looked for after the rows: they go later
		return last, err
	}
	return r, nil
}

// count counts the rows of a campaign in one snapshot.
func (s *Store) count(ctx context.Context, campaign uuid.UUID) (Report, error) {
	r := Report{Reasons: map[route.Reason]int{}, Lanes: map[channel.Lane]Tally{}}
	var groups []struct {
		Lane                          channel.Lane
		State                         State
		Reason                        route.Reason
		N, Clicked, Returned, Replied int
		Settling                      int
	}
	err := s.db.Read(ctx).Raw(`SELECT lane, state, CASE WHEN state = 'unreachable' THEN reason ELSE '' END AS reason,
			COUNT(*) AS n, COUNT(clicked_at) AS clicked, COUNT(returned_at) AS returned, COUNT(replied_at) AS replied,
			COUNT(CASE WHEN state = 'unknown' AND sent_at > ? THEN 1 END) AS settling
		FROM deliveries WHERE campaign_id = ? GROUP BY 1, 2, 3`, s.now().Add(-s.grace), campaign).Scan(&groups).Error
	if err != nil {
		return r, fmt.Errorf("count deliveries: %w", err)
	}
	for _, g := range groups {
		r.Audience += g.N
		r.Clicked, r.Returned, r.Replied = r.Clicked+g.Clicked, r.Returned+g.Returned, r.Replied+g.Replied
		if g.State == Unknown {
			r.Settling, r.ToResolve = r.Settling+g.Settling, r.ToResolve+g.N-g.Settling
		}
		r.count(g.Lane, g.State, g.Reason, g.N)
	}
	var escalation []uuid.UUID
	if err := s.db.Read(ctx).Raw("SELECT id FROM campaigns WHERE escalation_of = ?", campaign).Scan(&escalation).Error; err != nil {
		return r, fmt.Errorf("find a campaign's escalation: %w", err)
	}
	for _, id := range escalation {
		r.Escalation = &id
		if err := s.countEscalated(ctx, campaign, id, &r); err != nil {
			return r, err
		}
	}
	if r.Complaints, err = s.complaints(ctx, append(escalation, campaign)); err != nil {
		return r, err
	}
	r.TokensGranted, err = s.tokensGranted(ctx, append(escalation, campaign))
	return r, err
}

func (s *Store) complaints(ctx context.Context, campaigns []uuid.UUID) (n int, err error) {
	if err = s.db.Read(ctx).Raw("SELECT COUNT(*) FROM complaints WHERE campaign_id IN ?", campaigns).Row().Scan(&n); err != nil {
		return 0, fmt.Errorf("count complaints: %w", err)
	}
	return n, nil
}

// countEscalated adds what came of the second message to those of whom nothing
// came after the first.
func (s *Store) countEscalated(ctx context.Context, campaign, escalation uuid.UUID, r *Report) error {
	var groups []struct {
		State                         State
		N, Clicked, Returned, Replied int
	}
	err := s.db.Read(ctx).Raw(`SELECT d.state, COUNT(*) AS n, COUNT(CASE WHEN first.clicked_at IS NULL THEN d.clicked_at END) AS clicked,
			COUNT(CASE WHEN first.returned_at IS NULL THEN d.returned_at END) AS returned, COUNT(CASE WHEN first.replied_at IS NULL THEN d.replied_at END) AS replied
		FROM deliveries d JOIN deliveries first ON first.campaign_id = ? AND first.contact_id = d.contact_id
		WHERE d.campaign_id = ? GROUP BY d.state`, campaign, escalation).Scan(&groups).Error
	if err != nil {
		return fmt.Errorf("count escalated deliveries: %w", err)
	}
	for _, g := range groups {
		r.Escalated.add(g.State, g.N)
		r.Clicked, r.Returned, r.Replied = r.Clicked+g.Clicked, r.Returned+g.Returned, r.Replied+g.Replied
	}
	return nil
}

func (r *Report) count(lane channel.Lane, state State, reason route.Reason, n int) {
	if lane == "" {
		r.Unreachable.add(state, n)
		r.Reasons[reason] += n
		return
	}
	side := &r.LinkBack
	if lane.Kind() == channel.Messenger {
		side = &r.Messenger
	}
	side.add(state, n)
	t := r.Lanes[lane]
	t.add(state, n)
	r.Lanes[lane] = t
}

// tokensGranted counts the permissions that people of the campaign gave after
// they came back or replied.
func (s *Store) tokensGranted(ctx context.Context, campaigns []uuid.UUID) (n int, err error) {
	err = s.db.Read(ctx).Raw(`SELECT COUNT(DISTINCT t.id) FROM deliveries d JOIN campaigns c ON c.id = d.campaign_id
		JOIN tokens t ON t.contact_id = d.contact_id AND t.page_id = c.page_id
			AND (t.granted_at >= d.returned_at OR t.granted_at >= d.replied_at)
		WHERE d.campaign_id IN ? AND (d.returned_at IS NOT NULL OR d.replied_at IS NOT NULL)`, campaigns).Row().Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count tokens granted: %w", err)
	}
	return n, nil
}
