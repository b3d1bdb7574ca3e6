package token_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
	"beckon/internal/queue"
	"beckon/internal/seal"
	"beckon/internal/token"
)

const psid = "77"

// recurring is a bundle with the part that hears and lists.
type recurring struct {
	*bundle
	t      *testing.T
	queue  *queue.Queue
	part   *token.Recurring
	lister *lists
}

// lists is a Page's own list, in parts.
type lists struct {
	parts  []channel.Listing
	result channel.Result
	calls  int
}

func (l *lists) ListRecurring(_ context.Context, _ channel.Page, after string) (channel.Listing, channel.Result) {
	l.calls++
	if l.result.Outcome != channel.Accepted {
		return channel.Listing{}, l.result
	}
	n := 0
	if after != "" {
		_, _ = fmt.Sscan(after, &n)
	}
	out := l.parts[n]
	if n+1 < len(l.parts) {
		out.Next = fmt.Sprint(n + 1)
	}
	return out, l.result
}

type anyPage struct{}

func (anyPage) Sender(context.Context, uuid.UUID) (channel.Page, error) {
	return channel.Page{GraphID: "1", AccessToken: "x"}, nil
}

func recurringSetup(t *testing.T, d *db.DB) *recurring {
	t.Helper()
	b := &recurring{bundle: setup(t, d), t: t, queue: queue.New(d, slog.New(slog.DiscardHandler)), lister: &lists{result: channel.Result{Outcome: channel.Accepted}}}
	b.now = b.now.Truncate(time.Microsecond)
	b.part = token.NewRecurring(b.store, token.RecurringOptions{Queue: b.queue, Pages: anyPage{}, Lister: b.lister, People: b.people})
	require.NoError(t, b.queue.Open())
	b.address(psid, b.contact)
	return b
}

func (b *recurring) address(psid string, contact uuid.UUID) {
	b.exec(b.t, "INSERT INTO messenger_addresses (page_id, psid, contact_id, created_at) VALUES (?, ?, ?, ?)", b.page, psid, contact, b.now)
}

// people makes a contact for each PSID that nobody has.
func (b *recurring) people(_ context.Context, tx *db.Tx, page uuid.UUID, psids []string) (map[string]uuid.UUID, error) {
	out := map[string]uuid.UUID{}
	for _, p := range psids {
		var found []uuid.UUID
		if err := tx.Raw("SELECT contact_id FROM messenger_addresses WHERE page_id = ? AND psid = ?", page, p).Scan(&found).Error; err != nil {
			return nil, err
		}
		if len(found) == 0 {
			found = []uuid.UUID{uuid.Must(uuid.NewV7())}
			if err := tx.Exec("INSERT INTO contacts (id, created_at, updated_at) VALUES (?, ?, ?)", found[0], b.now, b.now).Error; err != nil {
				return nil, err
			}
			if err := tx.Exec("INSERT INTO messenger_addresses (page_id, psid, contact_id, created_at) VALUES (?, ?, ?, ?)", page, p, found[0], b.now).Error; err != nil {
				return nil, err
			}
		}
		out[p] = found[0]
	}
	return out, nil
}

func (b *recurring) hear(events ...channel.Event) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) error {
		return b.part.Hear(b.t.Context(), tx, channel.Heard{Page: b.page, People: map[string]uuid.UUID{}, Events: events})
	}))
}

// given is a person's permission, at a number of minutes from now.
func (b *recurring) given(value string, minute int) channel.Event {
	return channel.Event{Kind: channel.EventOptIn, OptInType: channel.OptInRecurring, PSID: psid, Token: value, Payload: "courses", Title: "Course news",
		At: b.now.Add(time.Duration(minute) * time.Minute), Expires: b.now.AddDate(0, 6, 0)}
}

func (b *recurring) ends(value, status string, minute int) channel.Event {
	ev := b.given(value, minute)
	ev.Kind, ev.Status = channel.EventOptInEnds, status
	return ev
}

func (b *recurring) all() []token.RecurringToken {
	b.t.Helper()
	of, err := b.store.RecurringOf(b.t.Context(), b.contact)
	require.NoError(b.t, err)
	return of[b.contact]
}

func (b *recurring) one() token.RecurringToken {
	b.t.Helper()
	list := b.all()
	require.Len(b.t, list, 1)
	return list[0]
}

func (b *recurring) take(claims ...token.Claim) (got map[int64]string) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) (err error) {
		got, err = b.store.ReserveRecurring(b.t.Context(), tx, claims)
		return err
	}))
	return got
}

func (b *recurring) came(uses ...token.Use) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.d.Transact(b.t.Context(), func(tx *db.Tx) (err error) {
		n, err = b.store.SettleRecurring(b.t.Context(), tx, uses)
		return err
	}))
	return n
}

func TestRecurringPermissionIsKept(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := recurringSetup(t, d)
		b.hear(b.given("nm-1", 0), b.given("nm-1", 0))
		got := b.one()
		require.Equal(t, token.Live, got.Status)
		require.Equal(t, []any{"courses", "Course news", token.FromWebhook}, []any{got.Topic, got.Title, got.Source})
		require.True(t, got.GrantedAt.Equal(b.now))
		require.True(t, got.EligibleAt.Equal(b.now))
		require.True(t, got.ExpiresAt.Equal(b.now.AddDate(0, 6, 0)))
		require.False(t, got.Expired(b.now))
		require.True(t, got.Expired(b.now.AddDate(0, 6, 0)))

		renewed := b.given("nm-1", 60)
		renewed.Renewed, renewed.Expires = true, b.now.AddDate(1, 0, 0)
		b.hear(renewed, channel.Event{Kind: channel.EventOptIn, OptInType: channel.OptInOneTime, PSID: psid, Token: "otn"})
		got = b.one()
		require.True(t, got.ExpiresAt.Equal(b.now.AddDate(1, 0, 0)))
		require.True(t, got.RenewedAt.Equal(renewed.At))
		require.True(t, got.GrantedAt.Equal(b.now))

		var sealed []byte
		require.NoError(t, d.Read(t.Context()).Raw("SELECT value FROM recurring_tokens").Row().Scan(&sealed))
		require.NotContains(t, string(sealed), "nm-1")
	})
}

func TestTopicOfARecurringPermission(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := recurringSetup(t, d)
		for _, slug := range []string{"one", "two"} {
			_, err := b.store.CreateTopic(t.Context(), token.TopicDraft{Slug: slug, Title: "The same"})
			require.NoError(t, err)
		}
		request := uuid.Must(uuid.NewV7())
		b.exec(t, "INSERT INTO opt_in_requests (id, contact_id, page_id, topic, kind, state, asked_at, updated_at) VALUES (?, ?, ?, 'two', 'recurring', 'sent', ?, ?)",
			request, b.contact, b.page, b.now, b.now)
		for _, c := range []struct{ payload, title, want string }{
			{"courses", "whatever", "courses"},
			{"OTN_COURSES", "", "courses"},
			{"", "New courses", "courses"},
			{"stranger", "The same", token.Unsorted},
			{"stranger", "", token.Unsorted},
			{"bk:optin:" + request.String(), "New courses", "two"},
			{"bk:optin:" + uuid.NewString(), "New courses", "courses"},
		} {
			ev := b.given("nm-"+c.payload+c.title, 0)
			ev.Payload, ev.Title = c.payload, c.title
			b.hear(ev)
			require.Equal(t, 1, b.count("topic = ?", c.want), "%+v", c)
			b.exec(t, "UPDATE opt_in_requests SET state = CASE WHEN token_id IS NULL THEN 'sent' ELSE 'granted' END")
			b.exec(t, "DELETE FROM recurring_tokens")
		}
		got, err := b.store.Request(t.Context(), request)
		require.NoError(t, err)
		require.Equal(t, token.Granted, got.State)
	})
}

func (b *recurring) count(where string, args ...any) (n int) {
	b.t.Helper()
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT COUNT(*) FROM recurring_tokens WHERE "+where, args...).Row().Scan(&n))
	return n
}

func TestStopHeardBeforeThePersonWaitsForThem(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := recurringSetup(t, d)
		stop, grant := b.ends("nm-1", channel.StatusStop, 5), b.given("nm-1", 0)
		stop.PSID, grant.PSID = "88", "88"
		b.hear(stop)
		require.Equal(t, 1, b.count("contact_id IS NULL AND status = 'stopped'"))
		b.exec(t, "DELETE FROM messenger_addresses")
		b.address("88", b.contact)
		b.hear(grant)
		require.Equal(t, token.Stopped, b.one().Status, "the grant is older than the stop")
		b.hear(b.ends("nm-1", channel.StatusResume, 6))
		require.Equal(t, token.Live, b.one().Status)
	})
}

// TestRecurringWordsMayComeInAnyOrder applies the same events in two orders, in
// parts and some of them again: the rows are the same.
func TestRecurringWordsMayComeInAnyOrder(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := recurringSetup(t, d)
		draw := rapid.Custom(func(rt *rapid.T) channel.Event {
			value, minute := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(rt, "token"), rapid.IntRange(0, 4).Draw(rt, "minute")
			ev := b.given(value, minute)
			ev.Expires = b.now.AddDate(0, rapid.IntRange(1, 9).Draw(rt, "months"), 0)
			switch rapid.IntRange(0, 3).Draw(rt, "kind") {
			case 0:
				ev = b.ends(value, channel.StatusStop, minute)
			case 1:
				ev = b.ends(value, channel.StatusResume, minute)
			case 2:
				ev.Renewed = true
			}
			return ev
		})
		rapid.Check(t, func(rt *rapid.T) {
			events := rapid.SliceOfN(draw, 1, 12).Draw(rt, "events")
			b.exec(t, "DELETE FROM recurring_tokens")
			for _, ev := range events {
				b.hear(ev)
			}
			want := b.told()
			b.exec(t, "DELETE FROM recurring_tokens")
			again := rapid.Permutation(append(slices.Clone(events), events...)).Draw(rt, "again")
			for part := range slices.Chunk(again, rapid.IntRange(1, 5).Draw(rt, "parts")) {
				b.hear(part...)
			}
			require.Equal(rt, want, b.told())
		})
	})
}

// told is what is known of all tokens, without what differs from row to row.
func (b *recurring) told() []string {
	var out []string
	for _, r := range b.all() {
		renewed := "never"
		if r.RenewedAt != nil {
			renewed = r.RenewedAt.UTC().String()
		}
		out = append(out, fmt.Sprint(r.Topic, r.Status, r.Title, r.GrantedAt.UTC(), r.ExpiresAt.UTC(), r.EligibleAt.UTC(), renewed))
	}
	slices.Sort(out)
	return out
}

func TestRecurringTokenRestsFromBeforeTheCall(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := recurringSetup(t, d)
		b.hear(b.given("nm-1", 0))
		claim := token.Claim{Delivery: 1, TokenID: b.one().ID}
		require.Equal(t, map[int64]string{1: "nm-1"}, b.take(claim))
		require.True(t, b.one().EligibleAt.Equal(b.now.Add(token.Rest)), "also if the node dies now")
		require.Empty(t, b.take(token.Claim{Delivery: 2, TokenID: claim.TokenID}), "held by another")

		b.now = b.now.Add(time.Minute)
		require.Equal(t, 1, b.came(token.Use{TokenID: claim.TokenID, Delivery: 1, Outcome: channel.Accepted}))
		require.True(t, b.one().EligibleAt.Equal(b.now.Add(token.Rest)))
		require.Zero(t, b.came(token.Use{TokenID: claim.TokenID, Delivery: 1, Outcome: channel.Refused}), "nobody holds it any more")
		b.now = b.now.Add(token.Rest - time.Microsecond)
		require.Empty(t, b.take(token.Claim{Delivery: 3, TokenID: claim.TokenID}))
		b.now = b.now.Add(time.Microsecond)
		require.Len(t, b.take(token.Claim{Delivery: 3, TokenID: claim.TokenID}), 1)
	})
}

func TestWhatBecomesOfARecurringToken(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := recurringSetup(t, d)
		for i, c := range []struct {
			outcome channel.Outcome
			code    string
			status  token.RecurringStatus
			rests   bool
		}{
			{channel.Accepted, "", token.Live, true},
			{channel.Unknown, "1", token.Live, true},
			{channel.TryLater, "613", token.Live, false},
			{channel.TryLater, "4/2018354", token.Live, true},
			{channel.StopTheLine, "190", token.Live, false},
			{channel.Refused, "100", token.Live, false},
			{channel.Gone, "551", token.Live, false},
			{channel.OptedOut, "", token.Live, false},
			{channel.TokenDead, "100", token.Invalid, true},
			{channel.TokenDead, "10/1893015", token.Stopped, true},
		} {
			b.exec(t, "DELETE FROM recurring_tokens")
			b.hear(b.given("nm", 0))
			id, at := b.one().ID, b.one().EligibleAt
			require.Len(t, b.take(token.Claim{Delivery: int64(i), TokenID: id}), 1)
			require.Equal(t, 1, b.came(token.Use{TokenID: id, Delivery: int64(i), Outcome: c.outcome, Code: c.code}))
			got := b.one()
			require.Equal(t, c.status, got.Status, "%+v", c)
			require.Equal(t, c.rests, got.EligibleAt.After(at), "%+v", c)
			require.Nil(t, got.HeldBy)
		}
	})
}

func TestStopWhileAMessageGoesOutStays(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := recurringSetup(t, d)
		b.hear(b.given("nm", 0))
		id := b.one().ID
		require.Len(t, b.take(token.Claim{Delivery: 1, TokenID: id}), 1)
		b.hear(b.ends("nm", channel.StatusStop, 1))
		require.Equal(t, 1, b.came(token.Use{TokenID: id, Delivery: 1, Outcome: channel.TokenDead, Code: "100"}))
		require.Equal(t, token.Stopped, b.one().Status)
		b.now = b.now.Add(2 * token.Rest)
		require.Empty(t, b.take(token.Claim{Delivery: 2, TokenID: id}))
	})
}

func TestListingBringsTokensAndTheirPeople(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := recurringSetup(t, d)
		b.hear(b.given("known", -60), b.given("stopped", -60), b.ends("stopped", channel.StatusStop, -30), b.given("gone", -60), b.given("fresh", 0))
		listed := func(value, psid string) channel.Listed {
			return channel.Listed{Token: value, PSID: psid, Title: "New courses", Created: b.now.Add(-time.Hour), Expires: b.now.AddDate(0, 9, 0), Eligible: b.now.Add(time.Hour)}
		}
		b.lister.parts = []channel.Listing{{Tokens: []channel.Listed{listed("known", psid), {Token: "", PSID: "9"}}}, {Tokens: []channel.Listed{listed("stopped", psid), listed("new", "99")}}}
		s, err := b.part.StartSync(t.Context(), b.page)
		require.NoError(t, err)
		require.Equal(t, token.SyncRunning, s.State)
		_, err = b.part.StartSync(t.Context(), b.page)
		require.NoError(t, err)
		require.NoError(t, b.queue.Drain(t.Context(), b.now))
		s, err = b.store.LastSync(t.Context(), b.page)
		require.NoError(t, err)
		require.Equal(t, []any{token.SyncFinished, 4}, []any{s.State, s.Listed})
		require.Equal(t, 2, b.lister.calls, "a sync under way is left to run")

		count, err := b.store.CountRecurring(t.Context(), b.page)
		require.NoError(t, err)
		require.Equal(t, map[token.RecurringStatus]int{token.Live: 3, token.Stopped: 1, token.Missing: 1, token.Invalid: 0}, count.ByStatus, "fresh is newer than the list")
		require.Equal(t, 1, b.count("source = 'listing' AND topic = 'courses' AND contact_id IS NOT NULL AND contact_id <> ?", b.contact))
		require.Equal(t, 3, b.count("eligible_at = ?", b.now.Add(time.Hour)))

		b.now = b.now.Add(time.Hour)
		b.lister.parts = []channel.Listing{{Tokens: []channel.Listed{listed("gone", psid)}}}
		_, err = b.part.StartSync(t.Context(), b.page)
		require.NoError(t, err)
		require.NoError(t, b.queue.Drain(t.Context(), b.now))
		require.Equal(t, 1, b.count("status = 'live'"), "what is listed again is live again")
		require.Equal(t, 3, b.count("status = 'missing'"))
		require.Equal(t, 1, b.count("status = 'stopped'"), "what a person said weighs more")
	})
}

// Meta's list names people long after they were erased here.
func TestAListDoesNotBringBackWhoWasErased(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := recurringSetup(t, d)
		b.hear(b.given("nm-1", -60))
		box, err := seal.New(bytes.Repeat([]byte{1}, seal.MinSecret))
		require.NoError(t, err)
		people := contact.New(d, queue.New(d, slog.New(slog.DiscardHandler)), box, contact.Options{Now: func() time.Time { return b.now }})
		require.NoError(t, people.Erase(t.Context(), b.contact))
		require.Equal(t, 1, b.count("contact_id IS NULL AND status = 'stopped' AND length(value) = 0 AND title = ''"), "only the hash is left")
		b.lister.parts = []channel.Listing{{Tokens: []channel.Listed{{Token: "nm-1", PSID: psid, Title: "New courses", Created: b.now.Add(-time.Hour)}}}}
		_, err = b.part.StartSync(t.Context(), b.page)
		require.NoError(t, err)
		require.NoError(t, b.queue.Drain(t.Context(), b.now))
		var n int
		require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM contacts").Row().Scan(&n))
		require.Zero(t, n)

		b.contact = b.newContact(t)
		b.address(psid, b.contact)
		b.hear(b.given("nm-1", 1))
		require.Equal(t, token.Live, b.one().Status, "unless they come back themselves")
		b.now = b.now.Add(time.Minute)
		require.Equal(t, map[int64]string{5: "nm-1"}, b.take(token.Claim{Delivery: 5, TokenID: b.one().ID}))
	})
}

func TestListThatIsRefusedChangesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := recurringSetup(t, d)
		b.hear(b.given("nm", -60))
		sync := func() token.Sync {
			_, err := b.part.StartSync(t.Context(), b.page)
			require.NoError(t, err)
			require.NoError(t, b.queue.Drain(t.Context(), b.now))
			s, err := b.store.LastSync(t.Context(), b.page)
			require.NoError(t, err)
			return s
		}
		b.lister.result = channel.Result{Outcome: channel.StopTheLine, Code: "200"}
		s := sync()
		require.Equal(t, []any{token.SyncFailed, "200"}, []any{s.State, s.Code})
		b.lister.result = channel.Result{Outcome: channel.TryLater, Code: "613"}
		require.Equal(t, token.SyncRunning, sync().State, "it will be tried again")
		b.lister.result = channel.Result{Outcome: channel.Accepted}
		b.lister.parts = []channel.Listing{{}}
		b.now = b.now.Add(2 * time.Hour)
		require.NoError(t, b.queue.Drain(t.Context(), b.now.Add(time.Hour)))
		require.Equal(t, token.Live, b.one().Status, "an empty list proves nothing")
		_, err := b.store.LastSync(t.Context(), uuid.New())
		require.True(t, fault.HasCode(err, "sync_not_found"))
	})
}

func TestStopThatNamesNoTokenEndsAllOfThePage(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := recurringSetup(t, d)
		b.hear(b.given("a", 0), b.given("b", 0), b.given("later", 9))
		all := b.ends("", channel.StatusStop, 5)
		for range 2 {
			b.hear(all, b.ends("b", channel.StatusResume, 6))
			require.Equal(t, 1, b.count("status = 'stopped'"))
			require.Equal(t, 2, b.count("status = 'live'"), "what was said later counts")
		}
		stranger := all
		stranger.PSID = "nobody"
		b.hear(stranger)
	})
}

// asker notes which kind it was asked for.
type asker struct{ asked []string }

func (a *asker) AskOptIn(context.Context, channel.Page, string, string, string) channel.Result {
	a.asked = append(a.asked, "one_time")
	return channel.Result{Outcome: channel.Accepted}
}

func (a *asker) AskRecurring(context.Context, channel.Page, string, string, string) channel.Result {
	a.asked = append(a.asked, "recurring")
	return channel.Result{Outcome: channel.Accepted}
}

func TestOnePersonIsAskedOneKindInTheGuardTime(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		k, a := inWindow(t, d), &asker{}
		s := token.NewService(k.store, token.Options{Pages: pages{k.page}, Asker: a, Recurring: a})
		k.ask.Kind = token.AskRecurring
		k.exec(t, "INSERT INTO capabilities (page_id, name, state, how, known_at) VALUES (?, 'recurring', 'off', 'region', ?)", k.page, k.now)
		_, err := s.Ask(t.Context(), k.ask)
		require.True(t, fault.HasCode(err, "capability_off"))
		k.exec(t, "UPDATE capabilities SET name = 'one_time'")
		r, err := s.Ask(t.Context(), k.ask)
		require.NoError(t, err, "that one-time messages are off says nothing of recurring ones")
		require.Equal(t, token.AskRecurring, r.Kind)
		k.exec(t, "DELETE FROM capabilities")
		k.ask.Kind = ""
		_, err = s.Ask(t.Context(), k.ask)
		require.True(t, fault.HasCode(err, "asked_recently"), "for the same topic, whatever the kind")
		k.exec(t, "DELETE FROM opt_in_requests")
		r, err = s.Ask(t.Context(), k.ask)
		require.NoError(t, err)
		require.Equal(t, token.AskOneTime, r.Kind)
		require.Equal(t, []string{"recurring", "one_time"}, a.asked)
		k.ask.Kind = token.AskRecurring
		_, err = k.service.Ask(t.Context(), k.ask)
		require.True(t, fault.HasCode(err, "channel_absent"))
	})
}
