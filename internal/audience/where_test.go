package audience_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/audience"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
)

var (
	start   = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	pageIDs = []uuid.UUID{uuid.MustParse("0198c5a4-7d3e-7c21-9a54-3f1c2b7d8e01"), uuid.MustParse("0198c5a4-7d3e-7c21-9a54-3f1c2b7d8e02")}
)

// guard is how long nobody is asked again.
const guard = 7 * 24 * time.Hour

const textColumns = "first_name last_name locale time_zone external_id email phone"

func attributeNames() []string {
	return []string{"city", "age", "vip", "a b", "x.y", "2024", "-d_", "absent"}
}

// texts are what breaks statements, patterns and comparisons.
func texts() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{
			"Amy", "amy", "AMY", "Am", "m", "100%", "%", "_", "a_b", "a!b", "aXb", "!", "O'Brien", "'; DROP TABLE contacts; --", `"q"`, `\`, `\%`,
			"?", "$1", "@name", "ÄÖ", "äö", "Äö", "Иван", "ИВАН", "иван", "ван", "ΣΑΣ", "σας", "日本", "e\u0301", "é", "\u00a0", "\t\n", "Z", "a",
			"5", "5.0", "-5", "05", "1e3", " 5", "5 ", "5\n", "--5", "-", ".5", "5.", "1.2.3", "1-2", "true", "null", "subscribed",
			"12345678901234567890123456789012", "123456789012345678901234567890123", "2026-03-01",
		}),
		rapid.StringMatching(`[aAbB%_!'?яЯ]{1,3}`),
	)
}

func numbers() *rapid.Generator[float64] {
	return rapid.SampledFrom([]float64{0, 5, -5, 5.5, 0.1, 1000, 1e15, 123456789012345678, 1e200, -1e-200, 2})
}

func anyAttribute() *rapid.Generator[any] {
	return rapid.OneOf(texts().AsAny(), numbers().AsAny(), rapid.Bool().AsAny(),
		rapid.SampledFrom([]any{nil, "", []any{"Amy", 5.0}, map[string]any{"Amy": true}, []any{}}))
}

func people() *rapid.Generator[person] {
	return rapid.Custom(func(t *rapid.T) person {
		p := person{id: uuid.Must(uuid.NewV7()), texts: map[string]string{}, attributes: map[string]any{}}
		for _, c := range strings.Fields(textColumns) {
			if rapid.Bool().Draw(t, "has") {
				p.texts[c] = texts().Draw(t, c)
			}
		}
		p.texts["email"] = strings.ToLower(strings.TrimSpace(p.texts["email"]))
		status := rapid.SampledFrom([]string{"", "subscribed", "unsubscribed"})
		p.sms, p.email = status.Draw(t, "sms"), status.Draw(t, "email consent")
		for _, a := range attributeNames() {
			if a != "absent" && rapid.Bool().Draw(t, "has") {
				p.attributes[a] = anyAttribute().Draw(t, a)
			}
		}
		p.created = start.Add(time.Duration(rapid.IntRange(-3, 3).Draw(t, "created")) * 12 * time.Hour)
		for range rapid.IntRange(0, 2).Draw(t, "tokens") {
			p.tokens = append(p.tokens, held{
				topic:  rapid.SampledFrom([]string{"courses", "unsorted"}).Draw(t, "topic"),
				status: rapid.SampledFrom([]string{"available", "spent"}).Draw(t, "status"),
				page:   rapid.SampledFrom(pageIDs).Draw(t, "page"),
			})
		}
		for _, page := range pageIDs {
			if rapid.Bool().Draw(t, "near") {
				p.near = append(p.near, nearby(t, page))
			}
		}
		return p
	})
}

func nearby(t *rapid.T, page uuid.UUID) near {
	day := 24 * time.Hour
	n := near{page: page, blocked: rapid.IntRange(0, 4).Draw(t, "blocked") == 0,
		acted: rapid.SampledFrom([]time.Duration{0, time.Hour, time.Hour, day - 5*time.Minute - time.Microsecond, day - 5*time.Minute, 2 * day}).Draw(t, "acted"),
		held:  rapid.SampledFrom([]time.Duration{0, 0, 0, -time.Hour, time.Hour}).Draw(t, "held")}
	for range rapid.IntRange(0, 2).Draw(t, "requests") {
		n.asked = append(n.asked, request{
			topic: rapid.SampledFrom([]string{"courses", "unsorted"}).Draw(t, "asked for"),
			state: rapid.SampledFrom([]string{"sent", "failed", "failed"}).Draw(t, "state"),
			code:  rapid.SampledFrom([]string{"", "613/1893016"}).Draw(t, "code"),
			ago:   rapid.SampledFrom([]time.Duration{time.Minute, guard - time.Microsecond, guard, 2 * guard}).Draw(t, "asked ago"),
		})
	}
	return n
}

func anyRules(depth int) *rapid.Generator[rules] {
	return rapid.Custom(func(t *rapid.T) rules {
		joint := "rule"
		if depth > 0 {
			joint = rapid.SampledFrom([]string{"rule", "rule", "all", "any", "not"}).Draw(t, "joint")
		}
		switch joint {
		case "all", "any":
			var members []any
			for _, m := range rapid.SliceOfN(anyRules(depth-1), 1, 3).Draw(t, joint) {
				members = append(members, m)
			}
			return rules{joint: members}
		case "not":
			return rules{"not": anyRules(depth-1).Draw(t, "not")}
		}
		return anyRule(t)
	})
}

func anyRule(t *rapid.T) rules {
	var op string
	var one *rapid.Generator[any]
	r := rules{}
	switch rapid.SampledFrom([]string{"text", "consent", "time", "token", "askable", "attribute", "attribute"}).Draw(t, "kind") {
	case "text":
		r["field"] = rapid.SampledFrom(strings.Fields(textColumns)).Draw(t, "field")
		op, one = rapid.SampledFrom([]string{"eq", "ne", "in", "exists", "contains", "starts_with"}).Draw(t, "op"), texts().AsAny()
	case "consent":
		r["field"] = rapid.SampledFrom([]string{"consents.sms", "consents.email"}).Draw(t, "field")
		op, one = rapid.SampledFrom([]string{"eq", "ne", "in", "exists"}).Draw(t, "op"), rapid.SampledFrom([]any{"subscribed", "unsubscribed"})
	case "time":
		r["field"] = "created_at"
		op = rapid.SampledFrom([]string{"gt", "gte", "lt", "lte"}).Draw(t, "op")
		one = rapid.SampledFrom([]any{start.Format(time.RFC3339Nano), start.Add(12 * time.Hour).In(time.FixedZone("x", -7200)).Format(time.RFC3339Nano), "2026-03-01", "2026-03-02"})
	case "token":
		r["field"] = "has_token"
		op, one = rapid.SampledFrom([]string{"eq", "ne", "in", "exists"}).Draw(t, "op"), rapid.SampledFrom([]any{"courses", "unsorted", "nobody"})
		if rapid.Bool().Draw(t, "on a page") {
			r["page"] = rapid.SampledFrom(pageIDs).Draw(t, "page").String()
		}
	case "askable":
		r["field"] = "may_be_asked"
		op, one = rapid.SampledFrom([]string{"eq", "ne", "in"}).Draw(t, "op"), rapid.SampledFrom([]any{"courses", "unsorted", "nobody"})
		if rapid.Bool().Draw(t, "on a page") {
			r["page"] = rapid.SampledFrom(pageIDs).Draw(t, "page").String()
		}
		if rapid.Bool().Draw(t, "stacks") {
			r["stack"] = rapid.Bool().Draw(t, "stack")
		}
	default:
		r["field"] = "attributes." + rapid.SampledFrom(attributeNames()).Draw(t, "field")
		op = rapid.SampledFrom([]string{"eq", "ne", "in", "exists", "contains", "starts_with", "gt", "gte", "lt", "lte"}).Draw(t, "op")
		one = attributeValues(op)
	}
	r["op"] = op
	addValue(t, r, op, one)
	return r
}

func attributeValues(op string) *rapid.Generator[any] {
	switch op {
	case "contains", "starts_with":
		return texts().AsAny()
	case "eq", "ne", "in":
		return rapid.OneOf(texts().AsAny(), numbers().AsAny(), rapid.Bool().AsAny())
	}
	return rapid.OneOf(texts().AsAny(), numbers().AsAny())
}

func addValue(t *rapid.T, r rules, op string, one *rapid.Generator[any]) {
	switch op {
	case "exists":
		if want := rapid.SampledFrom([]any{true, false, nil}).Draw(t, "want"); want != nil {
			r["value"] = want
		}
	case "in":
		r["value"] = rapid.SliceOfN(one, 1, 4).Draw(t, "values")
	default:
		r["value"] = one.Draw(t, "value")
	}
	if r["field"] == "email" && (op == "eq" || op == "ne" || op == "in") { // e-mails are stored in lower case, and so they are looked for
		r["value"] = lowered(r["value"])
	}
}

func lowered(v any) any {
	if list, ok := v.([]any); ok {
		out := make([]any, len(list))
		for i := range list {
			out[i] = lowered(list[i])
		}
		return out
	}
	return cmp.Or(strings.ToLower(strings.TrimSpace(v.(string))), "x")
}

// The statement picks the people that the rules mean, on both engines.
func TestWherePicksWhomTheRulesMean(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		for _, id := range pageIDs {
			exec(t, d, "INSERT INTO pages (id, facebook_page_id, name, access_token, created_at, updated_at) VALUES (?, ?, 'p', ?, ?, ?)", id, id.String(), []byte("x"), start, start)
		}
		exec(t, d, "INSERT INTO topics (slug, title, created_at, updated_at) VALUES ('courses', 'c', ?, ?)", start, start)
		rapid.Check(t, func(rt *rapid.T) {
			crowd := rapid.SliceOfN(people(), 1, 10).Draw(rt, "people")
			store(rt, d, crowd)
			for range 8 {
				r := anyRules(3).Draw(rt, "rules")
				raw, err := json.Marshal(r)
				require.NoError(rt, err)
				want := []uuid.UUID{}
				for _, p := range crowd {
					if p.matches(r) {
						want = append(want, p.id)
					}
				}
				require.ElementsMatch(rt, want, pick(rt, d, string(raw)), "%.300s", raw)
			}
		})
	})
}

func store(t require.TestingT, d *db.DB, crowd []person) {
	seen := map[string]bool{}
	require.NoError(t, d.Transact(context.Background(), func(tx *db.Tx) error {
		if err := tx.Exec("DELETE FROM contacts").Error; err != nil {
			return err
		}
		for _, p := range crowd {
			if err := insert(tx, p, seen); err != nil {
				return err
			}
		}
		return nil
	}))
}

func insert(tx *db.Tx, p person, seen map[string]bool) error {
	owned := func(c string) any {
		if p.texts[c] == "" || seen[c+p.texts[c]] {
			delete(p.texts, c)
			return nil
		}
		seen[c+p.texts[c]] = true
		return p.texts[c]
	}
	attributes, err := json.Marshal(p.attributes)
	if err != nil {
		return err
	}
	err = tx.Exec(`INSERT INTO contacts (id, external_id, email, phone, first_name, last_name, locale, time_zone, attributes, sms_consent_status, email_consent_status, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`, p.id, owned("external_id"), owned("email"), owned("phone"), p.texts["first_name"], p.texts["last_name"],
		p.texts["locale"], p.texts["time_zone"], string(attributes), p.sms, p.email, p.created, p.created).Error
	for i := 0; i < len(p.tokens) && err == nil; i++ {
		h := p.tokens[i]
		err = tx.Exec(`INSERT INTO tokens (id, contact_id, page_id, topic, value, value_hash, status, source, granted_at, expires_at, updated_at)
			VALUES (?, ?, ?, ?, ?, ?, ?, 'api', ?, ?, ?)`, uuid.New(), p.id, h.page, h.topic, []byte("x"), fmt.Appendf(nil, "%s%d", p.id, i), h.status, start, start.AddDate(1, 0, 0), start).Error
	}
	for _, n := range p.near {
		err = errors.Join(err, n.insert(tx, p.id))
	}
	return err
}

func (n near) insert(tx *db.Tx, contact uuid.UUID) error {
	var acted, blocked, held any
	if n.acted > 0 {
		acted = start.Add(-n.acted)
	}
	if n.blocked {
		blocked = start
	}
	if n.held != 0 {
		held = start.Add(n.held)
	}
	err := tx.Exec(`INSERT INTO messenger_addresses (page_id, psid, contact_id, last_action_at, blocked_at, held_until, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		n.page, contact.String(), contact, acted, blocked, held, start).Error
	for _, r := range n.asked {
		err = errors.Join(err, tx.Exec(`INSERT INTO opt_in_requests (id, contact_id, page_id, topic, state, code, asked_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
			uuid.New(), contact, n.page, r.topic, r.state, r.code, start.Add(-r.ago), start).Error)
	}
	return err
}

func exec(t *testing.T, d *db.DB, sql string, args ...any) {
	t.Helper()
	require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error { return tx.Exec(sql, args...).Error }))
}

// pick runs rules as the planner does.
func pick(t require.TestingT, d *db.DB, raw string) []uuid.UUID {
	a, err := audience.Parse(json.RawMessage(raw))
	require.NoError(t, err, "%.300s", raw)
	sql, args := a.Where("c", audience.Moment{Now: start, Guard: guard})
	ids := []uuid.UUID{}
	rows, err := d.Read(context.Background()).Raw("SELECT c.id FROM contacts c WHERE c.id > ? AND ("+sql+") ORDER BY c.id LIMIT ?",
		append(append([]any{uuid.Nil}, args...), 100)...).Rows()
	require.NoError(t, err, "%.300s", raw)
	defer rows.Close() //nolint:errcheck // read to the end
	for rows.Next() {
		var id uuid.UUID
		require.NoError(t, rows.Scan(&id))
		ids = append(ids, id)
	}
	require.NoError(t, rows.Err(), "%.300s", raw)
	return ids
}
