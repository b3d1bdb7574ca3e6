package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"beckon/internal/db"
	"beckon/internal/rig"
	"beckon/internal/simulator"
)

// stage is an installation with everything around it.
type stage struct {
	*trial
	database *rig.Database
	settings []string
	standIns *rig.StandIns
	gate     *rig.Gate
	nodes    []*node
	api      *rig.Client // through the gate
	ledger   *db.DB      // the same database, looked at from here
	page     string
	people   map[string]person // by external id
	contacts map[string]person // by contact id
	logs     *tail
}

// plan is what a stage is made of.
type plan struct {
	nodes    int
	settings []string // further ones of the nodes
	database *rig.Database
	people   int
	only     string // one lane for everybody
	silent   bool   // the stand-ins post no callbacks
}

// open sets a stage, plays on it, and leaves nothing of it behind.
func (t *trial) open(ctx context.Context, p plan, play func(*stage) error) (err error) {
	s := &stage{trial: t, logs: &tail{}, database: p.database}
	defer func() {
		err = errors.Join(err, s.close())
		if err != nil && !t.verbose {
			fmt.Fprintf(t.errOut, "\nwhat the nodes of %s logged last:\n%s\n", t.scenario, s.logs)
		}
	}()
	if err := s.set(ctx, p); err != nil {
		return fmt.Errorf("set the stage: %w", err)
	}
	if err := s.populate(ctx, p); err != nil {
		return fmt.Errorf("bring in the people: %w", err)
	}
	return play(s)
}

func (s *stage) set(ctx context.Context, p plan) (err error) {
	switch {
	case s.database != nil:
	case s.engine == onSQLite:
		s.database, err = rig.SQLite()
	default:
		s.database, err = rig.Postgres(ctx, s.server)
	}
	if err != nil {
		return err
	}
	if s.gate, err = rig.OpenGate(ctx); err != nil {
		return err
	}
	s.api = rig.API(s.gate.URL)
	callbacks := s.gate.URL
	if p.silent {
		callbacks = ""
	}
	s.standIns, err = rig.StartStandIns(ctx, s.beckon, callbacks, s.logTo(), "--read-share", "0.5", "--callback-retries", "1000", "--seed", fmt.Sprint(s.seed))
	if err != nil {
		return err
	}
	s.settings = append([]string{s.database.Setting, "BECKON_PUBLIC_URL=" + s.gate.URL}, s.standIns.Settings...)
	s.settings = append(s.settings, p.settings...)
	for range p.nodes {
		if err := s.addNode(ctx); err != nil {
			return err
		}
	}
	s.ledger, err = db.Open(ctx, db.Options{URL: s.database.URL, Dir: s.database.Dir, MaxConns: 2})
	return err
}

func (s *stage) close() error {
	var errs []error
	if s.ledger != nil {
		errs = append(errs, s.ledger.Close())
	}
	for _, n := range s.nodes {
		n.kill()
	}
	if s.standIns != nil {
		errs = append(errs, s.standIns.Stop())
	}
	if s.gate != nil {
		errs = append(errs, s.gate.Close())
	}
	if s.database != nil {
		errs = append(errs, s.database.Drop())
	}
	return errors.Join(errs...)
}

// logTo is where nodes and stand-ins log.
func (s *stage) logTo() io.Writer {
	if s.verbose {
		return io.MultiWriter(s.logs, s.errOut)
	}
	return s.logs
}

// populate makes the page, brings in the people and lets those of the window
// write to it.
func (s *stage) populate(ctx context.Context, p plan) (err error) {
	if s.page, err = rig.MakePage(ctx, s.api, topic); err != nil {
		return err
	}
	if err := s.standIns.Post(ctx, "/people", map[string]any{"page": rig.GraphPage, "n": p.people, "tokens": 1}, nil); err != nil {
		return err
	}
	people, file, err := everybody(s.page, p.people, p.only)
	if err != nil {
		return err
	}
	s.people = people
	if err := rig.Import(ctx, s.api, file, p.people); err != nil {
		return err
	}
	if err := s.chat(ctx, p); err != nil {
		return err
	}
	return s.readContacts(ctx)
}

// chat opens the windows, and waits until the last is known to be open.
func (s *stage) chat(ctx context.Context, p plan) error {
	var inside []int
	for n := 1; n <= p.people && p.only == ""; n++ {
		if who, _ := personOf(n); who.lane == "window" {
			inside = append(inside, n)
		}
	}
	if err := rig.Say(ctx, s.api, inside); err != nil || len(inside) == 0 {
		return err
	}
	var draft struct{ ID string }
	if err := s.api.Post(ctx, "/v1/campaigns", rig.Draft(s.page, topic, "window"), &draft); err != nil {
		return err
	}
	return rig.Until(ctx, time.Minute, func() (bool, error) {
		var split struct{ Messenger int }
		err := s.api.Post(ctx, "/v1/campaigns/"+draft.ID+"/preview", nil, &split)
		return split.Messenger == len(inside), err
	})
}

func (s *stage) readContacts(ctx context.Context) error {
	s.contacts = map[string]person{}
	for cursor := ""; ; {
		var list struct {
			Data []struct {
				ID         string
				ExternalID string `json:"external_id"`
			}
			Next *string `json:"next_cursor"`
		}
		if err := s.api.Get(ctx, "/v1/contacts?limit=200"+cursor, &list); err != nil {
			return err
		}
		for _, c := range list.Data {
			s.contacts[c.ID] = s.people[c.ExternalID]
		}
		if list.Next == nil {
			break
		}
		cursor = "&cursor=" + *list.Next
	}
	if len(s.contacts) != len(s.people) {
		return fmt.Errorf("%d of %d people are in", len(s.contacts), len(s.people))
	}
	return nil
}

// campaign drafts one on the lanes and starts it.
func (s *stage) campaign(ctx context.Context, lanes ...string) (id string, err error) {
	var draft struct{ ID string }
	if err := s.api.Post(ctx, "/v1/campaigns", rig.Draft(s.page, topic, lanes...), &draft); err != nil {
		return "", err
	}
	return draft.ID, s.api.Post(ctx, "/v1/campaigns/"+draft.ID+"/start", nil, nil)
}

func allLanes() []string { return []string{"window", "one_time", "sms", "email"} }

func (s *stage) state(ctx context.Context, campaign string) (string, error) {
	var c struct{ State string }
	err := s.api.Get(ctx, "/v1/campaigns/"+campaign, &c)
	return c.State, err
}

// finished waits for the end of a campaign, also of what was resolved after it,
// and until every callback has come
// and is applied. Nodes may come and go meanwhile.
func (s *stage) finished(ctx context.Context, campaign string, limit time.Duration) error {
	var r report
	err := patiently(ctx, limit, func() (bool, error) {
		r = report{}
		err := s.api.Get(ctx, "/v1/campaigns/"+campaign+"/report", &r)
		return r.State == "finished" && r.open() == 0, err
	})
	if err != nil {
		return fmt.Errorf("wait for the campaign's end: %w: it is %s, Messenger %v, link-back %v, stopped %s", err, r.State, r.Messenger.States, r.LinkBack.States, r.Stopped)
	}
	return s.quiet(ctx)
}

// quiet waits until no callback is on its way and none waits to be applied.
func (s *stage) quiet(ctx context.Context) error {
	err := patiently(ctx, 2*time.Minute, func() (bool, error) {
		var counts simulator.Counts
		if err := s.standIns.Get(ctx, "/counts", &counts); err != nil {
			return false, err
		}
		for _, c := range counts {
			if c.Callbacks.Queued > 0 {
				return false, nil
			}
		}
		var waiting int
		err := s.ledger.Read(ctx).Raw("SELECT COUNT(*) FROM callbacks WHERE applied_at IS NULL").Row().Scan(&waiting)
		return waiting == 0, err
	})
	if err != nil {
		return fmt.Errorf("wait for the last callbacks: %w", err)
	}
	return nil
}

// patiently asks again until done says so, also when asking fails.
func patiently(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	var last error
	err := rig.Until(ctx, limit, func() (bool, error) {
		var ok bool
		ok, last = done()
		return ok && last == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// node is a place where beckon runs, again and again.
type node struct {
	addr string
	mu   sync.Mutex // held while it starts or ends
	run  *rig.Node  // nil: it is down
}

func (n *node) kill() (pid int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run == nil {
		return 0
	}
	pid = n.run.PID()
	n.run.Kill()
	n.run.Close()
	n.run = nil
	return pid
}

func (s *stage) addNode(ctx context.Context) error {
	addr, err := rig.FreeAddress(ctx)
	if err != nil {
		return err
	}
	n := &node{addr: addr}
	s.nodes = append(s.nodes, n)
	return s.start(ctx, n)
}

// start brings a node up, and lets the gate lead to it.
func (s *stage) start(ctx context.Context, n *node) (err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run != nil {
		return nil
	}
	if n.run, err = rig.StartNode(ctx, s.beckon, n.addr, s.settings, s.logTo()); err != nil {
		return err
	}
	s.gate.Open(n.addr)
	return nil
}

// stop asks a node to end, as a rolling restart does.
func (s *stage) stop(n *node) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.run == nil {
		return nil
	}
	s.gate.Shut(n.addr)
	defer func() { n.run = nil }()
	return n.run.Stop()
}

// storm lets the providers be at their worst; in a short run they leave out what
// takes long to get over: bursts slow a line for a minute, and what hangs holds
// its chunk for as long as a call may take.
func (s *stage) storm(ctx context.Context) error {
	f := storm()
	if s.short {
		f.BurstEvery, f.HangRate = 0, 0.002
	}
	return s.standIns.SetFaults(ctx, f)
}

func (s *stage) calm(ctx context.Context) error {
	return s.standIns.SetFaults(ctx, simulator.Faults{})
}

// storm is everything a provider can do to us at once.
func storm() simulator.Faults {
	return simulator.Faults{
		Latency: 100 * time.Millisecond, LatencyJitter: 200 * time.Millisecond,
		LostAnswerRate: 0.01, HangRate: 0.01, ServerErrorRate: 0.05,
		RetryAfter: 2 * time.Second, BurstEvery: time.Minute, BurstLength: time.Second,
		DuplicateCallbacks: 0.1, LateCallbacks: 0.2, LateBy: 3 * time.Second,
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text bytes.Buffer
}

const tailSize = 16 << 10

func (l *tail) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if over := l.text.Len() + len(line) - tailSize; over > 0 {
		l.text.Next(over)
	}
	return l.text.Write(line)
}

func (l *tail) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
