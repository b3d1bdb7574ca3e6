package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/simulator"
)

// examined is what doctor says of a set-up, by level and area.
func examined(t *testing.T, environ func() []string) (code int, found map[level]map[string]string, raw string) {
	t.Helper()
	code, out, _ := told(t, environ, "doctor", "--json")
	found = map[level]map[string]string{fine: {}, note: {}, todo: {}}
	for _, f := range findingsOf(t, out) {
		found[f.Level][f.Area] += f.What + "\n"
	}
	require.Equal(t, len(found[todo]) == 0, code == 0)
	return code, found, out
}

// findingsOf reads what doctor prints for programs: each finding says something,
// and what is to be done if something is.
func findingsOf(t *testing.T, out string) []finding {
	t.Helper()
	var said struct {
		Well     bool
		Findings []finding
	}
	require.NoError(t, json.Unmarshal([]byte(out), &said), out)
	well := true
	for _, f := range said.Findings {
		require.NotEmpty(t, f.What)
		if f.Level == todo {
			require.NotEmpty(t, f.Do, "%s: %s", f.Area, f.What)
		}
		well = well && f.Level != todo
	}
	require.Equal(t, well, said.Well)
	return said.Findings
}

func TestDoctorNamesMistakesInTheSettings(t *testing.T) {
	t.Parallel()
	code, found, out := examined(t, environment("BECKON_ADDR=nowhere", "META_APP_SECRET=a-secret-nobody-may-see"))
	require.Equal(t, exitFailed, code)
	require.Contains(t, found[todo]["settings"], "META_VERIFY_TOKEN")
	require.Empty(t, found[fine])
	require.NotContains(t, out, "nobody-may-see")
}

func TestDoctorMakesNoDatabase(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	code, found, _ := examined(t, environment("BECKON_DATA_DIR="+dir))
	require.Equal(t, exitFailed, code)
	require.Contains(t, found[todo]["database"], "no database")
	require.Contains(t, found[todo], "Messenger")
	require.NoDirExists(t, dir)
}

func TestDoctorTellsOfAnOldSchema(t *testing.T) {
	t.Parallel()
	environ := environment("BECKON_DATA_DIR=" + t.TempDir())
	runWell(t, environ, "migrate", "status") // which makes the file, and no table of ours
	require.NoError(t, os.WriteFile(filepath.Join(strings.TrimPrefix(environ()[0], "BECKON_DATA_DIR="), "secret.key"), []byte(strings.Repeat("k", 40)), 0o600))
	_, found, _ := examined(t, environ)
	require.Contains(t, found[todo]["database"], "steps of the schema are missing")
	require.Contains(t, found[note], "secret")
}

func TestDoctorFindsASetUpThatIsWellAndSaysSo(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := serving(t, database)
		code, found, out := examined(t, w.environ)
		require.Equal(t, 0, code, out)
		require.Empty(t, found[todo])
		require.Contains(t, found[fine]["public address"], "answers Meta's check")
		require.Contains(t, found[note]["public address"], "https://", "stand-in providers do without")
		page := "page Northern Courses"
		require.Contains(t, found[fine][page], "webhook is subscribed")
		require.Contains(t, found[note][page], "one-time notifications: not known yet. Campaigns try it")
		require.Contains(t, found[note][page], "reading people's names: not known yet. The first person who writes")
		for _, area := range []string{"settings", "database", "secret", "senders", "what comes in", "Messenger", "SMS", "e-mail"} {
			require.Contains(t, found[fine], area)
		}
		for _, hidden := range w.hidden {
			require.NotContains(t, out, hidden)
		}
		text := runWell(t, w.environ, "doctor")
		require.Contains(t, text, "\nAll is well.\n")
		require.Contains(t, text, "ok    database: ")
	})
}

func TestDoctorSaysWhatMustBeDone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := serving(t, database)
		w.sim.SetUpPage(simulatorPage, simulator.PageSetup{Revoked: true})
		code, out, errOut := told(t, w.environ, "doctor")
		require.Equal(t, exitFailed, code)
		require.Contains(t, out, "TO DO page Northern Courses: token_refused\n      → Graph refuses the access token")
		require.Contains(t, out, "TO DO sender messenger:"+w.page+": It is stopped (190)")
		require.Contains(t, out, "Store a new access token with PATCH /v1/pages/{id}: sending goes on by itself.")
		require.Equal(t, "beckon: 2 things must be done\n", errOut)
		for _, hidden := range w.hidden {
			require.NotContains(t, out, hidden)
		}
	})
}

func TestDoctorSaysWhichSecretIsTheWrongOne(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := serving(t, database)
		with := func(setting string) func() []string { return func() []string { return append(w.environ(), setting) } }
		const page = "page Northern Courses"
		_, _, out := examined(t, with("BECKON_SECRET_KEY="+strings.Repeat("z", 40)))
		require.Contains(t, out, "cannot be opened with this BECKON_SECRET_KEY")
		_, found, out := examined(t, with("META_APP_SECRET=of-another-app"))
		require.Contains(t, found[todo][page], "check_failed")
		require.Contains(t, out, "META_APP_SECRET is not that of the app")
		_, found, out = examined(t, with("META_GRAPH_URL=http://127.0.0.1:1"))
		require.Contains(t, found[todo][page], "check_failed")
		require.Contains(t, out, "Graph did not answer")
	})
}

func TestDoctorSeesThatNobodyAnswersAtThePublicAddress(t *testing.T) {
	t.Parallel()
	w := serving(t, onSQLite(t))
	w.leadTo("127.0.0.1:1")
	code, found, _ := examined(t, w.environ)
	require.Equal(t, 0, code, "with stand-in providers that is good to know")
	require.Contains(t, found[note]["public address"], "Nothing like Beckon answers")

	environ := func() []string {
		return append(w.environ(), "META_GRAPH_URL=https://graph.facebook.com", "META_APP_SECRET=another", "BECKON_DATA_DIR="+t.TempDir())
	}
	code, found, _ = examined(t, environ)
	require.Equal(t, exitFailed, code)
	require.Contains(t, found[todo]["public address"], "https://")
	require.Contains(t, found[todo]["public address"], "Nothing like Beckon answers")
}

func TestDoctorTriesOneTimeNotificationsWithATester(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := serving(t, database)
		require.NoError(t, w.sim.Say(t.Context(), simulatorPage, psid("tester", 1), "Hello"))
		eventually(t, func(c *assert.CollectT) { require.NotEmpty(c, list[contactAnswer](c, w, "/v1/contacts")) })
		done := make(chan [2]string, 1)
		go func() {
			code, out, errOut := told(t, w.environ, "doctor", "--self-test", psid("tester", 1), "--wait", "20s")
			done <- [2]string{fmt.Sprint(code) + out, errOut}
		}()
		eventually(t, func(c *assert.CollectT) {
			_, err := w.sim.TapNotifyMe(t.Context(), simulatorPage, psid("tester", 1))
			require.NoError(c, err)
		})
		said := <-done
		require.Contains(t, said[1], "tap Notify Me")
		require.Contains(t, said[0], "self-test: One-time notifications work on this page.")
		require.Contains(t, said[0], "one-time notifications: works (self_test, ")
		require.Equal(t, byte('0'), said[0][0])
	})
}

func TestDoctorSaysWhyATesterCannotBeAsked(t *testing.T) {
	t.Parallel()
	w := serving(t, onSQLite(t))
	code, out, _ := told(t, w.environ, "doctor", "--self-test", "24680", "--page", w.page)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "TO DO self-test: The tester could not be asked: The page does not know the tester")
	require.NotContains(t, out, "24680")
}
