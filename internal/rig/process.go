// Package rig sets up what measurements and proofs need: a built beckon as
// nodes, the stand-in providers in a process of their own, databases, and a
// client of the API. Whatever it starts ends with the process that uses it.
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process is a program that this one started, and ends.
type Process struct {
	what  string
	cmd   *exec.Cmd
	ended chan struct{}
}

// Command is a program to start.
type Command struct {
	What           string // its name in errors
	Args           []string
	Env            []string
	Stdout, Stderr io.Writer // nil is nowhere
}

// Start runs a program. The caller stops or kills it.
func Start(c Command) (*Process, error) {
	cmd := exec.Command(c.Args[0], c.Args[1:]...) //nolint:gosec,noctx // a program of ours; it is asked to end, not killed with a context
	cmd.Env, cmd.Stdout, cmd.Stderr, cmd.SysProcAttr = c.Env, c.Stdout, c.Stderr, endsWithUs()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", c.What, err)
	}
	p := &Process{what: c.What, cmd: cmd, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // how it ended is told by Stop
		close(p.ended)
	}()
	return p, nil
}

// PID is the program's process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended is closed when the program has ended.
func (p *Process) Ended() <-chan struct{} { return p.ended }

// Kill ends the program at once, wherever it stands, and waits until it is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.ended
}

// Stop asks the program to end, and makes it when it does not.
func (p *Process) Stop() error {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // as above
	select {
	case <-p.ended:
	case <-time.After(stopWithin):
		p.Kill()
		return fmt.Errorf("%s did not stop when asked to", p.what)
	}
	if !p.cmd.ProcessState.Success() {
		return p.failure()
	}
	return nil
}

const stopWithin = 45 * time.Second // beckon itself takes 30 s at most

func (p *Process) failure() error { return fmt.Errorf("%s ended with %s", p.what, p.cmd.ProcessState) }

// PeakMemory is the most memory the program ever held, in MB; 0 where the
// system does not tell.
func (p *Process) PeakMemory() float64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.PID()))
	if err != nil {
		return 0
	}
	for line := range bytes.Lines(status) {
		if rest, ok := bytes.CutPrefix(line, []byte("VmHWM:")); ok {
			kb, _ := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(string(rest)), " kB"), 64)
			return kb / 1024
		}
	}
	return 0
}

// Busy is how much processor time the program has used; 0 where the system does
// not tell.
func (p *Process) Busy() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID()))
	if err != nil {
		return 0
	}
	_, rest, _ := strings.Cut(string(stat), ") ") // its name, which may hold spaces, comes first
	var ticks int64
	for _, field := range strings.Fields(rest)[11:13] { // utime and stime
		n, _ := strconv.ParseInt(field, 10, 64)
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond
}

const ticksPerSecond = 100 // on every Linux that Go runs on

// Ports that are given to servers lie below those that systems take for outgoing
// connections: one of these may come into use at any moment.
const firstPort, ports = 20_000, 10_000

// FreeAddress is a loopback port that was free a moment ago.
func FreeAddress(ctx context.Context) (string, error) {
	var last error
	for range 100 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(ports)))
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err == nil {
			return addr, l.Close()
		}
		last = err
	}
	return "", last
}

// cleanEnviron is the environment without anybody's settings for beckon.
func cleanEnviron() []string {
	var out []string
	for _, v := range os.Environ() {
		ours := false
		for _, prefix := range []string{"BECKON_", "META_", "TWILIO_", "SENDGRID_", "EMAIL_", "SMTP_"} {
			ours = ours || strings.HasPrefix(v, prefix)
		}
		if !ours {
			out = append(out, v)
		}
	}
	return out
}

// Until asks again until done says so.
func Until(ctx context.Context, limit time.Duration, done func() (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, errors.New("waited too long"))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := done(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
