package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"beckon/internal/db/dbtest"
	"beckon/internal/sample"
	"beckon/internal/simulator"
)

func none() []string { return nil }

// command runs the program and returns what it said.
func command(t *testing.T, environ func() []string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, environ, &o, &e)
	return code, o.String(), e.String()
}

func requireTold(t *testing.T, code int, out, errOut string) {
	t.Helper()
	require.Zero(t, code, "%s\n%s", out, errOut)
	require.Empty(t, errOut, "the demo logs nothing on a good day")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	require.Equal(t, "All checks passed: everybody is accounted for, nobody was written to twice.", strings.TrimSpace(lines[len(lines)-1]))
	require.NotContains(t, out, "FAIL")
	require.Equal(t, 10, strings.Count(out, "    ok   "), out)
	require.Contains(t, out, "the Messenger side grows each time")
	require.NotContains(t, out, "\x1b", "colours are for terminals")
	require.Contains(t, out, "clicked 1, returned 1")
}

func TestDemoAccountsForEverybodyOnSQLite(t *testing.T) {
	t.Parallel()
	code, out, errOut := command(t, none, "demo", "--exit", "--contacts", "100")
	requireTold(t, code, out, errOut)
	require.Contains(t, out, "Database: SQLite")
}

func TestDemoAccountsForEverybodyOnPostgreSQL(t *testing.T) {
	t.Parallel()
	server := dbtest.PostgresURL(t)
	before := rooms(t, server)
	code, out, errOut := command(t, func() []string { return []string{"BECKON_DATABASE_URL=" + server} }, "demo", "--exit", "--contacts", "100")
	requireTold(t, code, out, errOut)
	require.Contains(t, out, "Database: PostgreSQL, database beckon_demo_")
	require.Equal(t, before, rooms(t, server), "the demo leaves nothing in the database it was given")
}

// rooms counts what somebody's database holds.
func rooms(t *testing.T, server string) (contacts int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), server)
	require.NoError(t, err)
	defer conn.Close(context.Background())
	require.NoError(t, conn.QueryRow(t.Context(), "SELECT COUNT(*) FROM contacts").Scan(&contacts))
	return contacts
}

func TestDemoGoesOnServingUntilItIsStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	out := &watched{seen: make(chan string, 1), want: "Docs  "}
	environ := []string{"BECKON_DATABASE_URL=" + dbtest.PostgresURL(t)}
	done, errOut := make(chan int, 1), &bytes.Buffer{}
	go func() {
		done <- run(ctx, []string{"demo", "--contacts", "100"}, func() []string { return environ }, out, errOut)
	}()
	docs := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(<-out.seen), "Docs"))
	resp, err := http.Get(docs)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusOK, resp.StatusCode)
	stop()
	require.Zero(t, <-done, errOut)
}

// watched tells when a line with some text is written.
type watched struct {
	seen chan string
	want string
	all  strings.Builder
}

func (w *watched) Write(p []byte) (int, error) {
	w.all.Write(p)
	if strings.Contains(string(p), w.want) {
		w.seen <- string(p)
	}
	return len(p), nil
}

func TestDemoRefusesSizesThatTellNoStory(t *testing.T) {
	t.Parallel()
	for _, n := range []string{"0", "99", "50001"} {
		code, _, errOut := command(t, none, "demo", "--contacts", n)
		require.Equal(t, exitWrong, code)
		require.Contains(t, errOut, "--contacts")
	}
}

func TestCommittedExportIsWhatTheSampleMakes(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	require.NoError(t, sample.Write(&b, sample.Options{Format: sample.HubSpot, Count: committedContacts, Seed: demoSeed}))
	require.True(t, bytes.Equal(b.Bytes(), crmExport), "make it again: go run ./cmd/beckon sample --count 1000 --seed 1 --out cmd/beckon/demo-data/crm.csv")
}

func TestCastGivesEverybodyOnePart(t *testing.T) {
	t.Parallel()
	c, total := newCast(1000), 0
	for p, want := range map[part]int{onlyInCRM: 560, chatsToday: 120, permitted: 220, saidYesLate: 40, quiet: 60} {
		require.Len(t, c.all(p), want)
		total += want
	}
	require.Equal(t, 1000, total)
	for _, p := range c.reachable() {
		require.Equal(t, onlyInCRM, c.part(p.Number))
		require.NotEmpty(t, p.Phone)
		require.NotEmpty(t, p.Email)
	}
}

// restricted is a role on the test server that may do little.
func restricted(t *testing.T, server string, grants ...string) string {
	t.Helper()
	role := "demo_" + strings.ToLower(rand.Text()[:10])
	u, err := url.Parse(server)
	require.NoError(t, err)
	name := strings.TrimPrefix(u.Path, "/")
	statements := []string{"CREATE ROLE " + role + " LOGIN"}
	for _, g := range grants {
		statements = append(statements, fmt.Sprintf("GRANT %s ON DATABASE %s TO %s", g, name, role))
	}
	for _, sql := range statements {
		require.NoError(t, statement(t.Context(), server, sql))
	}
	t.Cleanup(func() {
		require.NoError(t, statement(context.Background(), server, "DROP OWNED BY "+role+" CASCADE; DROP ROLE "+role))
	})
	u.User = url.User(role)
	return u.String()
}

func TestDemoTakesASchemaWhereItMayMakeNoDatabase(t *testing.T) {
	t.Parallel()
	server := dbtest.PostgresURL(t)
	mine := restricted(t, server, "CREATE")
	code, out, errOut := command(t, func() []string { return []string{"BECKON_DATABASE_URL=" + mine} }, "demo", "--exit", "--contacts", "100")
	requireTold(t, code, out, errOut)
	require.Contains(t, out, "Database: PostgreSQL, schema beckon_demo_")
	require.Zero(t, rooms(t, server))
}

func TestDemoSaysSoWhereItMayMakeNothing(t *testing.T) {
	t.Parallel()
	mine := restricted(t, dbtest.PostgresURL(t))
	code, _, errOut := command(t, func() []string { return []string{"BECKON_DATABASE_URL=" + mine} }, "demo", "--exit")
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "leave BECKON_DATABASE_URL out")
}

func TestDemoNeverQuotesTheDatabaseURL(t *testing.T) {
	t.Parallel()
	for _, u := range []string{"postgres://beckon:hunter2@127.0.0.1:1/x?connect_timeout=1", "postgres://beckon:hunter2@[::1/x"} {
		code, _, errOut := command(t, func() []string { return []string{"BECKON_DATABASE_URL=" + u} }, "demo", "--exit")
		require.Equal(t, exitFailed, code)
		require.NotContains(t, errOut, "hunter2")
	}
}

func TestAuditFindsWhatDoesNotAddUp(t *testing.T) {
	t.Parallel()
	sim := simulator.New(simulator.Config{})
	srv := httptest.NewServer(sim.Handler())
	t.Cleanup(srv.Close)
	var out bytes.Buffer
	s := &story{screen: newScreen(&out, nil), sim: sim, contacts: map[string]contactAnswer{"c": {Phone: "+447700900001"}},
		places: []deliveryAnswer{{ContactID: "c", Lane: "sms", State: "delivered"}}}
	require.False(t, s.audit(simulator.Twilio), "a delivery without a message")
	text := func() {
		resp, err := http.PostForm(srv.URL+"/twilio/2010-04-01/Accounts/AC1/Messages.json", url.Values{"To": {"+447700900001"}, "From": {simulatorFrom}, "Body": {"Hi"}})
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusCreated, resp.StatusCode)
	}
	text()
	require.True(t, s.audit(simulator.Twilio))
	text()
	require.False(t, s.audit(simulator.Twilio), "the same person twice")
	s.places = nil
	require.False(t, s.audit(simulator.Twilio), "a message that belongs to nobody")
	require.Equal(t, 3, strings.Count(out.String(), "FAIL"))
}

func TestScreenIsPlainUnlessItIsATerminal(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := newScreen(&out, nil)
	s.title("A part")
	s.row("Many", 1234567, "x")
	s.sum("All", 12, "")
	s.quote("one\r\n\r\ntwo")
	for range 3 {
		s.progress("working") // told once a second
	}
	s.progressed("done")
	s.check(false, "%d = %d", 1, 2)
	require.Equal(t, "\n 1  A part\n    Many                                 1,234,567   x\n    ----------------------------------------------\n"+
		"    All                                         12\n      | one\n      |\n      | two\n    working\n    done\n    FAIL 1 = 2\n", out.String())
}

func TestScreenHasColoursOnATerminal(t *testing.T) {
	t.Parallel()
	terminal, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0) // a device, like a terminal
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, terminal.Close()) })
	require.Equal(t, "\x1b[1mx\x1b[0m", newScreen(terminal, []string{"NO_COLOR="}).paint(bold, "x"))
	require.Equal(t, "x", newScreen(terminal, []string{"NO_COLOR=1"}).paint(bold, "x"))
	require.True(t, newScreen(terminal, []string{"NO_COLOR=1"}).live, "a line that changes is no colour")
	require.False(t, newScreen(terminal, []string{"TERM=dumb"}).live)
	file, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, file.Close()) })
	require.False(t, isTerminal(file))

	var out bytes.Buffer
	live := &screen{out: &out, live: true}
	live.progress("1 sent")
	live.progress("2 sent")
	live.progressed("3 sent")
	require.Equal(t, "\r\x1b[K    1 sent\r\x1b[K    2 sent\r\x1b[K    3 sent\n", out.String())
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000", -999: "-999"} {
		require.Equal(t, want, thousands(n))
	}
	require.Equal(t, "1 person", many(1, "person", "people"))
	require.Equal(t, "1,200 people", many(1200, "person", "people"))
}

func TestReasonsComeInWordsTheMostFrequentFirst(t *testing.T) {
	t.Parallel()
	require.Equal(t, "7 never said yes, 3 nowhere to write to, 3 something_new", reasons(map[string]int{"no_address": 3, "no_consent": 7, "something_new": 3}))
}

func TestAPIClientTellsWhatTheAPISaid(t *testing.T) {
	t.Parallel()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/problem":
			w.WriteHeader(http.StatusUnprocessableEntity)
			fmt.Fprint(w, `{"code":"invalid_fields","detail":"Some fields are not valid.","errors":[{"pointer":"/name","code":"required","detail":"Must be given."}]}`)
		case "/page":
			fmt.Fprint(w, map[string]string{"": `{"data":[1,2],"next_cursor":"n"}`, "n": `{"data":[3],"next_cursor":null}`}[r.URL.Query().Get("cursor")])
		case "/l/x":
			http.Redirect(w, r, "https://m.me/p?ref=x", http.StatusFound)
		case "/map":
			fmt.Fprint(w, `{"States":{"b":1}}`)
		default:
			http.Error(w, "<html>", http.StatusBadGateway)
		}
	}))
	t.Cleanup(srv.Close)
	c := newAPIClient(srv.URL+"/", "bk_x")
	err := c.post(t.Context(), "/problem", map[string]string{}, nil)
	require.EqualError(t, err, "POST /problem: 422 invalid_fields: Some fields are not valid. /name: Must be given.")
	require.EqualError(t, c.get(t.Context(), "/else", nil), "GET /else: status 502")
	all, err := everything[int](t.Context(), c, "/page")
	require.NoError(t, err)
	require.Equal(t, []int{1, 2, 3}, all)
	to, err := c.follow(t.Context(), srv.URL+"/l/x")
	require.NoError(t, err)
	require.Equal(t, "https://m.me/p?ref=x", to)
	_, err = c.follow(t.Context(), srv.URL+"/l/y")
	require.EqualError(t, err, "follow a personal link: status 502")
	answer := tally{States: map[string]int{"a": 1}}
	require.NoError(t, c.get(t.Context(), "/map", &answer))
	require.Equal(t, map[string]int{"b": 1}, answer.States, "an answer replaces the one before")
}

func TestAwaitGivesUpInTheEnd(t *testing.T) {
	t.Parallel()
	require.ErrorIs(t, await(t.Context(), time.Millisecond, time.Microsecond, func() (bool, error) { return false, nil }), errStillOpen)
	broken := errors.New("broken")
	require.ErrorIs(t, await(t.Context(), time.Hour, time.Hour, func() (bool, error) { return false, broken }), broken)
	n := 0
	require.NoError(t, await(t.Context(), time.Hour, time.Microsecond, func() (bool, error) { n++; return n == 3, nil }))
}
