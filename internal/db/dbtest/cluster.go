package dbtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// EnvURL names a PostgreSQL server on which tests may make databases.
const EnvURL = "BECKON_TEST_POSTGRES_URL"

// ErrNoServer says that there is no PostgreSQL to test on, and what to do.
var ErrNoServer = errors.New("no PostgreSQL server binaries found: install them (Debian, Ubuntu: apt-get install postgresql; " +
	"macOS: brew install postgresql) or set " + EnvURL + " to a server on which tests may make databases")

// Server returns the URL of the server for tests: the one of EnvURL, or else a
// throwaway cluster that ends with this process.
func Server() (string, error) {
	if u := os.Getenv(EnvURL); u != "" {
		return u, nil
	}
	c, err := throwaway()
	if err != nil {
		return "", err
	}
	return c.URL, nil
}

var throwaway = sync.OnceValues(func() (*Cluster, error) { return StartCluster(false) })

// Cluster is a PostgreSQL server of our own on a loopback port.
type Cluster struct {
	URL     string
	bin     string
	dir     string
	port    int
	who     *syscall.Credential
	durable bool
	runs    []watched // the last one is up, or none after Crash
}

// watched is a run of the server, seen through the shell that watches over it.
type watched struct {
	stdin io.Closer
	wait  func() error
}

// Stop ends the server and removes its files. When this process ends without
// Stop, the server ends too.
func (c *Cluster) Stop() error {
	var errs []error
	for _, k := range slices.Backward(c.runs) { // the first one removes the files
		errs = append(errs, k.stdin.Close())
		_ = k.wait() // its exit code says only that it was told to stop
	}
	c.runs = nil
	return errors.Join(errs...)
}

// Crash ends the server in immediate mode: what was not flushed is lost, as when
// the power fails, and the next Start recovers.
func (c *Cluster) Crash() error {
	file, err := os.ReadFile(filepath.Join(c.dir, "data", "postmaster.pid"))
	if err != nil {
		return fmt.Errorf("find the server's process: %w", err)
	}
	first, _, _ := strings.Cut(string(file), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil {
		return fmt.Errorf("find the server's process: %w", err)
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		return fmt.Errorf("end the server: %w", err)
	}
	for range 500 {
		if _, err := os.Stat(filepath.Join(c.dir, "data", "postmaster.pid")); errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		time.Sleep(20 * time.Millisecond) // another program's end can only be polled
	}
	return errors.New("the server did not end")
}

// StartCluster makes a new cluster in a temporary folder. With durable it
// flushes to disk on commit, as production does; without, tests are faster.
func StartCluster(durable bool) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	who, err := serverUser()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "beckon-postgres-")
	if err != nil {
		return nil, err
	}
	if who != nil {
		if err := os.Chown(dir, int(who.Uid), int(who.Gid)); err != nil {
			return nil, err
		}
	}
	data := filepath.Join(dir, "data")
	init := exec.Command(filepath.Join(bin, "initdb"), "-D", data, "-U", "beckon", "-A", "trust", "-E", "UTF8", "--no-sync", "--locale=C") //nolint:gosec // our own arguments
	init.Dir, init.SysProcAttr = dir, &syscall.SysProcAttr{Credential: who}
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	c := &Cluster{URL: fmt.Sprintf("postgres://beckon@127.0.0.1:%d/postgres?sslmode=disable", port), bin: bin, dir: dir, port: port, who: who, durable: durable}
	return c, c.Start()
}

// The shell between us and the server waits on its input: when this process
// ends, however it ends, the pipe closes and the server is stopped.
const keeper = `"$@" >>"$KEEP/log" 2>&1 & pid=$!; read -r _; kill -INT $pid 2>/dev/null; wait $pid; rm -rf "$KEEP"`

// Start starts the server again after Crash.
func (c *Cluster) Start() error {
	args := []string{"-c", keeper, "keeper", filepath.Join(c.bin, "postgres"), "-D", filepath.Join(c.dir, "data"), "-p", strconv.Itoa(c.port),
		"-c", "listen_addresses=127.0.0.1", "-k", c.dir, "-c", "max_connections=300", "-c", "shared_buffers=256MB", "-c", "max_wal_size=2GB"}
	if c.durable && c.canCount() {
		args = append(args, "-c", "shared_preload_libraries=pg_stat_statements")
	}
	if !c.durable {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	cmd := exec.Command("/bin/sh", args...) //nolint:gosec // our own arguments
	cmd.Dir, cmd.Env = c.dir, append(os.Environ(), "KEEP="+c.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.who, Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	c.runs = append(c.runs, watched{stdin, cmd.Wait})
	if err := await(c.URL); err != nil {
		log, _ := os.ReadFile(filepath.Join(c.dir, "log"))
		return errors.Join(fmt.Errorf("start PostgreSQL: %w: %s", err, bytes.TrimSpace(log)), c.Stop())
	}
	return nil
}

// canCount reports whether the server can count statements, which measuring
// wants.
func (c *Cluster) canCount() bool {
	server, err := filepath.EvalSymlinks(filepath.Join(c.bin, "postgres"))
	if err == nil {
		_, err = os.Stat(filepath.Join(filepath.Dir(server), "..", "lib", "pg_stat_statements.so"))
	}
	return err == nil
}

func await(url string) error {
	var err error
	for range 500 {
		var conn *pgx.Conn
		if conn, err = pgx.Connect(context.Background(), url); err == nil {
			return conn.Close(context.Background())
		}
		time.Sleep(20 * time.Millisecond) // another program's start can only be polled
	}
	return err
}

func binaries() (string, error) {
	if p, err := exec.LookPath("postgres"); err == nil {
		return filepath.Dir(p), nil
	}
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	more, _ := filepath.Glob("/opt/homebrew/opt/postgresql*/bin/postgres")
	found = append(found, more...)
	if len(found) == 0 {
		return "", ErrNoServer
	}
	sort.Strings(found)
	return filepath.Dir(found[len(found)-1]), nil
}

// serverUser is whom the server runs as: PostgreSQL refuses to run as root.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil //nolint:nilnil // nobody else: as ourselves
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		if u, err = user.Lookup("nobody"); err != nil {
			return nil, err
		}
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// freePort is a port below those that systems take for outgoing connections: one
// of these may come into use at any moment.
func freePort() (port int, err error) {
	for range 100 {
		port = 10_000 + rand.IntN(10_000)
		var l net.Listener
		if l, err = net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}
