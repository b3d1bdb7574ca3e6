package rig

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"beckon/internal/simulator"
)

// What the stand-ins and the nodes agree on.
const (
	GraphPage = "104829305581"
	PageToken = "page-token"
	AppSecret = "rig-app-secret"
	key       = "bk_rig_0123456789abcdef0123456789abcdef"
	secretKey = "rig-0123456789abcdef0123456789abcdef"
)

// StandIns are the simulated providers in a process of their own.
type StandIns struct {
	*Process
	*Client
	Settings []string // what points beckon at them
}

// StartStandIns starts `beckon simulator` with further arguments and waits until
// it serves. It posts callbacks to the given address; empty is none.
func StartStandIns(ctx context.Context, beckon, callbacks string, stderr io.Writer, args ...string) (*StandIns, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	args = append([]string{beckon, "simulator", "--lean", "--addr", "127.0.0.1:0", "--callback-url", callbacks,
		"--app-secret", AppSecret, "--page", GraphPage + "=" + PageToken}, args...)
	p, err := Start(Command{What: "the simulator", Args: args, Env: os.Environ(), Stdout: w, Stderr: stderr})
	_ = w.Close() // the child has its own
	if err != nil {
		return nil, errors.Join(err, r.Close())
	}
	s := &StandIns{Process: p}
	defer r.Close()
	for lines := bufio.NewScanner(r); lines.Scan() && ctx.Err() == nil; {
		if base, done := strings.CutPrefix(lines.Text(), "# stand-ins serve on "); done {
			base, _, _ = strings.Cut(base, " ")
			s.Client = NewClient(base, "")
			return s, nil
		}
		if name, value, ok := strings.Cut(strings.TrimPrefix(lines.Text(), "export "), "="); ok {
			s.Settings = append(s.Settings, name+"="+strings.ReplaceAll(strings.Trim(value, "'"), `'\''`, "'"))
		}
	}
	return nil, errors.Join(errors.New("the simulator did not start"), p.Stop())
}

// SetFaults makes all stand-ins misbehave in the same way from now on.
func (s *StandIns) SetFaults(ctx context.Context, f simulator.Faults) error {
	all := map[simulator.Provider]simulator.Faults{}
	for _, p := range simulator.Providers() {
		all[p] = f
	}
	return s.Put(ctx, "/faults", all, nil)
}

// Node is a running `beckon serve`.
type Node struct {
	*Process
	*Client
}

// unpaced lets the stand-ins alone set the pace.
func unpaced() []string {
	return []string{"BECKON_MESSENGER_PER_SECOND=0", "BECKON_MESSENGER_ABOVE_40=true", "BECKON_SMS_SEGMENTS_PER_SECOND=0", "BECKON_EMAILS_PER_SECOND=0"}
}

// StartNode starts beckon on an address and waits until it is ready. settings
// are added to an environment without any of beckon's, in which it sends as
// fast as it can.
func StartNode(ctx context.Context, beckon, addr string, settings []string, stderr io.Writer) (*Node, error) {
	env := append(append(cleanEnviron(), unpaced()...), "BECKON_ADDR="+addr, "BECKON_BOOTSTRAP_KEY="+key, "BECKON_SECRET_KEY="+secretKey, "BECKON_LOG_LEVEL=warn")
	p, err := Start(Command{What: "beckon serve", Args: []string{beckon, "serve"}, Env: append(env, settings...), Stderr: stderr})
	if err != nil {
		return nil, err
	}
	n := &Node{p, API("http://" + addr)}
	err = Until(ctx, readyWithin, func() (bool, error) {
		select {
		case <-p.ended:
			return false, p.failure()
		default:
		}
		return n.Ready(ctx), nil
	})
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	return n, nil
}

const readyWithin = 30 * time.Second

// API returns a client of the API at base, for any node that StartNode starts.
func API(base string) *Client { return NewClient(base, key) }

// Ready reports whether the server says that it can work.
func (c *Client) Ready(ctx context.Context) bool {
	_, err := c.Do(ctx, Request{Method: http.MethodGet, Path: "/readyz"})
	return err == nil
}
