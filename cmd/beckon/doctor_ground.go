package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// secret looks whether there is a key to open the secrets with. The embedded
// database has one beside it from its first start on.
func (d *doctor) secret(c Config) bool {
	if c.SecretKey != "" {
		d.add(fine, "secret", "BECKON_SECRET_KEY is set.", "")
		return true
	}
	_, err := os.Stat(filepath.Join(c.DataDir, "secret.key"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.add(todo, "database", "There is no database in BECKON_DATA_DIR yet.", "Start the program once: beckon serve.")
		return false
	case err != nil:
		d.add(todo, "secret", "The secret key beside the database cannot be read.", "Give this user the right to read BECKON_DATA_DIR.")
		return false
	}
	d.add(note, "secret", "The secret key lies beside the database. Tokens cannot be asked for again: without the key they are lost.",
		"Keep a copy of secret.key apart from the database's backups.")
	return true
}

// schema looks at the database without changing it.
func (d *doctor) schema(ctx context.Context, c Config) bool {
	if _, err := os.Stat(filepath.Join(c.DataDir, "beckon.db")); c.DatabaseURL == "" && err != nil {
		d.add(todo, "database", "There is no database in BECKON_DATA_DIR yet.", "Start the program once: beckon serve.")
		return false
	}
	database, err := db.Open(ctx, c.database())
	if err != nil {
		d.add(todo, "database", "The database cannot be opened.", "See that it runs, and that BECKON_DATABASE_URL or BECKON_DATA_DIR is right.")
		return false
	}
	defer func() { _ = database.Close() }()
	steps, err := database.Migrations(ctx)
	if err != nil {
		d.add(todo, "database", "The database's schema cannot be read.", "See that the user in BECKON_DATABASE_URL may use the database.")
		return false
	}
	missing := 0
	for _, s := range steps {
		if s.Applied.IsZero() {
			missing++
		}
	}
	if missing > 0 {
		d.add(todo, "database", fmt.Sprintf("%d of %d steps of the schema are missing.", missing, len(steps)), "beckon migrate up, or start beckon serve, which does it.")
		return false
	}
	d.add(fine, "database", database.Engine()+", its schema up to date.", "")
	return true
}

// lookWithin is how long one call to our own address may take.
const lookWithin = 5 * time.Second

// address looks whether providers can reach us, as far as that can be seen from
// here.
func (d *doctor) address(ctx context.Context, c Config) {
	const area = "public address"
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Scheme != "https" {
		d.add(demand(c), area, "BECKON_PUBLIC_URL does not start with https://. Meta calls nothing else, and links in messages lead there.",
			"Put a reverse proxy with a certificate before Beckon and set BECKON_PUBLIC_URL to its address.")
	}
	if status, _ := fetch(ctx, c.PublicURL+"/healthz"); status != http.StatusOK {
		d.add(demand(c), area, "Nothing like Beckon answers at BECKON_PUBLIC_URL/healthz, seen from here.",
			"Start beckon serve, and see that the reverse proxy leads to BECKON_ADDR.")
		return
	}
	d.add(fine, area, "Beckon answers at BECKON_PUBLIC_URL.", "")
	if c.Meta.VerifyToken == "" {
		return
	}
	challenge := rand.Text()
	q := url.Values{"hub.mode": {"subscribe"}, "hub.verify_token": {c.Meta.VerifyToken}, "hub.challenge": {challenge}}
	if status, body := fetch(ctx, c.PublicURL+"/webhooks/messenger?"+q.Encode()); status != http.StatusOK || body != challenge {
		d.add(todo, area, "The webhook address does not answer as Meta's check wants it to.",
			"See that the program that runs has the same META_VERIFY_TOKEN, and that the proxy passes queries on unchanged.")
		return
	}
	d.add(fine, area, "The webhook address, BECKON_PUBLIC_URL/webhooks/messenger, answers Meta's check.", "")
}

// demand is how much a public address matters: not at all with stand-in
// providers.
func demand(c Config) level {
	if u, err := url.Parse(c.Meta.GraphURL); err == nil && strings.HasSuffix(u.Hostname(), ".facebook.com") && c.Meta.AppSecret != "" {
		return todo
	}
	return note
}

// fetch returns status 0 when nobody answers.
func fetch(ctx context.Context, address string) (status int, body string) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, ""
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		return 0, ""
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, 1<<10))
	if err != nil {
		return 0, ""
	}
	return res.StatusCode, string(b)
}

// channels looks which ones are set up.
func (d *doctor) channels(c Config) {
	chans, err := openChannels(c)
	if err != nil {
		d.add(todo, "channels", err.Error(), "Correct the settings.")
		return
	}
	if chans.messenger == nil {
		d.add(todo, "Messenger", "It is not set up.", "Set META_APP_SECRET and META_VERIFY_TOKEN; docs/messenger-setup.md goes through it.")
	} else {
		d.add(fine, "Messenger", "The app's secret and the verify token are set.", "")
		if c.Meta.AppID == "" {
			d.add(note, "Messenger", "META_APP_ID is not set, so Beckon cannot tell its own messages from those of other apps, nor ask Graph who wants to be deleted.",
				"Set it to the app's id, which stands at the top of the app's dashboard.")
		}
	}
	d.linkBack(chans, channel.SMS, "SMS", "TWILIO_ACCOUNT_SID")
	d.linkBack(chans, channel.Email, "e-mail", "SENDGRID_API_KEY")
}

func (d *doctor) linkBack(chans channels, kind channel.Kind, area, setting string) {
	if chans.senders[kind] != nil {
		d.add(fine, area, "It is set up.", "")
		return
	}
	d.add(note, area, "It is not set up: who cannot be reached in Messenger is not reached this way either.", "Set "+setting+" and what belongs to it, if you want it.")
}
