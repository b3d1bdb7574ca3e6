package dbtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"sort"
	"strconv"
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
	URL   string
	stdin io.Closer
	wait  func() error
}

// Stop ends the server and removes its files. When this process ends without
// Stop, the server ends too.
func (c *Cluster) Stop() error {
	err := c.stdin.Close()
	_ = c.wait() // its exit code says only that it was told to stop
	return err
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
	return startServer(bin, dir, who, durable)
}

// The shell between us and the server waits on its input: when this process
// ends, however it ends, the pipe closes and the server is stopped.
const keeper = `"$@" >"$KEEP/log" 2>&1 & pid=$!; read -r _; kill -INT $pid 2>/dev/null; wait $pid; rm -rf "$KEEP"`

func startServer(bin, dir string, who *syscall.Credential, durable bool) (*Cluster, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args := []string{"-c", keeper, "keeper", filepath.Join(bin, "postgres"), "-D", filepath.Join(dir, "data"), "-p", strconv.Itoa(port),
		"-c", "listen_addresses=127.0.0.1", "-k", dir, "-c", "max_connections=300", "-c", "shared_buffers=256MB", "-c", "max_wal_size=2GB"}
	if !durable {
		args = append(args, "-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off")
	}
	cmd := exec.Command("/bin/sh", args...) //nolint:gosec // our own arguments
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "KEEP="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who, Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	c := &Cluster{URL: fmt.Sprintf("postgres://beckon@127.0.0.1:%d/postgres?sslmode=disable", port), stdin: stdin, wait: cmd.Wait}
	if err := await(c.URL); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		return nil, errors.Join(fmt.Errorf("start PostgreSQL: %w: %s", err, bytes.TrimSpace(log)), c.Stop())
	}
	return c, nil
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

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}
