package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"beckon/internal/rig"
	"beckon/internal/simulator"
)

// scaleSizes are the campaigns that are compared.
func scaleSizes() []int { return []int{10_000, 100_000, 1_000_000} }

// scale measures what a message costs the database when the ledger is full of
// old campaigns, at several numbers of contacts.
type scale struct {
	*runOn
	conn  *pgx.Conn
	costs []cost
}

// cost is what one campaign asked of the database.
type cost struct {
	contacts, batches int64
	statements        int64         // without the queue's own, and those that begin and end a transaction
	busy              time.Duration // in all statements together
	pages, wal        int64         // looked at, and bytes written to the log, by all statements
	took              time.Duration
}

func runScale(ctx context.Context, o options, out, errOut io.Writer) (err error) {
	if o.server == "" {
		return errors.New("-rows needs a PostgreSQL server: run it by `make scale`")
	}
	database, err := rig.Postgres(ctx, o.server)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, database.Drop()) }()
	conn, err := pgx.Connect(ctx, database.URL)
	if err != nil {
		return fmt.Errorf("reach PostgreSQL: %w", err)
	}
	defer func() { err = errors.Join(err, conn.Close(context.WithoutCancel(ctx))) }()
	if _, err := conn.Exec(ctx, "CREATE EXTENSION pg_stat_statements"); err != nil {
		return fmt.Errorf("PostgreSQL must count statements (shared_preload_libraries = pg_stat_statements): %w", err)
	}
	r := &runOn{bench: &bench{options: o, log: out, errOut: errOut}}
	if r.standIns, err = rig.StartStandIns(ctx, o.beckon, "", errOut); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.standIns.Stop()) }()
	addr, err := rig.FreeAddress(ctx)
	if err != nil {
		return err
	}
	if r.server, err = rig.StartNode(ctx, o.beckon, addr, r.settings(database.Setting, r.standIns.Settings), errOut); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.server.Stop()) }()
	s := &scale{runOn: r, conn: conn}
	if err := s.all(ctx); err != nil {
		return err
	}
	return s.print(ctx)
}

func (s *scale) all(ctx context.Context) (err error) {
	if s.page, err = rig.MakePage(ctx, s.server.Client, topic); err != nil {
		return err
	}
	began := time.Now()
	if err := s.fill(ctx); err != nil {
		return err
	}
	fmt.Fprintf(s.log, "%s deliveries of old campaigns written in %.0f s\n", grouped(int64(s.rows)), time.Since(began).Seconds())
	for _, n := range s.sizes {
		body, err := everybody("", n)
		if err != nil {
			return err
		}
		if err := rig.Import(ctx, s.server.Client, body, n); err != nil {
			return err
		}
		c, err := s.measure(ctx, n)
		if err != nil {
			return err
		}
		s.costs = append(s.costs, c)
		fmt.Fprintf(s.log, "%s contacts sent to in %.1f s\n", grouped(int64(n)), c.took.Seconds())
	}
	return nil
}

// ofProgram are the statements of the program, without those of this one.
const ofProgram = `FROM pg_stat_statements WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
	AND query NOT LIKE '%pg_stat_statements%' AND query NOT LIKE '%/* bench */%'`

// measure sends a campaign to n people, who are all there are, and checks that
// each got one message.
func (s *scale) measure(ctx context.Context, n int) (c cost, err error) {
	if _, err := s.standIns.Do(ctx, rig.Request{Method: http.MethodDelete, Path: "/counts"}); err != nil {
		return c, err
	}
	var draft struct{ ID string }
	if err := s.server.Post(ctx, "/v1/campaigns", rig.Draft(s.page, topic, "email"), &draft); err != nil {
		return c, err
	}
	began := time.Now()
	if _, err := s.conn.Exec(ctx, "SELECT pg_stat_statements_reset()"); err != nil {
		return c, err
	}
	if err := s.server.Post(ctx, "/v1/campaigns/"+draft.ID+"/start", nil, nil); err != nil {
		return c, err
	}
	err = rig.Until(ctx, s.limit, func() (done bool, err error) {
		err = s.conn.QueryRow(ctx, "SELECT /* bench */ state = 'finished' FROM campaigns WHERE id = $1", draft.ID).Scan(&done)
		return done, err
	})
	if err != nil {
		return c, err
	}
	c.contacts, c.took = int64(n), time.Since(began)
	var counts simulator.Counts
	err = errors.Join(s.read(ctx, draft.ID, &c), s.standIns.Get(ctx, "/counts", &counts))
	if got := counts[simulator.SendGrid]; err == nil && (int(got.Accepted) != n || got.MaxPerRecipient != 1) {
		err = fmt.Errorf("the stand-in took %d messages for %d people, at most %d each", got.Accepted, n, got.MaxPerRecipient)
	}
	return c, err
}

func (s *scale) read(ctx context.Context, campaign string, c *cost) error {
	var ms float64
	err := s.conn.QueryRow(ctx, `SELECT SUM(calls) FILTER (WHERE query NOT LIKE '%river\_%' AND query NOT IN ('begin', 'commit', 'rollback'))::bigint,
		SUM(total_exec_time + total_plan_time), SUM(shared_blks_hit + shared_blks_read)::bigint, SUM(wal_bytes)::bigint,
		(SELECT COUNT(*) FROM batches WHERE campaign_id = $1) `+ofProgram, campaign).Scan(&c.statements, &ms, &c.pages, &c.wal, &c.batches)
	c.busy = time.Duration(ms * float64(time.Millisecond))
	if err == nil && s.verbose {
		err = s.dearest(ctx)
	}
	return err
}

// dearest shows the statements that looked at the most pages.
func (s *scale) dearest(ctx context.Context) error {
	rows, err := s.conn.Query(ctx, `SELECT format('%8s calls %8s ms %10s pages  %s', calls, round(total_exec_time), shared_blks_hit + shared_blks_read,
		left(regexp_replace(query, '\s+', ' ', 'g'), 120)) `+ofProgram+` ORDER BY shared_blks_hit + shared_blks_read DESC LIMIT 12`)
	if err != nil {
		return err
	}
	lines, err := pgx.CollectRows(rows, pgx.RowTo[string])
	for _, line := range lines {
		fmt.Fprintln(s.log, line)
	}
	return err
}

// print prints the table of docs/scaling.md.
func (s *scale) print(ctx context.Context) error {
	var rows, heap, indexes int64
	err := s.conn.QueryRow(ctx, `SELECT SUM(c.reltuples)::bigint, SUM(pg_table_size(c.oid))::bigint, SUM(pg_indexes_size(c.oid))::bigint
		FROM leaves JOIN pg_class c ON c.relname = leaf WHERE parent = 'deliveries'`).Scan(&rows, &heap, &indexes)
	if err != nil {
		return err
	}
	fmt.Fprintf(s.log, "\nbytes per delivery: %d in the table, %d in its indexes\n\n", heap/rows, indexes/rows)
	fmt.Fprintf(s.log, "| contacts | beside them in the ledger | batches | SQL statements per batch | database time per message | pages looked at per message | WAL per message | messages/s |\n|---|---|---|---|---|---|---|---|\n")
	before := int64(s.rows)
	for _, c := range s.costs {
		fmt.Fprintf(s.log, "| %s | %s | %s | %.1f | %.0f µs | %.1f | %d bytes | %s |\n", grouped(c.contacts), grouped(before), grouped(c.batches),
			float64(c.statements)/float64(c.batches), float64(c.busy.Microseconds())/float64(c.contacts), float64(c.pages)/float64(c.contacts),
			c.wal/c.contacts, grouped(int64(float64(c.contacts)/c.took.Seconds())))
		before += c.contacts
	}
	return nil
}
