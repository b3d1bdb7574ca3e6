package simulator

import (
	"encoding/json"
	"fmt"
	"time"
)

// Faults is how a provider misbehaves. Rates are from 0 to 1 and apply to
// sends; each send is thrown for anew.
type Faults struct {
	Latency       time.Duration // before every answer to a send
	LatencyJitter time.Duration // up to this much more

	ThrottleRate    float64       // refused before acceptance as too fast
	BurstEvery      time.Duration // every so often all sends are throttled
	BurstLength     time.Duration // for so long
	RetryAfter      time.Duration // told with a throttle where the provider has a place for it; 0: not told
	ServerErrorRate float64       // 5xx before acceptance
	LostAnswerRate  float64       // accepted, then the connection is closed with no answer
	HangRate        float64       // accepted, then no answer until the client gives up
	FalseErrorRate  float64       // accepted, then answered with a 5xx

	// RefuseRate turns sends down for the person's sake: Graph by its answer
	// (window closed, token dead), Twilio and SendGrid by a later callback
	// (undelivered 30005, bounce).
	RefuseRate         float64
	DuplicateCallbacks float64 // receipts that are posted twice
	LateCallbacks      float64 // receipts that are posted later, each up to LateBy, and so out of order
	LateBy             time.Duration
	// Usage is the percentage that Graph tells in X-Business-Use-Case-Usage.
	Usage int
}

// SetFaults changes how a provider misbehaves from now on.
func (s *Simulator) SetFaults(p Provider, f Faults) { s.desks[p].faults.Store(&f) }

// Faults returns how a provider misbehaves now.
func (s *Simulator) Faults(p Provider) Faults { return *s.desks[p].faults.Load() }

// wireFaults is Faults as JSON has it: durations are strings such as "50ms".
type wireFaults struct {
	Latency            string  `json:"latency,omitempty"`
	LatencyJitter      string  `json:"latency_jitter,omitempty"`
	ThrottleRate       float64 `json:"throttle_rate"`
	BurstEvery         string  `json:"burst_every,omitempty"`
	BurstLength        string  `json:"burst_length,omitempty"`
	RetryAfter         string  `json:"retry_after,omitempty"`
	ServerErrorRate    float64 `json:"server_error_rate"`
	LostAnswerRate     float64 `json:"lost_answer_rate"`
	HangRate           float64 `json:"hang_rate"`
	FalseErrorRate     float64 `json:"false_error_rate"`
	RefuseRate         float64 `json:"refuse_rate"`
	DuplicateCallbacks float64 `json:"duplicate_callbacks"`
	LateCallbacks      float64 `json:"late_callbacks"`
	LateBy             string  `json:"late_by,omitempty"`
	Usage              int     `json:"usage"`
}

// MarshalJSON writes durations as strings.
func (f Faults) MarshalJSON() ([]byte, error) {
	return json.Marshal(wireFaults{
		Latency: span(f.Latency), LatencyJitter: span(f.LatencyJitter), RetryAfter: span(f.RetryAfter),
		ThrottleRate: f.ThrottleRate, ServerErrorRate: f.ServerErrorRate, LostAnswerRate: f.LostAnswerRate,
		HangRate: f.HangRate, FalseErrorRate: f.FalseErrorRate, RefuseRate: f.RefuseRate,
		BurstEvery: span(f.BurstEvery), BurstLength: span(f.BurstLength), LateBy: span(f.LateBy),
		DuplicateCallbacks: f.DuplicateCallbacks, LateCallbacks: f.LateCallbacks, Usage: f.Usage,
	})
}

// UnmarshalJSON replaces all of f; what is left out becomes zero.
func (f *Faults) UnmarshalJSON(data []byte) error {
	var w wireFaults
	if err := json.Unmarshal(data, &w); err != nil {
		return err
	}
	g := Faults{
		ThrottleRate: w.ThrottleRate, ServerErrorRate: w.ServerErrorRate, LostAnswerRate: w.LostAnswerRate,
		HangRate: w.HangRate, FalseErrorRate: w.FalseErrorRate, RefuseRate: w.RefuseRate,
		DuplicateCallbacks: w.DuplicateCallbacks, LateCallbacks: w.LateCallbacks, Usage: w.Usage,
	}
	for _, d := range []struct {
		to   *time.Duration
		text string
	}{
		{&g.Latency, w.Latency}, {&g.LatencyJitter, w.LatencyJitter}, {&g.RetryAfter, w.RetryAfter},
		{&g.BurstEvery, w.BurstEvery}, {&g.BurstLength, w.BurstLength}, {&g.LateBy, w.LateBy},
	} {
		v, err := parseSpan(d.text)
		if err != nil {
			return err
		}
		*d.to = v
	}
	*f = g
	return nil
}

func span(d time.Duration) string {
	if d == 0 {
		return ""
	}
	return d.String()
}

func parseSpan(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("faults: %w", err)
	}
	return d, nil
}
