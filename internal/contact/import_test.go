package contact_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/fault"
)

func (b *bundle) receive(body string, o contact.ImportOptions) contact.Import {
	b.t.Helper()
	imp, err := b.Receive(b.t.Context(), strings.NewReader(body), o)
	require.NoError(b.t, err)
	require.Equal(b.t, contact.Queued, imp.State)
	return imp
}

func (b *bundle) imports(body string, o contact.ImportOptions) contact.Import {
	b.t.Helper()
	imp := b.receive(body, o)
	require.NoError(b.t, b.q.Drain(b.t.Context(), time.Now()))
	imp, err := b.Import(b.t.Context(), imp.ID)
	require.NoError(b.t, err)
	require.Zero(b.t, b.count("import_parts"), "the body is let go")
	require.NotNil(b.t, imp.FinishedAt)
	return imp
}

func (b *bundle) ndjson(lines ...string) contact.Import {
	b.t.Helper()
	return b.imports(strings.Join(lines, "\n"), contact.ImportOptions{Format: contact.NDJSON})
}

func (b *bundle) csv(lines ...string) contact.Import {
	b.t.Helper()
	return b.imports(strings.Join(lines, "\r\n"), contact.ImportOptions{Format: contact.CSV})
}

// refused lists an import's refused lines as "line pointer code".
func (b *bundle) refused(imp contact.Import) (out []string) {
	b.t.Helper()
	for after := int64(0); ; {
		page, next, err := b.Refusals(b.t.Context(), imp.ID, after, 3)
		require.NoError(b.t, err)
		for _, r := range page {
			for _, f := range r.Fields {
				out = append(out, fmt.Sprint(r.Line, " ", f.Pointer, " ", f.Code))
			}
		}
		if after = next; next == 0 {
			return out
		}
	}
}

func (b *bundle) find(f contact.Filter) contact.Contact {
	b.t.Helper()
	all, _, err := b.List(b.t.Context(), f, uuid.Nil, 2)
	require.NoError(b.t, err)
	require.Len(b.t, all, 1)
	return all[0]
}

func counts(i contact.Import) string {
	return fmt.Sprintf("%s: %d lines, %d created, %d updated, %d refused", i.State, i.Lines, i.Created, i.Updated, i.Refused)
}

func TestImportNDJSONRefusesOnlyBadLines(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.upsert(contact.Draft{ExternalID: text("known"), Email: text("known@example.com")})
		imp := b.ndjson(
			"\ufeff"+`{"external_id":"a","first_name":"Zoë","email":"A@example.com","phone":"+447700900123","locale":"en_GB","time_zone":"Europe/London","attributes":{"n":12345678901234567890,"o":{"k":[1]}},"consents":{"sms":{"status":"subscribed","at":"2026-01-02T03:04:05Z","source":"form","evidence":"yes\nplease"}}}`,
			"", "  ",
			`{"external_id":"b","emial":"x","phone":7,"consents":{"fax":{},"sms":{"stat":1}},"messenger":[{"psid":"1","x":1}],"tokens":[{"tok":"x"}]}`,
			`{"external_id":"c"`,
			`["no"]`,
			`{"external_id":"d","attributes":{"x":"\u0000"},"y\u0000":1}`,
			"{\"external_id\":\"\xff\"}",
			`{"external_id":"e","first_name":"`+strings.Repeat("x", 1<<20)+`"}`,
			`{"external_id":"known","first_name":"Kay","email":null}`+"\r",
			`{"email":"a@example.com","first_name":"Zoe"}`,
			`{"external_id":"f","email":"a@example.com"}`,
			`{"first_name":"nobody"}`,
			`{"external_id":"g","attributes":{"h":"\ud800","big":1e308}}`,
			`{"external_id":"h","attributes":[]}`,
			`{"external_id":"i","attributes":null,"consents":null,"last_name":null} trailing`,
			`{"external_id":"j","attributes":null,"consents":null,"last_name":null}`,
		)
		require.Equal(t, "finished: 15 lines, 3 created, 2 updated, 10 refused", counts(imp))
		require.Equal(t, []string{
			"4 /consents/fax unknown_field", "4 /consents/sms/stat unknown_field", "4 /consents/sms/status bad_consent", "4 /emial unknown_field",
			"4 /messenger/0/page_id required", "4 /messenger/0/x unknown_field", "4 /phone bad_type", "4 /tokens/0/page_id required", "4 /tokens/0/tok unknown_field", "4 /tokens/0/token required",
			"5  bad_json", "6  bad_type", "7 /attributes/x bad_attribute", "7 /y? unknown_field", "8  bad_encoding", "9  too_long",
			"12 /email address_taken", "13  not_identified", "15 /attributes bad_type", "16  bad_json",
		}, b.refused(imp))
		a := b.find(contact.Filter{ExternalID: "a"})
		require.Equal(t, "Zoe +447700900123 en-GB Europe/London", strings.Join([]string{a.FirstName, a.Phone, a.Locale, a.TimeZone}, " "))
		require.Equal(t, contact.Consent{Status: "subscribed", Source: "form", Evidence: "yes\nplease", At: a.SMSConsent.At}, a.SMSConsent)
		require.Contains(t, string(a.Attributes), "12345678901234567890", "numbers keep all their digits")
		require.Empty(t, b.find(contact.Filter{ExternalID: "known"}).Email)
	})
}

func TestImportNDJSONCarriesMessengerIDsAndTokens(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		two := b.newPage("1002")
		b.exec("INSERT INTO topics (slug, title, created_at, updated_at) VALUES ('courses', 'Courses', ?, ?)", noon, noon)
		full := fmt.Sprintf(`{"messenger":[{"page_id":"%s","psid":"p1"},{"psid":"q1"}],"tokens":[
			{"page_id":"%s","topic":"courses","token":"t1","granted_at":"2026-03-02T09:00:00+01:00"},{"token":"t\u0032"}]}`, b.page, b.page)
		imp := b.imports(strings.ReplaceAll(full, "\n", " ")+"\n"+
			`{"psid":"p1"}`+"\n"+
			`{"messenger":{"psid":"p1"},"tokens":[7],"external_id":"x","consents":{"sms":{"status":"subscribed","at":null},"email":null}}`+"\n"+
			`{"messenger":[{"page_id":"nonsense","psid":"p1"}],"tokens":[{"token":"t","granted_at":"yesterday","topic":"none"}]}`+"\n"+
			`{"external_id":"y","consents":{"sms":{"status":"subscribed","at":null},"email":null},"messenger":null}`+"\n"+
			"7\nnull\n\"x\"\n",
			contact.ImportOptions{Format: contact.NDJSON, PageID: two})
		require.Equal(t, []string{"2  not_identified", "2 /psid unknown_field", "3 /messenger bad_type", "3 /tokens/0 bad_type", "3 /tokens/0/token required",
			"4 /messenger/0/page_id bad_id", "4 /tokens/0/granted_at bad_time", "6  bad_type", "7  bad_type", "8  bad_type"}, b.refused(imp))
		require.EqualValues(t, 2, imp.Created)
		who := b.findOrMake("p1")["p1"]
		require.Equal(t, map[string]uuid.UUID{"p1": b.page, "q1": two}, b.psids(who))
		require.Equal(t, []contact.Grant{
			{ContactID: who, PageID: b.page, Topic: "courses", Value: "t1", GrantedAt: time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)},
			{ContactID: who, PageID: two, Topic: "unsorted", Value: "t2", GrantedAt: noon},
		}, b.grants)
	})
}

func TestALineOfManyMegabytesCostsOnlyItself(t *testing.T) {
	t.Parallel()
	for _, format := range []contact.Format{contact.NDJSON, contact.CSV} {
		t.Run(string(format), func(t *testing.T) {
			t.Parallel()
			b := setup(t, dbtest.SQLite(t))
			lines := []string{`{"external_id":"a"}`, strings.Repeat("x", 5<<20), `{"external_id":"b"}`, strings.Repeat("y", 3<<20)}
			if format == contact.CSV {
				lines = append([]string{"external_id"}, "a", lines[1], "b", lines[3])
			}
			imp := b.imports(strings.Join(lines, "\n"), contact.ImportOptions{Format: format})
			require.Equal(t, "finished: 4 lines, 2 created, 0 updated, 2 refused", counts(imp))
			require.Contains(t, b.refused(imp)[1], "too_long")
		})
	}
}

func TestImportTwiceChangesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		lines := []string{"external_id,email,consents.sms,consents.email", "1,a@example.com,yes,no", "2,b@example.com,,yes"}
		require.Equal(t, "finished: 2 lines, 2 created, 0 updated, 0 refused", counts(b.csv(lines...)))
		before := b.find(contact.Filter{ExternalID: "1"})
		require.Equal(t, "import", before.SMSConsent.Source)
		b.pass(time.Hour)
		require.Equal(t, "finished: 2 lines, 0 created, 2 updated, 0 refused", counts(b.csv(lines...)))
		require.Equal(t, before, b.find(contact.Filter{ExternalID: "1"}))

		_, err := b.Patch(t.Context(), before.ID, contact.Draft{SMSConsent: no(nil)})
		require.NoError(t, err)
		b.pass(time.Hour)
		b.csv(lines...)
		require.Equal(t, contact.Unsubscribed, b.find(contact.Filter{ExternalID: "1"}).SMSConsent.Status, "an old file never undoes an opt-out")
	})
}

func TestImportDryRunWritesNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		imp := b.imports("external_id,email\n1,a@example.com\n2,nonsense\n1,b@example.com\n", contact.ImportOptions{Format: contact.CSV, DryRun: true})
		require.Equal(t, "finished: 3 lines, 1 created, 1 updated, 1 refused", counts(imp))
		require.Equal(t, []string{"3 /email bad_email"}, b.refused(imp))
		require.Zero(t, b.count("contacts"))
	})
}

func TestImportTellsWhyNothingCouldBeRead(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		for body, problem := range map[string]string{
			"":                             "No column says who",
			"first_name,city\nAmy,Leeds\n": "No column says who",
			"email,email\na,b\n":           `"email" stands in the file twice`,
			"psid,email\n1,\n":             "does not say of which page",
			"\xff\xfee\x00m\x00":           "UTF-16",
			"email,\"city\na,b":            "No column says who",
			"email,\x00\na,b":              "not UTF-8 text",
		} {
			imp := b.imports(body, contact.ImportOptions{Format: contact.CSV})
			require.Equal(t, contact.Failed, imp.State, body)
			require.Contains(t, imp.Problem, problem, body)
		}
		require.Equal(t, "finished: 0 lines, 0 created, 0 updated, 0 refused", counts(b.ndjson()))
	})
}

func TestReceiveKeepsNothingOfABrokenUpload(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		line := []byte(`{"external_id":"a"}` + "\n")
		for name, r := range map[string]io.Reader{
			"cut off": io.MultiReader(bytes.NewReader(bytes.Repeat(line, 100_000)), iotest.ErrReader(io.ErrUnexpectedEOF)),
			"failed":  iotest.ErrReader(errors.New("boom")),
		} {
			_, err := b.Receive(t.Context(), r, contact.ImportOptions{Format: contact.NDJSON})
			require.True(t, fault.HasCode(err, "upload_broken"), name)
		}
		_, err := b.Receive(t.Context(), io.LimitReader(endless{}, 65<<20), contact.ImportOptions{Format: contact.NDJSON})
		require.True(t, fault.Is(err, fault.TooLarge))
		require.Zero(t, b.count("import_parts"))
		require.Equal(t, 3, b.count("imports WHERE state = 'failed' AND problem <> '' AND finished_at IS NOT NULL"))
		require.NoError(t, b.q.Drain(t.Context(), time.Now()))
		require.Zero(t, b.count("contacts"))

		_, err = b.Receive(t.Context(), strings.NewReader(""), contact.ImportOptions{Format: "xml"})
		require.True(t, fault.Is(err, fault.Unsupported))
		_, err = b.Receive(t.Context(), strings.NewReader(""), contact.ImportOptions{Format: contact.CSV, PageID: uuid.Must(uuid.NewV7())})
		require.Equal(t, []string{"/page_id page_not_found"}, pointers(t, err))
		_, err = b.Receive(t.Context(), strings.NewReader(""), contact.ImportOptions{Format: contact.CSV, ConsentSource: "\x00"})
		require.Equal(t, []string{"/consent_source bad_characters"}, pointers(t, err))
		_, err = b.Import(t.Context(), uuid.Must(uuid.NewV7()))
		require.True(t, fault.Is(err, fault.NotFound))
	})
}

type endless struct{}

func (endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestReceiveClearsUploadsWhoseProcessDied(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		dead := uuid.Must(uuid.NewV7())
		b.exec("INSERT INTO imports (id, format, state, created_at) VALUES (?, 'csv', 'receiving', ?)", dead, noon.Add(-25*time.Hour))
		b.exec("INSERT INTO import_parts (import_id, n, data) VALUES (?, 0, ?)", dead, []byte("x"))
		b.ndjson(`{"external_id":"a"}`)
		imp, err := b.Import(t.Context(), dead)
		require.NoError(t, err)
		require.Equal(t, contact.Failed, imp.State)
		all, next, err := b.Imports(t.Context(), uuid.Nil, 1)
		require.NoError(t, err)
		require.NotEqual(t, dead, all[0].ID, "newest first")
		all, _, err = b.Imports(t.Context(), next, 1)
		require.NoError(t, err)
		require.Equal(t, dead, all[0].ID)
	})
}

// TestImportGoesOnWhereItStopped lets every second chunk fail at its very end,
// when all its contacts have been written, as a crash does.
func TestImportGoesOnWhereItStopped(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.OneChunkAtATime()
		const lines = 9000
		var body strings.Builder
		body.WriteString("external_id;first_name;note;token\n")
		for i := range lines {
			if i%1000 == 500 {
				body.WriteString("bad;\"line;;\n")
			}
			fmt.Fprintf(&body, "%d;Amy;\"%s\n%d\";tok-%d\n", i, strings.Repeat("x", 300), i, i)
		}
		imp := b.receive(body.String(), contact.ImportOptions{Format: contact.CSV, PageID: b.page})
		boom, calls := errors.New("boom"), 0
		b.refuse = func() error {
			if calls++; calls%2 == 1 {
				return boom
			}
			return nil
		}
		at := time.Now()
		for fails := 0; ; fails++ {
			err := b.q.Drain(t.Context(), at)
			if err == nil {
				require.Equal(t, 5, fails)
				break
			}
			require.ErrorIs(t, err, boom)
			got, err := b.Import(t.Context(), imp.ID)
			require.NoError(t, err)
			require.EqualValues(t, b.count("contacts"), got.Created, "contacts and counts move together")
			at = at.Add(time.Minute)
		}
		got, err := b.Import(t.Context(), imp.ID)
		require.NoError(t, err)
		require.Equal(t, "finished: 9009 lines, 9000 created, 0 updated, 9 refused", counts(got))
		require.Equal(t, lines, b.count("contacts"))
		require.Equal(t, "1002  open_quote", b.refused(got)[0])
		require.Len(t, b.grants, lines)
	})
}

func TestASecondRunOfAnImportLeaves(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		imp := b.receive(`{"external_id":"a"}`, contact.ImportOptions{Format: contact.NDJSON})
		slow, err := b.OpenImport(t.Context(), imp.ID)
		require.NoError(t, err)
		require.NoError(t, b.q.Drain(t.Context(), time.Now()))
		require.ErrorIs(t, slow(t.Context()), contact.ErrOvertaken)
		none, err := b.OpenImport(t.Context(), imp.ID)
		require.NoError(t, err)
		require.Nil(t, none, "nothing is left to do")
		got, err := b.Import(t.Context(), imp.ID)
		require.NoError(t, err)
		require.Equal(t, "finished: 1 lines, 1 created, 0 updated, 0 refused", counts(got))
	})
}
