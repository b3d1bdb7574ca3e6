package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// runWell runs a command that must succeed and returns what it prints.
func runWell(t *testing.T, environ func() []string, args ...string) string {
	t.Helper()
	code, out, errOut := told(t, environ, args...)
	require.Equal(t, 0, code, errOut)
	return out
}

func TestMistakesOnTheCommandLineEndWith2(t *testing.T) {
	t.Parallel()
	for line, problem := range map[string]string{
		"dance":                               `there is no command "dance"`,
		"serve now":                           "beckon serve takes no arguments",
		"serve --fast":                        "unknown flag: --fast",
		"serve --addr":                        "flag needs an argument: --addr",
		"migrate sideways":                    "beckon migrate takes no arguments",
		"migrate up --fast":                   "unknown flag: --fast",
		"import":                              "beckon import wants FILE",
		"import a.csv b.csv":                  "beckon import wants FILE",
		"import --page 7 a.csv":               "--page must be a page's id",
		"keys create --name crm":              "--name and --scope are needed",
		"keys create --scope admin":           "--name and --scope are needed",
		"keys create --name crm --scope king": `there is no scope "king"; there are: pages:read`,
		"keys create --name crm --scope admin extra": "beckon keys create takes no arguments",
		"suppressions list":                          `beckon suppressions takes no arguments`,
		"suppressions import":                        "beckon suppressions import wants FILE",
		"suppressions export --channel fax -":        "--channel must be sms or email",
		"doctor now":                                 "beckon doctor takes no arguments",
		"doctor --page 7":                            "--page goes with --self-test",
		"doctor --page 7 --self-test 1":              "--page must be a page's id",
		"version 2":                                  "beckon version takes no arguments",
	} {
		dir := t.TempDir()
		code, out, errOut := told(t, environment("BECKON_DATA_DIR="+filepath.Join(dir, "data")), strings.Fields(line)...)
		require.Equal(t, exitWrong, code, line)
		require.Empty(t, out, line)
		require.Contains(t, errOut, "beckon: "+problem, line)
		require.NoDirExists(t, filepath.Join(dir, "data"), line)
	}
}

func TestWithoutACommandItTellsTheCommands(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--help"}, {"help"}} {
		out := runWell(t, environment(), args...)
		for _, command := range []string{"serve", "demo", "migrate", "keys", "import", "suppressions", "doctor", "version"} {
			require.Contains(t, out, "\n  "+command)
		}
	}
	require.Contains(t, runWell(t, environment(), "migrate"), "up")
	require.Contains(t, runWell(t, environment(), "keys"), "create")
}

func TestVersion(t *testing.T) {
	t.Parallel()
	require.Regexp(t, `^beckon dev.*, go1\.\d+.*\n$`, runWell(t, environment(), "version"))
}

func TestMigrateShowsWhatIsAppliedAndAppliesTheRest(t *testing.T) {
	t.Parallel()
	environ := environment("BECKON_DATA_DIR=" + t.TempDir())
	before := strings.Split(strings.TrimSpace(runWell(t, environ, "migrate", "status")), "\n")
	require.GreaterOrEqual(t, len(before), 2)
	for _, line := range before {
		require.Regexp(t, `^\d{5}_\w+\.sql +missing$`, line)
	}
	after := runWell(t, environ, "migrate", "up")
	require.NotContains(t, after, "missing")
	require.Equal(t, len(before), strings.Count(after, " applied "))
	require.Equal(t, after, runWell(t, environ, "migrate", "up"))
	require.Equal(t, after, runWell(t, environ, "migrate", "status"))
}

func TestKeysThatAreMadeOpenTheAPI(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := serving(t, database)
		secret := strings.TrimSpace(runWell(t, w.environ, "keys", "create", "--name", "crm", "--scope", "contacts:write", "--scope", "pages:read"))
		require.Regexp(t, `^bk_\w{32,}$`, secret)
		w.hidden = append(w.hidden, secret)
		crm := newAPIClient(w.gate.URL, secret)
		require.NoError(t, crm.get(t.Context(), "/v1/pages", nil))
		require.NoError(t, crm.post(t.Context(), "/v1/contacts", map[string]any{"external_id": "1"}, nil))
		var no *problem
		require.ErrorAs(t, crm.get(t.Context(), "/v1/campaigns", nil), &no)
		require.Equal(t, 403, no.Status)
		require.ErrorAs(t, newAPIClient(w.gate.URL, secret+"x").get(t.Context(), "/v1/pages", nil), &no)
		require.Equal(t, 401, no.Status)
	})
}

const threePeople = `{"external_id":"1","first_name":"Amy","phone":"07700 900123"}
{"external_id":"2","email":"not an address"}
{"external_id":"3","email":"cleo@example.com"}
`

func TestImportTakesFiles(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		environ := environment(database, "BECKON_SECRET_KEY="+testSecret, "BECKON_DEFAULT_REGION=GB")
		dir := t.TempDir()
		people, crm := filepath.Join(dir, "people.ndjson"), filepath.Join(dir, "CRM.CSV")
		require.NoError(t, os.WriteFile(people, []byte(threePeople), 0o600))
		require.NoError(t, os.WriteFile(crm, []byte("external_id,last_name\n1,Pond\n\n3,Ash\n4,New\n"), 0o600))

		dry := runWell(t, environ, "import", "--dry-run", people)
		require.Contains(t, dry, "finished: 3 lines, 2 created, 0 updated, 1 refused\n")
		out := runWell(t, environ, "import", people)
		require.Regexp(t, `^line 2 refused: /email .+ \(\w+\)\nimport [0-9a-f-]{36} finished: 3 lines, 2 created, 0 updated, 1 refused\n$`, out)
		require.NotContains(t, out, "not an address")
		require.Contains(t, runWell(t, environ, "import", people), "finished: 3 lines, 0 created, 2 updated, 1 refused\n")
		require.Regexp(t, `^import \S+ finished: 3 lines, 1 created, 2 updated, 0 refused\n$`, runWell(t, environ, "import", crm))
	})
}

func TestSuppressionsGoOutAndComeBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		environ := environment(database, "BECKON_SECRET_KEY="+testSecret, "BECKON_DEFAULT_REGION=GB")
		dir := t.TempDir()
		list, out := filepath.Join(dir, "list.csv"), filepath.Join(dir, "out.ndjson")
		require.NoError(t, os.WriteFile(list, []byte("address,reason,created_at\n07700 900001,stop,2025-03-02\n07700 900002,,\nnobody,stop,\n"), 0o600))
		require.Contains(t, runWell(t, environ, "suppressions", "import", "--channel", "sms", list), "finished: 3 lines, 2 created, 0 updated, 1 refused\n")
		require.Equal(t, "2 suppressions written\n", runWell(t, environ, "suppressions", "export", out))
		text, err := os.ReadFile(out)
		require.NoError(t, err)
		require.NotContains(t, string(text), "77009")
		require.Contains(t, runWell(t, environ, "suppressions", "import", out), "finished: 2 lines, 0 created, 2 updated, 0 refused\n")
		require.Equal(t, 1, strings.Count(runWell(t, environ, "suppressions", "export", "--reason", "stop", "-"), "\n"))
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, left, 2)
	})
}

func TestImportReadsTheStandardInput(t *testing.T) {
	t.Parallel()
	var out, errOut bytes.Buffer
	root := rootCommand(environment("BECKON_DATA_DIR="+t.TempDir(), "BECKON_DEFAULT_REGION=GB"))
	root.SetArgs([]string{"import", "-"})
	root.SetIn(strings.NewReader(threePeople))
	root.SetOut(&out)
	root.SetErr(&errOut)
	require.NoError(t, root.ExecuteContext(t.Context()), errOut.String())
	require.Contains(t, out.String(), "finished: 3 lines, 2 created, 0 updated, 1 refused\n")
}

func TestImportsThatCannotBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	environ := environment("BECKON_DATA_DIR=" + filepath.Join(dir, "data"))
	code, _, errOut := told(t, environ, "import", filepath.Join(dir, "none.csv"))
	require.Equal(t, exitFailed, code)
	require.Contains(t, errOut, "no such file")
	binary := filepath.Join(dir, "people.csv")
	require.NoError(t, os.WriteFile(binary, []byte("\xff\xfee\x00x\x00"), 0o600))
	code, out, errOut := told(t, environ, "import", binary)
	require.Equal(t, exitFailed, code)
	require.Contains(t, out, "failed: 0 lines")
	require.Contains(t, errOut, "the import failed: The file is UTF-16")
}

func TestASecretKeyIsMadeOnceAndKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	c := Config{DataDir: dir}
	first, err := openBox(c)
	require.NoError(t, err)
	sealed, err := first.Seal("value", "test")
	require.NoError(t, err)
	info, err := os.Stat(filepath.Join(dir, "secret.key"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	again, err := openBox(c)
	require.NoError(t, err)
	value, err := again.Open(sealed, "test")
	require.NoError(t, err)
	require.Equal(t, "value", value)
	other, err := openBox(Config{DataDir: dir, SecretKey: testSecret})
	require.NoError(t, err)
	_, err = other.Open(sealed, "test")
	require.Error(t, err)
}

// A line of the log leads back to its request or its job. What no line may
// hold is looked for at the end of every flow.
func TestLogLinesNameTheirRequestOrJob(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w, people := serving(t, database), crowd{sms: 3}
		w.imported(t, people.file(w))
		got, err := w.call(t.Context(), "GET", "/v1/contacts?phone="+strings.ReplaceAll(phone(1), "+", "%2B"), "", nil)
		require.NoError(t, err)
		require.Equal(t, 200, got.status)
		w.campaign(t, "sms")
		require.Eventually(t, func() bool { return len(w.logs.lines(t, "campaign finished")) == 1 }, patience, patience/1000)
		ids := map[any]bool{}
		for _, line := range w.logs.lines(t, "request") {
			require.Regexp(t, `^[0-9a-f-]{36}$`, line["request_id"])
			require.NotEmpty(t, line["route"])
			ids[line["request_id"]] = true
		}
		require.True(t, ids[got.header.Get("X-Request-Id")])
		for _, msg := range []string{"campaign planned", "messages sent", "campaign finished"} {
			require.NotEmpty(t, w.logs.lines(t, msg))
			for _, line := range w.logs.lines(t, msg) {
				require.Positive(t, line["job_id"], line)
				require.NotEmpty(t, line["job"], line)
			}
		}
	})
}
