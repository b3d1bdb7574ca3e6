package main

import (
	"bytes"
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func environment(settings ...string) func() []string { return func() []string { return settings } }

// told runs the program and returns its exit code and what it says.
func told(t *testing.T, environ func() []string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var o, e bytes.Buffer
	code = run(t.Context(), args, environ, &o, &e)
	return code, o.String(), e.String()
}

func TestDefaultsNeedNothingSet(t *testing.T) {
	t.Parallel()
	c, err := readConfig(environment("HOME=/root"))
	require.NoError(t, err)
	require.Equal(t, Config{
		Addr: "127.0.0.1:8080", Role: RoleAll, PublicURL: "http://127.0.0.1:8080", DataDir: "./data", LogLevel: slog.LevelInfo, LogFormat: "text",
		AskAgain: 7 * 24 * time.Hour, TokenNotice: 30 * 24 * time.Hour, StopWithin: 30 * time.Second, MaxImport: 1 << 30, Parallel: 4, SoftBounces: 3, JobTimeout: 30 * time.Second, UnknownGrace: 24 * time.Hour,
		MessengerPace: 15, SMSPace: 1,
		Meta: Meta{GraphURL: "https://graph.facebook.com", GraphVersion: "v25.0"}, Twilio: Twilio{URL: "https://api.twilio.com"}, Mail: Mail{URL: "https://api.sendgrid.com", SMTP: SMTP{Connections: 8}, Sync: Sync{Pull: true}},
	}, c)
	chans, err := openChannels(c)
	require.NoError(t, err)
	require.Empty(t, chans.names())
	require.Nil(t, chans.asker())
	require.Nil(t, chans.verify())
}

func TestURLsAreTakenWithoutTheirLastSlash(t *testing.T) {
	t.Parallel()
	c, err := readConfig(environment("BECKON_PUBLIC_URL=https://go.example.com/", "META_GRAPH_URL=http://localhost:1/graph/"))
	require.NoError(t, err)
	require.Equal(t, []string{"https://go.example.com", "http://localhost:1/graph"}, []string{c.PublicURL, c.Meta.GraphURL})
}

// mistakes are settings, and the beginning of what is said about each.
func mistakes() map[string]string {
	return map[string]string{
		"BECKON_PUBLIC_URL=ftp://hushhush.example.com":            "BECKON_PUBLIC_URL must be an http or https URL without query",
		"BECKON_DATABASE_URL=mysql://beckon:hushhush@localhost/x": "BECKON_DATABASE_URL must be a URL that starts with postgres://",
		"BECKON_SECRET_KEY=hushhush":                              "BECKON_SECRET_KEY must have at least 32 characters",
		"BECKON_BOOTSTRAP_KEY=hushhush":                           "BECKON_BOOTSTRAP_KEY must start with bk_",
		"BECKON_LOG_LEVEL=hushhush":                               "BECKON_LOG_LEVEL must be debug, info, warn or error",
		"BECKON_LOG_FORMAT=hushhush":                              "BECKON_LOG_FORMAT must be text or json",
		"BECKON_DEFAULT_REGION=hushhush":                          "BECKON_DEFAULT_REGION must be a country code",
		"BECKON_ASK_AGAIN_AFTER=-1h":                              "BECKON_ASK_AGAIN_AFTER must not be negative",
		"BECKON_TOKEN_NOTICE=-1h":                                 "BECKON_TOKEN_NOTICE must be between 0, for never, and 8760h",
		"BECKON_STOP_WITHIN=hushhush":                             "BECKON_STOP_WITHIN must be a duration, for example 30s",
		"BECKON_MAX_IMPORT_BYTES=hushhush":                        "BECKON_MAX_IMPORT_BYTES must be a whole number",
		"BECKON_ROLE=hushhush":                                    "BECKON_ROLE must be api, worker or all",
		"BECKON_DATABASE_POOLER=hushhush":                         "BECKON_DATABASE_POOLER must be transaction",
		"BECKON_JOB_TIMEOUT=14s":                                  "BECKON_JOB_TIMEOUT must be between 15s and 30s",
		"BECKON_JOB_TIMEOUT=1m":                                   "BECKON_JOB_TIMEOUT must be between 15s and 30s",
		"BECKON_UNKNOWN_GRACE=-1s":                                "BECKON_UNKNOWN_GRACE must not be negative",
		"BECKON_KEEP_CAMPAIGNS=24h":                               "BECKON_KEEP_CAMPAIGNS must be 0, for ever, or at least 720h",
		"BECKON_SOFT_BOUNCES=0":                                   "BECKON_SOFT_BOUNCES must be between 1 and 100",
		"BECKON_PARALLEL=65":                                      "BECKON_PARALLEL must be between 1 and 64",
		"BECKON_MESSENGER_PER_SECOND=41":                          "BECKON_MESSENGER_PER_SECOND must be above 0 and at most 40",
		"BECKON_MESSENGER_ABOVE_40=hushhush":                      "BECKON_MESSENGER_ABOVE_40 must be true or false",
		"BECKON_SMS_SEGMENTS_PER_SECOND=NaN":                      "BECKON_SMS_SEGMENTS_PER_SECOND must be 0, or a number from 0.01 to 100000",
		"BECKON_EMAILS_PER_SECOND=hushhush":                       "BECKON_EMAILS_PER_SECOND must be a number",
		"BECKON_RELAY_URL=https://user:hushhush@example.com/hook": "BECKON_RELAY_URL must be an http or https URL",
		"META_GRAPH_URL=https://user:hushhush@example.com":        "META_GRAPH_URL must be an http or https URL without query",
		"BECKON_DELETE_WORDS=hushhush,,hushhush":                  "BECKON_DELETE_WORDS must be at most 50 phrases of 1 to 100 characters",
		"BECKON_STOP_WORDS=hushhush,,hushhush":                    "BECKON_STOP_WORDS must be at most 50 phrases of 1 to 100 characters",
		"SMS_HELP_TEXT=" + strings.Repeat("hushhush", 201):        "SMS_HELP_TEXT must have at most 1600 characters",
		"BECKON_KEEP_TEXTS=hushhush":                              "BECKON_KEEP_TEXTS must be true or false",
		"SENDGRID_GROUPS=17,hushhush":                             "SENDGRID_GROUPS must be numbers",
		"SENDGRID_SYNC=hushhush":                                  "SENDGRID_SYNC must be true or false",
		"META_GRAPH_VERSION=25":                                   "META_GRAPH_VERSION must look like v25.0",
		"META_APP_SECRET=hushhush":                                "META_APP_SECRET and META_VERIFY_TOKEN must be set together",
		"TWILIO_ACCOUNT_SID=hushhush":                             "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN must be set together",
		"EMAIL_POSTAL_ADDRESS=" + strings.Repeat("hushhush", 63):  "EMAIL_POSTAL_ADDRESS must be text of at most 500 characters",
		"EMAIL_FOOTER_TEXT=" + strings.Repeat("hushhush", 63):     "EMAIL_FOOTER_TEXT must be text of at most 500 characters",
		"SENDGRID_API_KEY=hushhush":                               "EMAIL_FROM must be an e-mail address",
		"SMTP_CONNECTIONS=hushhush":                               "SMTP_CONNECTIONS must be a whole number",
		"SMTP_BOUNCE_ADDRESS=hushhush":                            "SMTP_BOUNCE_ADDRESS must not be set without SMTP_URL",
		"SMTP_BOUNCE_TOKEN=hushhush":                              "SMTP_BOUNCE_TOKEN must not be set without SMTP_URL",
		"SMTP_DKIM_DOMAIN=hushhush":                               "SMTP_DKIM_DOMAIN must not be set without SMTP_URL",
		"SMTP_DKIM_SELECTOR=hushhush":                             "SMTP_DKIM_SELECTOR must not be set without SMTP_URL",
		"SMTP_DKIM_KEY_FILE=hushhush":                             "SMTP_DKIM_KEY_FILE must not be set without SMTP_URL",
	}
}

func TestAllMistakesAreToldAtOnceAndNoValueIsQuoted(t *testing.T) {
	t.Parallel()
	all := []string{"TWILIO_API_URL=hushhush", "SENDGRID_API_URL=https://example.com/?key=hushhush"}
	for setting := range mistakes() {
		all = append(all, setting)
	}
	for _, args := range [][]string{{"serve"}, {"migrate", "up"}, {"migrate", "status"}, {"import", "people.csv"}, {"keys", "create", "--name", "crm", "--scope", "admin"}} {
		code, out, errOut := told(t, environment(all...), args...)
		require.Equal(t, exitWrong, code, args)
		require.Empty(t, out)
		for _, problem := range mistakes() {
			require.Contains(t, errOut, "\n  - "+problem)
		}
		require.Contains(t, errOut, "\n  - TWILIO_MESSAGING_SERVICE_SID or TWILIO_FROM must be set for SMS")
		require.NotContains(t, errOut, "hushhush")
	}
}

func TestEachMistakeIsToldOnce(t *testing.T) {
	t.Parallel()
	for setting, problem := range mistakes() {
		_, err := readConfig(environment("BECKON_SECRET_KEY="+testSecret, setting, "TWILIO_FROM=+15005550006"))
		var list configError
		require.ErrorAs(t, err, &list, setting)
		of := regexp.MustCompile(`^\w+`).FindString(problem)
		told := 0
		for _, p := range list {
			if regexp.MustCompile(`\b` + of + `\b`).MatchString(p) {
				told++
			}
		}
		require.Equal(t, 1, told, "%s: %v", setting, list)
	}
}

func TestMessengerGoesFasterThanAnInboxShowsOnlyWhenSaidSo(t *testing.T) {
	t.Parallel()
	for pace, allowed := range map[string]bool{"0.5": true, "40": true, "40.1": false, "300": false, "0": false} {
		_, err := readConfig(environment("BECKON_MESSENGER_PER_SECOND=" + pace))
		require.Equal(t, allowed, err == nil, pace)
		_, err = readConfig(environment("BECKON_MESSENGER_PER_SECOND="+pace, "BECKON_MESSENGER_ABOVE_40=true"))
		require.NoError(t, err, pace)
	}
}

func TestChannelsLookAtTheirSettingsBeforeTheStart(t *testing.T) {
	t.Parallel()
	for problem, settings := range map[string][]string{
		"twilio_credentials":      {"TWILIO_ACCOUNT_SID=AC1", "TWILIO_AUTH_TOKEN=with space", "TWILIO_FROM=+15005550006"},
		"sendgrid_key":            {"SENDGRID_API_KEY=with space", "EMAIL_FROM=a@example.com"},
		"sendgrid_webhook_key":    {"SENDGRID_API_KEY=SG.1", "EMAIL_FROM=a@example.com", "SENDGRID_WEBHOOK_KEY=with space"},
		"SMTP_URL must not":       {"SENDGRID_API_KEY=SG.1", "EMAIL_FROM=a@example.com", "SMTP_URL=smtp://user:with space@mx.example.com"},
		"SMTP_CONNECTIONS must":   {"SMTP_URL=smtp://mx.example.com", "EMAIL_FROM=a@example.com", "SMTP_CONNECTIONS=101"},
		"EMAIL_FROM must be":      {"SMTP_URL=smtp://mx.example.com"},
		"smtp_url":                {"SMTP_URL=smtp://user:with space@mx.example.com", "EMAIL_FROM=a@example.com"},
		"smtp_starttls":           {"SMTP_URL=smtp://user:with%20space@mx.example.com?starttls=none", "EMAIL_FROM=a@example.com"},
		"smtp_dkim":               {"SMTP_URL=smtp://mx.example.com", "EMAIL_FROM=a@example.com", "SMTP_DKIM_DOMAIN=with space"},
		"smtp_bounce_address":     {"SMTP_URL=smtp://mx.example.com", "EMAIL_FROM=a@example.com", "SMTP_BOUNCE_ADDRESS=with space"},
		"smtp_bounce_token":       {"SMTP_URL=smtp://mx.example.com", "EMAIL_FROM=a@example.com", "SMTP_BOUNCE_TOKEN=with space"},
		"BECKON_STOP_WITHIN":      {"BECKON_STOP_WITHIN=0s"},
		"BECKON_ROLE must be all": {"BECKON_ROLE=worker"},
		"BECKON_SECRET_KEY must":  {"BECKON_DATABASE_URL=postgres://localhost/x"},
		"BECKON_DATABASE_URL":     {"BECKON_DATABASE_URL=postgres://a:with space@localhost:port/x", "BECKON_SECRET_KEY=" + testSecret},
	} {
		code, _, errOut := told(t, environment(settings...), "serve")
		require.Equal(t, exitWrong, code, problem)
		require.Contains(t, errOut, problem)
		require.NotContains(t, errOut, "with space")
	}
}

// Every setting stands in docs/settings.md with its default, and no other.
func TestSettingsAreDocumented(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../docs/settings.md")
	require.NoError(t, err)
	documented := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z0-9_]+)` \\|(?: `([^`]*)`)? \\| .+ \\|$").FindAllStringSubmatch(string(text), -1) {
		require.NotContains(t, documented, row[1])
		documented[row[1]] = row[2]
	}
	require.Equal(t, variables(reflect.TypeFor[Config]()), documented)
}

// variables are the settings in a struct, with their defaults.
func variables(of reflect.Type) map[string]string {
	out := map[string]string{}
	for i := range of.NumField() {
		f := of.Field(i)
		name, set := f.Tag.Lookup("env")
		if set {
			out[name] = f.Tag.Get("envDefault")
			continue
		}
		for name, value := range variables(f.Type) {
			out[name] = value
		}
	}
	return out
}

func TestSendGridsListsNeedSendGrid(t *testing.T) {
	t.Parallel()
	for _, setting := range []string{"SENDGRID_WRITE_BACK=true", "SENDGRID_GROUPS=17"} {
		_, err := readConfig(environment(setting))
		require.ErrorContains(t, err, "must not be set without SENDGRID_API_KEY")
	}
	c, err := readConfig(environment("SENDGRID_GROUPS=17, 18", "SENDGRID_API_KEY=SG.x", "EMAIL_FROM=a@example.com"))
	require.NoError(t, err)
	require.Equal(t, Sync{Pull: true, Groups: []string{"17", "18"}}, c.Mail.Sync)
}
