package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"beckon/internal/simulator"
)

type demoOptions struct {
	exit, verbose bool
	contacts      int
}

func demoCommand(environ func() []string) *cobra.Command {
	o := demoOptions{}
	cmd := &cobra.Command{Use: "demo", Short: "See three campaigns go out, against stand-in providers on this machine", Args: exactly(),
		Long: "See a campaign go out: people come in from a CRM, some of them talk to the bot, and each is reached in the one way that is open.\n\n" +
			"It is the program as it serves, called over its public API; Messenger, Twilio and SendGrid are stand-ins on this machine and\n" +
			"nobody real is in the data. It needs nothing set up: SQLite in a temporary folder, or with BECKON_DATABASE_URL a database\n" +
			"of its own on that PostgreSQL server, which is removed at the end.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.contacts < fewestContacts || o.contacts > mostContacts {
				return usageError{fmt.Errorf("--contacts must be between %d and %d", fewestContacts, mostContacts)}
			}
			return o.run(cmd, environ())
		}}
	f := cmd.Flags()
	f.BoolVar(&o.exit, "exit", false, "end when the story is told, instead of going on serving")
	f.IntVar(&o.contacts, "contacts", committedContacts, "people in the CRM")
	f.BoolVar(&o.verbose, "verbose", false, "show what the program logs")
	return cmd
}

// A story needs some people, and should be short.
const (
	fewestContacts = 100
	mostContacts   = 50_000
)

func (o demoOptions) run(cmd *cobra.Command, environ []string) (err error) {
	ctx := cmd.Context()
	room, err := openRoom(ctx, environ)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, room.leave(context.WithoutCancel(ctx))) }()
	s, err := o.openStage(ctx, room, newLogger(Config{LogLevel: o.level()}, cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	sc := newScreen(cmd.OutOrStdout(), environ)
	story := &story{screen: sc, api: newAPIClient(s.config.PublicURL, s.config.BootstrapKey), sim: s.sim, cast: newCast(o.contacts), room: room.what, db: s.app.db}
	return s.run(ctx, func(ctx context.Context) error {
		defer story.api.http.CloseIdleConnections()
		if err := story.tell(ctx); err != nil || o.exit {
			return err
		}
		sc.gap()
		sc.say("Still serving, until you press Ctrl-C.")
		sc.say("API   %s/v1   with   Authorization: Bearer %s", s.config.PublicURL, s.config.BootstrapKey)
		sc.say("Docs  %s/docs", s.config.PublicURL)
		<-ctx.Done()
		return nil
	})
}

func (o demoOptions) level() slog.Level {
	if o.verbose {
		return slog.LevelInfo
	}
	return slog.LevelWarn
}

// room is where the demo keeps its data while it runs.
type room struct {
	what, dir, database string
	drop                func(context.Context) error
}

func openRoom(ctx context.Context, environ []string) (*room, error) {
	dir, err := os.MkdirTemp("", "beckon-demo-")
	if err != nil {
		return nil, err
	}
	r := &room{what: "SQLite, in a temporary folder", dir: dir, drop: func(context.Context) error { return nil }}
	server := ""
	for _, v := range environ {
		if u, ok := strings.CutPrefix(v, "BECKON_DATABASE_URL="); ok {
			server = u
		}
	}
	if server == "" {
		return r, nil
	}
	if r.database, r.what, r.drop, err = ownRoom(ctx, server); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return r, nil
}

func (r *room) leave(ctx context.Context) error {
	return errors.Join(r.drop(ctx), os.RemoveAll(r.dir))
}

// stage is the program and the stand-ins, each on a port of its own.
type stage struct {
	config         Config
	app            *app
	sim            *simulator.Simulator
	front, backing net.Listener
}

func (o demoOptions) openStage(ctx context.Context, r *room, log *slog.Logger) (s *stage, err error) {
	s = &stage{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	for _, l := range []*net.Listener{&s.front, &s.backing} {
		if *l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
			return s, fmt.Errorf("listen on this machine: %w", err)
		}
	}
	c := simulator.Config{AppSecret: rand.Text(), VerifyToken: rand.Text(), Pages: map[string]string{simulatorPage: "page-token"}, TwilioAccountSID: simulatorSID,
		TwilioAuthToken: rand.Text(), SendGridKey: "SG." + rand.Text(), CallbackURL: "http://" + s.front.Addr().String(), Receipts: simulator.Receipts{ReadShare: 0.6}}
	s.sim = simulator.New(c)
	settings := append(standInSettings(s.sim, c, "http://"+s.backing.Addr().String()), "BECKON_ADDR="+s.front.Addr().String(), "BECKON_DATA_DIR="+r.dir,
		"BECKON_DATABASE_URL="+r.database, "BECKON_SECRET_KEY="+rand.Text()+rand.Text(), "BECKON_BOOTSTRAP_KEY=bk_"+rand.Text()+rand.Text(), "BECKON_DEFAULT_REGION=GB")
	if s.config, err = readConfig(func() []string { return settings }); err != nil {
		return s, err
	}
	if s.app, err = newApp(ctx, s.config, log); err != nil {
		return s, err
	}
	if err = s.app.db.Migrate(ctx); err != nil {
		return s, err
	}
	return s, s.app.bootstrap(ctx)
}

// run serves while the play is on, and ends with it.
func (s *stage) run(ctx context.Context, play func(context.Context) error) (err error) {
	defer func() { err = errors.Join(err, s.close()) }()
	ctx, end := context.WithCancel(ctx)
	defer end()
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.sim.Serve(ctx, s.backing) })
	g.Go(func() error { return s.app.run(ctx, s.front) })
	g.Go(func() error {
		defer end()
		defer s.sim.Close() // a connection that was never used would hold up the end
		return play(ctx)
	})
	return g.Wait()
}

func (s *stage) close() error {
	for _, l := range slices.DeleteFunc([]net.Listener{s.front, s.backing}, func(l net.Listener) bool { return l == nil }) {
		_ = l.Close() // closed already where it was served
	}
	if s.app == nil {
		return nil
	}
	return s.app.close()
}
