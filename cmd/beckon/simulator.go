package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"beckon/internal/simulator"
)

// standIn says which credentials the simulator takes; they are worth nothing
// anywhere else.
type standIn struct {
	addr, callback string
	pages          []string
	config         simulator.Config
	readShare      float64
	lean           bool
}

const (
	simulatorApp   = "100000000000001"
	simulatorSID   = "AC00000000000000000000000000000001"
	simulatorPage  = "104829305581"
	simulatorFrom  = "+15005550006"
	simulatorEmail = "Northern Courses <hello@example.com>"
)

func simulatorCommand() *cobra.Command {
	s := standIn{}
	cmd := &cobra.Command{Use: "simulator", Short: "Stand in for Messenger, Twilio and SendGrid on this machine", Args: exactly(),
		Long: "Stand in for Messenger, Twilio and SendGrid on this machine.\n\n" +
			"The settings that point Beckon at it are printed first, as shell commands. GET /counts on it tells what it has seen,\n" +
			"GET /inbox?page=&psid=, ?number= or ?email= what somebody received, and POST /phone lets somebody act, by\n" +
			`{"do": "say", "page": "` + simulatorPage + `", "psid": "7001", "text": "Hi"}` + " or another of say, quick_reply and button (with\n" +
			"the payload), get_started and open (with a ref), notify_me, get_updates, stop_updates, resume_updates, react, read,\n" +
			"block, unblock, text (an SMS, with from) and unsubscribe.",
		Example: "  beckon simulator > stand-ins.env &\n  set -a; . ./stand-ins.env; set +a; beckon serve",
		RunE:    func(cmd *cobra.Command, _ []string) error { return s.serve(cmd.Context(), cmd.OutOrStdout()) }}
	f := cmd.Flags()
	f.StringVar(&s.addr, "addr", "127.0.0.1:8090", "address to listen on; port 0 picks a free one")
	f.StringVar(&s.callback, "callback-url", "http://127.0.0.1:8080", "where Beckon is; empty for no callbacks")
	f.StringSliceVar(&s.pages, "page", []string{simulatorPage + "=page-token"}, "a Page, as id=access token; may be given many times")
	f.StringVar(&s.config.AppID, "app-id", simulatorApp, "id of the Facebook app")
	f.StringVar(&s.config.AppSecret, "app-secret", "simulated-app-secret", "secret of the Facebook app")
	f.StringVar(&s.config.VerifyToken, "verify-token", "simulated-verify-token", "what Meta's check of the webhook carries")
	f.StringVar(&s.config.TwilioAccountSID, "twilio-sid", simulatorSID, "Twilio account")
	f.StringVar(&s.config.TwilioAuthToken, "twilio-token", "simulatedtwiliotoken", "its auth token")
	f.StringVar(&s.config.SendGridKey, "sendgrid-key", "SG.simulated", "SendGrid API key")
	f.Float64Var(&s.readShare, "read-share", 0.6, "share of Messenger messages that are read, from 0 to 1")
	f.IntVar(&s.config.Receipts.Retries, "callback-retries", 0, "how often a callback that is not taken is tried again; 0 is what each provider does")
	f.Uint64Var(&s.config.Seed, "seed", 0, "of the faults, so that they strike alike again")
	f.BoolVar(&s.lean, "lean", false, "keep counts but no messages, for measurements")
	return cmd
}

func (s *standIn) serve(ctx context.Context, out io.Writer) error {
	s.config.Pages = map[string]string{}
	for _, p := range s.pages {
		id, token, ok := strings.Cut(p, "=")
		if !ok || id == "" || token == "" {
			return usageError{fmt.Errorf("--page wants id=token")}
		}
		s.config.Pages[id] = token
	}
	s.config.CallbackURL, s.config.Lean, s.config.Receipts.ReadShare = s.callback, s.lean, s.readShare
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.addr)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", s.addr, err)
	}
	sim := simulator.New(s.config)
	for _, line := range standInSettings(sim, s.config, "http://"+l.Addr().String()) {
		fmt.Fprintf(out, "export %s\n", shellQuoted(line))
	}
	fmt.Fprintf(out, "# stand-ins serve on http://%s since %s\n", l.Addr(), time.Now().UTC().Format(time.RFC3339))
	return sim.Serve(ctx, l)
}

// standInSettings are the settings that point Beckon at a simulator.
func standInSettings(sim *simulator.Simulator, c simulator.Config, base string) []string {
	return []string{
		"META_GRAPH_URL=" + base + "/graph",
		"META_APP_ID=" + c.AppID,
		"META_APP_SECRET=" + c.AppSecret,
		"META_VERIFY_TOKEN=" + c.VerifyToken,
		"TWILIO_API_URL=" + base + "/twilio",
		"TWILIO_ACCOUNT_SID=" + c.TwilioAccountSID,
		"TWILIO_AUTH_TOKEN=" + c.TwilioAuthToken,
		"TWILIO_FROM=" + simulatorFrom,
		"SENDGRID_API_URL=" + base + "/sendgrid",
		"SENDGRID_API_KEY=" + c.SendGridKey,
		"SENDGRID_WEBHOOK_KEY=" + sim.SendGridPublicKey(),
		"EMAIL_FROM=" + simulatorEmail,
		"BECKON_MESSENGER_PER_SECOND=0", // nobody real has an inbox or a phone to fill
		"BECKON_MESSENGER_ABOVE_40=true",
		"BECKON_SMS_SEGMENTS_PER_SECOND=0",
		"EMAIL_POSTAL_ADDRESS=Northern Courses, 1 Example Street, Leeds LS1 1AA",
	}
}

// shellQuoted quotes the value of a NAME=value for a shell.
func shellQuoted(setting string) string {
	name, value, _ := strings.Cut(setting, "=")
	return name + "='" + strings.ReplaceAll(value, "'", `'\''`) + "'"
}
