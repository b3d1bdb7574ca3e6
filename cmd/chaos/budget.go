package main

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"beckon/internal/rig"
	"beckon/internal/simulator"
)

// What the scenario lets a campaign spend at first, and in the end.
const (
	firstBudget, lastBudget = 100, 180
	budgetPeople            = 500
	budgetKills             = 10
)

// budget lets a campaign by SMS spend a hundred segments on 500 people, with
// texts of one to three segments, while nodes die and answers are lost; then it
// is raised. What Twilio bills is the stand-in's count.
func budget(ctx context.Context, t *trial) error {
	t.kills = min(t.kills, budgetKills)
	p := plan{nodes: 3, people: budgetPeople, only: "sms", settings: []string{"BECKON_SMS_SEGMENTS_PER_SECOND=12", "BECKON_JOB_TIMEOUT=15s"}}
	if t.engine == onSQLite {
		p.nodes = 1
	}
	return t.open(ctx, p, func(s *stage) error {
		if err := s.standIns.SetFaults(ctx, lossy()); err != nil {
			return err
		}
		campaign, err := s.thrifty(ctx)
		if err != nil {
			return err
		}
		n, err := s.killMany(ctx, campaign, watch(s.ledger))
		if err != nil {
			return err
		}
		t.note("kill -9 of a node while the campaign ran", "%d", n)
		if err := s.reached(ctx, campaign, firstBudget); err != nil {
			return err
		}
		change := map[string]any{"budget": map[string]any{"sms_segments": lastBudget, "when_reached": "fall_through"}}
		if err := s.patch(ctx, "/v1/campaigns/"+campaign, change); err != nil {
			return err
		}
		if err := s.finished(ctx, campaign, 3*time.Minute); err != nil {
			return err
		}
		if err := s.reached(ctx, campaign, lastBudget); err != nil {
			return err
		}
		return s.judgeBudget(ctx, campaign)
	})
}

// lossy providers lose answers and refuse some for now, without bursts that would
// only take time.
func lossy() simulator.Faults {
	return simulator.Faults{Latency: 100 * time.Millisecond, LatencyJitter: 200 * time.Millisecond, LostAnswerRate: 0.1, ServerErrorRate: 0.05,
		DuplicateCallbacks: 0.1, LateCallbacks: 0.2, LateBy: 3 * time.Second}
}

// thrifty starts a campaign with a budget that waits. How long a text is depends
// on the name in it.
func (s *stage) thrifty(ctx context.Context) (id string, err error) {
	draft := rig.Draft(s.page, topic, "sms")
	draft["budget"] = map[string]any{"sms_segments": firstBudget, "when_reached": "wait"}
	more := "All our courses, evenings and weekends, for beginners and for those who want to know more than that: come and see what is new in your town. "
	draft["content"].(map[string]any)["sms"] = map[string]string{"text": "{% assign n = contact.first_name | size | modulo: 3 %}Hi {{ contact.first_name }}: {{ link }} STOP ends it. " +
		"{% if n > 0 %}" + more + "{% endif %}{% if n > 1 %}" + more + "{% endif %}"}
	var made struct{ ID string }
	if err := s.api.Post(ctx, "/v1/campaigns", draft, &made); err != nil {
		return "", err
	}
	return made.ID, s.api.Post(ctx, "/v1/campaigns/"+made.ID+"/start", nil, nil)
}

func (s *stage) patch(ctx context.Context, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return patiently(ctx, time.Minute, func() (bool, error) {
		_, err := s.api.Do(ctx, rig.Request{Method: http.MethodPatch, Path: path, Header: http.Header{"Content-Type": {"application/merge-patch+json"}}, Body: bytes.Clone(text)})
		return err == nil, err
	})
}

// spent is what the report says of a campaign's texts.
type spent struct {
	Segments  int64
	ReachedAt *time.Time `json:"reached_at"`
}

// reached waits until a budget is known to be reached and every answer is in, and
// compares three counts: what was allowed, what we count, what is billed.
func (s *stage) reached(ctx context.Context, campaign string, most int64) error {
	var r struct {
		SMS     spent
		Lanes   map[string]tally
		Stopped json.RawMessage
	}
	err := patiently(ctx, 3*time.Minute, func() (bool, error) {
		r.SMS = spent{}
		err := s.api.Get(ctx, "/v1/campaigns/"+campaign+"/report", &r)
		return r.SMS.ReachedAt != nil, err
	})
	if err != nil {
		s.note("the budget was not reached", "%d segments, %v, stopped %s", r.SMS.Segments, r.Lanes["sms"].States, r.Stopped)
		return err
	}
	var counts simulator.Counts
	if err := s.standIns.Get(ctx, "/counts", &counts); err != nil {
		return err
	}
	billed := counts[simulator.Twilio].Segments
	s.must(billed <= most, "segments that Twilio bills", "%d of %d", billed, most)
	s.must(r.SMS.Segments <= most && r.SMS.Segments >= billed, "segments that count as spent", "%d", r.SMS.Segments)
	s.must(r.SMS.Segments > most-3, "  no more is left than the next text takes", "%d", most-r.SMS.Segments)
	return nil
}

func (s *stage) judgeBudget(ctx context.Context, campaign string) error {
	o, err := s.count(ctx, campaign)
	if err != nil {
		return err
	}
	f, r := o.find(), o.report
	s.must(o.state == "finished", "the campaign is", "%s", o.state)
	s.must(f.twice+f.strangers+f.invented+f.doubled+f.missing+f.unattended == 0, "people with two texts or no place, texts to nobody, texts made up", "%d",
		f.twice+f.strangers+f.invented+f.doubled+f.missing+f.unattended)
	s.must(r.LinkBack.Total+r.Unreachable.Total == r.Audience && r.Audience == len(o.people), "link-back + unreachable = audience", "%d + %d = %d", r.LinkBack.Total, r.Unreachable.Total, r.Audience)
	s.note("texts that were taken, and those that nobody knows of", "%d, %d", f.messages, f.unknown)
	return nil
}
