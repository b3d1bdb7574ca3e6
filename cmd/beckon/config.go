package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net/mail"
	"net/url"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
	"github.com/jackc/pgx/v5/pgxpool"

	"beckon/internal/seal"
)

// Config is everything that can be set, read from the environment once.
type Config struct {
	Addr         string        `env:"BECKON_ADDR" envDefault:"127.0.0.1:8080"`
	Role         Role          `env:"BECKON_ROLE" envDefault:"all"`
	PublicURL    string        `env:"BECKON_PUBLIC_URL"`
	DatabaseURL  string        `env:"BECKON_DATABASE_URL"`
	Pooler       string        `env:"BECKON_DATABASE_POOLER"`
	DataDir      string        `env:"BECKON_DATA_DIR" envDefault:"./data"`
	SecretKey    string        `env:"BECKON_SECRET_KEY"`
	BootstrapKey string        `env:"BECKON_BOOTSTRAP_KEY"`
	LogLevel     slog.Level    `env:"BECKON_LOG_LEVEL" envDefault:"info"`
	LogFormat    string        `env:"BECKON_LOG_FORMAT" envDefault:"text"`
	Region       string        `env:"BECKON_DEFAULT_REGION"`
	AskAgain     time.Duration `env:"BECKON_ASK_AGAIN_AFTER" envDefault:"168h"`
	TokenNotice  time.Duration `env:"BECKON_TOKEN_NOTICE" envDefault:"720h"`
	StopWithin   time.Duration `env:"BECKON_STOP_WITHIN" envDefault:"30s"`
	MaxImport    int64         `env:"BECKON_MAX_IMPORT_BYTES" envDefault:"1073741824"`
	Keep         time.Duration `env:"BECKON_KEEP_CAMPAIGNS" envDefault:"0"`
	Parallel     int           `env:"BECKON_PARALLEL" envDefault:"4"`
	UnknownGrace time.Duration `env:"BECKON_UNKNOWN_GRACE" envDefault:"24h"`
	JobTimeout   time.Duration `env:"BECKON_JOB_TIMEOUT" envDefault:"30s"`
	KeepBodies   bool          `env:"BECKON_KEEP_CALLBACKS" envDefault:"false"`
	KeepTexts    bool          `env:"BECKON_KEEP_TEXTS" envDefault:"false"`
	RelayURL     string        `env:"BECKON_RELAY_URL"`
	DeleteWords  []string      `env:"BECKON_DELETE_WORDS"`
	SoftBounces  int           `env:"BECKON_SOFT_BOUNCES" envDefault:"3"`

	MessengerPace    float64 `env:"BECKON_MESSENGER_PER_SECOND" envDefault:"15"`
	MessengerAbove40 bool    `env:"BECKON_MESSENGER_ABOVE_40" envDefault:"false"`
	SMSPace          float64 `env:"BECKON_SMS_SEGMENTS_PER_SECOND" envDefault:"1"`
	EmailPace        float64 `env:"BECKON_EMAILS_PER_SECOND" envDefault:"0"`

	Meta   Meta
	Twilio Twilio
	Mail   Mail
}

// Role is what a node does.
type Role string

// The roles of a node.
const (
	RoleAll    Role = "all"    // serves and works
	RoleAPI    Role = "api"    // serves HTTP and enqueues jobs, and works none
	RoleWorker Role = "worker" // works jobs, and serves only its health
)

func (r Role) serves() bool { return r != RoleWorker }
func (r Role) works() bool  { return r != RoleAPI }

// Meta is the Facebook app. Messenger is absent without its secret.
type Meta struct {
	GraphURL     string `env:"META_GRAPH_URL" envDefault:"https://graph.facebook.com"`
	GraphVersion string `env:"META_GRAPH_VERSION" envDefault:"v25.0"`
	AppID        string `env:"META_APP_ID"`
	AppSecret    string `env:"META_APP_SECRET"`
	VerifyToken  string `env:"META_VERIFY_TOKEN"`
}

// Twilio is the SMS account. SMS is absent without its SID.
type Twilio struct {
	URL              string `env:"TWILIO_API_URL" envDefault:"https://api.twilio.com"`
	AccountSID       string `env:"TWILIO_ACCOUNT_SID"`
	AuthToken        string `env:"TWILIO_AUTH_TOKEN"`
	MessagingService string `env:"TWILIO_MESSAGING_SERVICE_SID"`
	From             string `env:"TWILIO_FROM"`

	StopWords []string `env:"BECKON_STOP_WORDS"`
	HelpText  string   `env:"SMS_HELP_TEXT"`
}

// Mail is the e-mail account. E-mail is absent without SendGrid's key or the URL of
// an SMTP server.
type Mail struct {
	URL        string `env:"SENDGRID_API_URL" envDefault:"https://api.sendgrid.com"`
	Key        string `env:"SENDGRID_API_KEY"`
	WebhookKey string `env:"SENDGRID_WEBHOOK_KEY"`
	From       string `env:"EMAIL_FROM"`
	Postal     string `env:"EMAIL_POSTAL_ADDRESS"`
	Footer     string `env:"EMAIL_FOOTER_TEXT"`
	SMTP       SMTP
	Sync       Sync
}

// readConfig reads the environment. All mistakes come back together, each
// naming its variable and none quoting a value.
func readConfig(getenv func() []string) (Config, error) {
	var c Config
	err := env.ParseWithOptions(&c, env.Options{Environment: env.ToMap(getenv())})
	problems, unread := parseProblems(err)
	for _, check := range []func(*Config) []string{checkServer, checkPace, checkMeta, checkTwilio, checkMail, checkFooter, checkSync} {
		for _, p := range check(&c) {
			if name, _, _ := strings.Cut(p, " "); !unread[name] {
				problems = append(problems, p)
			}
		}
	}
	if len(problems) == 0 {
		return c, nil
	}
	return c, configError(problems)
}

// configError lists mistakes in the settings.
type configError []string

func (e configError) Error() string {
	return "the settings have mistakes:\n  - " + strings.Join(e, "\n  - ")
}

// parseProblems words what could not be read, and names the variables.
func parseProblems(err error) (problems []string, unread map[string]bool) {
	unread = map[string]bool{}
	var all env.AggregateError
	if !errors.As(err, &all) {
		return nil, unread
	}
	for _, e := range all.Errors {
		var p env.ParseError
		if errors.As(e, &p) {
			name := variableOf(p.Name)
			unread[name] = true
			problems = append(problems, name+" must be "+wanted(p.Type))
		}
	}
	return problems, unread
}

func wanted(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[slog.Level]():
		return "debug, info, warn or error"
	case reflect.TypeFor[time.Duration]():
		return "a duration, for example 30s"
	case reflect.TypeFor[float64]():
		return "a number"
	case reflect.TypeFor[bool]():
		return "true or false"
	}
	return "a whole number"
}

// variableOf finds the environment variable behind a field of Config.
func variableOf(field string) string { return variableIn(reflect.TypeFor[Config](), field) }

func variableIn(of reflect.Type, field string) string {
	for f := range of.Fields() {
		if name, set := f.Tag.Lookup("env"); set && f.Name == field {
			return name
		}
	}
	for f := range of.Fields() {
		if f.Tag.Get("env") == "" && f.Type.Kind() == reflect.Struct {
			if name := variableIn(f.Type, field); name != field {
				return name
			}
		}
	}
	return field
}

func checkServer(c *Config) []string {
	if c.PublicURL == "" {
		c.PublicURL = "http://" + c.Addr
	}
	out := slices.Concat(checkURL("BECKON_PUBLIC_URL", &c.PublicURL), checkKeys(c), checkRole(c), checkWork(c))
	if _, err := pgxpool.ParseConfig(c.DatabaseURL); err != nil || (c.DatabaseURL != "" && !isPostgres(c.DatabaseURL)) {
		out = append(out, "BECKON_DATABASE_URL must be a URL that starts with postgres://") // the error may quote the password
	}
	if c.Pooler != "" && c.Pooler != poolerTransaction {
		out = append(out, "BECKON_DATABASE_POOLER must be transaction, or left out")
	}
	out = append(append(out, checkRelay(c.RelayURL)...), checkDeleteWords(c)...)
	if c.LogFormat != "text" && c.LogFormat != "json" {
		out = append(out, "BECKON_LOG_FORMAT must be text or json")
	}
	if c.Region != "" && !regexp.MustCompile(`^[A-Z]{2}$`).MatchString(c.Region) {
		out = append(out, "BECKON_DEFAULT_REGION must be a country code of two capital letters, for example GB")
	}
	if c.AskAgain < 0 {
		out = append(out, "BECKON_ASK_AGAIN_AFTER must not be negative")
	}
	if c.TokenNotice < 0 || c.TokenNotice > yearOfToken {
		out = append(out, "BECKON_TOKEN_NOTICE must be between 0, for never, and 8760h")
	}
	return out
}

// yearOfToken is how long a token lasts.
const yearOfToken = 365 * 24 * time.Hour

func checkWork(c *Config) (out []string) {
	if c.UnknownGrace < 0 {
		out = append(out, "BECKON_UNKNOWN_GRACE must not be negative")
	}
	if c.StopWithin <= 0 {
		out = append(out, "BECKON_STOP_WITHIN must be above zero")
	}
	if c.MaxImport <= 0 {
		out = append(out, "BECKON_MAX_IMPORT_BYTES must be above zero")
	}
	if c.JobTimeout < 15*time.Second || c.JobTimeout > 30*time.Second {
		out = append(out, "BECKON_JOB_TIMEOUT must be between 15s and 30s")
	}
	if c.Keep != 0 && c.Keep < leastKeep {
		out = append(out, "BECKON_KEEP_CAMPAIGNS must be 0, for ever, or at least 720h: links to unsubscribe must work as long")
	}
	if c.SoftBounces < 1 || c.SoftBounces > 100 {
		out = append(out, "BECKON_SOFT_BOUNCES must be between 1 and 100")
	}
	if c.Parallel < 1 || c.Parallel > 64 {
		out = append(out, "BECKON_PARALLEL must be between 1 and 64")
	}
	return out
}

// poolerTransaction is PgBouncer's mode that gives each transaction another
// server connection.
const poolerTransaction = "transaction"

func checkRole(c *Config) []string {
	switch {
	case !slices.Contains([]Role{RoleAll, RoleAPI, RoleWorker}, c.Role):
		return []string{"BECKON_ROLE must be api, worker or all"}
	case c.Role != RoleAll && c.DatabaseURL == "":
		return []string{"BECKON_ROLE must be all with the embedded database, which one node has for itself"}
	}
	return nil
}

// leastKeep is how long the links to unsubscribe in an e-mail must work.
const leastKeep = 30 * 24 * time.Hour

// inboxEnds is from where on, in messages a second, a Page's inbox does not show
// all any more.
const inboxEnds = 40

func checkPace(c *Config) (out []string) {
	if (c.MessengerPace == 0 || c.MessengerPace > inboxEnds) && !c.MessengerAbove40 {
		out = append(out, fmt.Sprintf("BECKON_MESSENGER_PER_SECOND must be above 0 and at most %d: beyond that the page's inbox does not show all messages. To have it so, set BECKON_MESSENGER_ABOVE_40=true", inboxEnds))
	}
	for _, p := range []struct {
		name string
		pace float64
	}{
		{"BECKON_MESSENGER_PER_SECOND", c.MessengerPace}, {"BECKON_SMS_SEGMENTS_PER_SECOND", c.SMSPace}, {"BECKON_EMAILS_PER_SECOND", c.EmailPace},
	} {
		if p.pace != 0 && !(p.pace >= slowest && p.pace <= fastest) { // NaN is neither
			out = append(out, fmt.Sprintf("%s must be 0, or a number from %g to %g", p.name, slowest, float64(fastest)))
		}
	}
	return out
}

// What a pace may be, in units a second.
const (
	slowest = 0.01
	fastest = 100_000
)

func isPostgres(address string) bool {
	return strings.HasPrefix(address, "postgres://") || strings.HasPrefix(address, "postgresql://")
}

func checkKeys(c *Config) (out []string) {
	if c.DatabaseURL != "" && c.SecretKey == "" {
		out = append(out, "BECKON_SECRET_KEY must be set when BECKON_DATABASE_URL is: every node needs the same one (make one with: openssl rand -base64 32)")
	}
	if c.SecretKey != "" && len(c.SecretKey) < seal.MinSecret {
		out = append(out, fmt.Sprintf("BECKON_SECRET_KEY must have at least %d characters", seal.MinSecret))
	}
	if c.BootstrapKey != "" && (!strings.HasPrefix(c.BootstrapKey, "bk_") || len(c.BootstrapKey) < 35) {
		out = append(out, "BECKON_BOOTSTRAP_KEY must start with bk_ and have at least 32 characters after it")
	}
	return out
}

func checkMeta(c *Config) []string {
	out := checkURL("META_GRAPH_URL", &c.Meta.GraphURL)
	if !regexp.MustCompile(`^v\d+\.\d+$`).MatchString(c.Meta.GraphVersion) {
		out = append(out, "META_GRAPH_VERSION must look like v25.0")
	}
	if (c.Meta.AppSecret == "") != (c.Meta.VerifyToken == "") {
		out = append(out, "META_APP_SECRET and META_VERIFY_TOKEN must be set together")
	}
	return orTry(c, out, openMessenger)
}

func checkTwilio(c *Config) []string {
	t, out := c.Twilio, checkURL("TWILIO_API_URL", &c.Twilio.URL)
	if (t.AccountSID == "") != (t.AuthToken == "") {
		out = append(out, "TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN must be set together")
	}
	if t.AccountSID != "" && t.MessagingService == "" && t.From == "" {
		out = append(out, "TWILIO_MESSAGING_SERVICE_SID or TWILIO_FROM must be set for SMS")
	}
	return orTry(c, append(out, checkTexts(c)...), openSMS)
}

func checkMail(c *Config) []string {
	m, out := c.Mail, checkURL("SENDGRID_API_URL", &c.Mail.URL)
	out = append(out, checkSMTP(m)...)
	if m.Key == "" && m.SMTP.URL == "" {
		return out
	}
	if _, err := mail.ParseAddress(m.From); err != nil {
		out = append(out, "EMAIL_FROM must be an e-mail address, alone or as Name <address>")
	}
	return orTry(c, out, openEmail)
}

// orTry lets a channel itself look at its settings, where nothing is wrong with
// them so far.
func orTry(c *Config, problems []string, open func(Config, *channels) error) []string {
	none := newChannels()
	if err := open(*c, &none); err != nil && len(problems) == 0 {
		return []string{err.Error()}
	}
	return problems
}

// checkRelay allows a query, in which other programs may expect a secret.
func checkRelay(address string) []string {
	u, err := url.Parse(address)
	if address != "" && (err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || u.Fragment != "") {
		return []string{"BECKON_RELAY_URL must be an http or https URL, without a user in it"}
	}
	return nil
}

func checkURL(name string, at *string) []string {
	u, err := url.Parse(*at)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.User != nil {
		return []string{name + " must be an http or https URL without query"}
	}
	*at = strings.TrimRight(*at, "/")
	return nil
}
