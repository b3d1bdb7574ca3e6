package dbtest

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// ErrNoPooler says that there is no PgBouncer to test with, and what to do.
var ErrNoPooler = errors.New("the program pgbouncer is not found: install it (Debian, Ubuntu: apt-get install pgbouncer; " +
	"Fedora: dnf install pgbouncer; Alpine: apk add pgbouncer; macOS: brew install pgbouncer)")

// Pooler starts a PgBouncer in transaction mode in front of a database and
// returns the URL that leads through it. It has two server connections only, so
// that what one transaction leaves in its session is met by the next ones. It
// ends with the test.
func Pooler(t testing.TB, database string) string {
	t.Helper()
	through, stop, err := startPooler(database)
	if err != nil {
		t.Fatalf("PgBouncer is needed for this test: %v", err)
	}
	t.Cleanup(stop)
	return through
}

func startPooler(database string) (through string, stop func(), err error) {
	program, err := poolerProgram()
	if err != nil {
		return "", nil, err
	}
	u, err := url.Parse(database)
	if err != nil {
		return "", nil, errors.New("the PostgreSQL URL cannot be read")
	}
	who, err := serverUser()
	if err != nil {
		return "", nil, err
	}
	dir, err := os.MkdirTemp("", "beckon-pgbouncer-")
	if err != nil {
		return "", nil, err
	}
	port, err := freePort()
	if err != nil {
		return "", nil, err
	}
	config := filepath.Join(dir, "pgbouncer.ini")
	if err := os.WriteFile(config, []byte(poolerConfig(u, dir, port)), 0o600); err != nil {
		return "", nil, err
	}
	if who != nil {
		if err := errors.Join(os.Chown(dir, int(who.Uid), int(who.Gid)), os.Chown(config, int(who.Uid), int(who.Gid))); err != nil {
			return "", nil, err
		}
	}
	cmd := exec.Command("/bin/sh", "-c", keeper, "keeper", program, config) //nolint:gosec // our own arguments
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "KEEP="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: who, Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", nil, err
	}
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = stdin.Close()
		_ = cmd.Wait() // its exit code says only that it was told to stop
	}
	through = fmt.Sprintf("postgres://beckon@127.0.0.1:%d%s?sslmode=disable", port, u.Path)
	if err := await(through); err != nil {
		log, _ := os.ReadFile(filepath.Join(dir, "log"))
		stop()
		return "", nil, fmt.Errorf("start pgbouncer: %w: %s", err, log)
	}
	return through, stop, nil
}

func poolerConfig(u *url.URL, dir string, port int) string {
	server := fmt.Sprintf("host=%s port=%s user=%s", u.Hostname(), orDefault(u.Port(), "5432"), u.User.Username())
	if password, set := u.User.Password(); set {
		server += " password='" + strings.ReplaceAll(password, "'", "''") + "'"
	}
	return fmt.Sprintf(`[databases]
* = %s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
max_client_conn = 200
default_pool_size = 2
pidfile = %s/pid
logfile = %s/pgbouncer.log
`, server, port, dir, dir)
}

func orDefault(v, otherwise string) string {
	if v == "" {
		return otherwise
	}
	return v
}

func poolerProgram() (string, error) {
	if p, err := exec.LookPath("pgbouncer"); err == nil {
		return p, nil
	}
	for _, p := range []string{"/usr/sbin/pgbouncer", "/usr/local/sbin/pgbouncer", "/opt/homebrew/bin/pgbouncer"} {
		if _, err := os.Stat(p); err == nil {
			return p, nil
		}
	}
	return "", ErrNoPooler
}
