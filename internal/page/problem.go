package page

import (
	"fmt"
	"strings"
	"time"

	"beckon/internal/channel"
)

// Problem is something about a Page that keeps it from working well, with what to
// do about it.
type Problem struct {
	Code   string // stable, for programs
	Detail string // for people
	Must   bool   // something must be done; else it is good to know
}

const (
	endsSoon   = 7 * 24 * time.Hour  // before its end an access token is told of
	warnedLong = 30 * 24 * time.Hour // after it a warning is told of
	loadHigh   = 80                  // percent, from which sending slows down
)

// Problems returns what is wrong with a Page at a moment, the worst first.
func (p Page) Problems(now time.Time) []Problem {
	var out []Problem
	add := func(is bool, code string, must bool, detail string, args ...any) {
		if is {
			out = append(out, Problem{Code: code, Detail: fmt.Sprintf(detail, args...), Must: must})
		}
	}
	h := p.Health
	add(p.TokenHealth == TokenRefused, "token_refused", true,
		"Graph refuses the access token, so sending is stopped. Make a new one and store it with PATCH /v1/pages/{id}.")
	add(h.Blocked(), "blocked", true, "Meta blocks the Page from sending%s. See the Page's support inbox (Page quality) for how to appeal.", because(h.PolicyReason))
	add(h.TokenTrouble == OtherPage, "token_of_other_page", true, "The access token belongs to another Page. Store one that was made for this Page.")
	add(h.TokenTrouble == OtherApp, "token_of_other_app", true,
		"The access token was made for another app than META_APP_ID: Meta will not send this app's webhooks for it. Make one with your own app.")
	add(soon(h.TokenExpiresAt, now), "token_expires", true,
		"The access token ends at %s. Make one from a long-lived user token: such a Page token has no end.", stamp(h.TokenExpiresAt))
	add(soon(h.DataAccessEndsAt, now), "data_access_ends", true,
		"The app's access to people's data ends at %s. Somebody who manages the Page logs in to the app again.", stamp(h.DataAccessEndsAt))
	add(h.ScopesMissing != "", "scopes_missing", true, "The access token lacks permissions: %s. Make a new one that has them.", spaced(h.ScopesMissing))
	return append(out, p.deaf(now)...)
}

// deaf are the problems with what comes in, and those that only need watching.
func (p Page) deaf(now time.Time) []Problem {
	var out []Problem
	add := func(is bool, code string, must bool, detail string, args ...any) {
		if is {
			out = append(out, Problem{Code: code, Detail: fmt.Sprintf(detail, args...), Must: must})
		}
	}
	h := p.Health
	needed := lacking(NeededFields(), h.FieldsMissing.List())
	add(len(needed) > 0, "fields_missing", true,
		"Meta does not send these webhook fields: %s. Subscribe the Page to the app, with the permission pages_manage_metadata.", strings.Join(needed, ", "))
	add(len(needed) == 0 && h.FieldsMissing != "", "fields_missing_useful", false,
		"Meta does not send these webhook fields, which is good to have: %s. They may need a permission of their own.", spaced(h.FieldsMissing))
	add(h.GetStarted == GetStartedMissing, "get_started_missing", true,
		"The Page has no Get Started button, so new people who follow a personal link are not recognised. Set one in the Messenger profile.")
	add(h.QuietSince != nil, "quiet", true,
		"Meta has sent no event of this Page for %d hours or more. See that the webhook address answers, that the app is Live, and that the Page is subscribed.", p.QuietHours)
	add(h.CheckCode != "", "check_failed", true, "The last check could not be done: %s", hindrance(h.CheckCode))
	warned := h.Policy == channel.StatusWarning && h.PolicyAt != nil && now.Sub(*h.PolicyAt) < warnedLong
	add(warned, "policy_warning", false, "Meta warned the Page%s. A block may follow.", because(h.PolicyReason))
	add(h.Load >= loadHigh, "usage_high", false, "%d percent of Graph's limits are used up, so sending is slowed down.", h.Load)
	return out
}

// hindrance says what a check met, and what is behind it as a rule.
func hindrance(code string) string {
	switch code {
	case NoAnswer:
		return "Graph did not answer. See that this machine reaches META_GRAPH_URL; it is tried again within the hour."
	case "100":
		return "Graph answered 100. As a rule META_APP_SECRET is not that of the app which the access token was made with."
	}
	return "Graph answered " + code + ". It is tried again within the hour."
}

// NeededFields are the webhook fields that Beckon cannot do without; UsefulFields
// are those that it acts on besides (Messenger Platform, webhook fields of a
// Page).
func NeededFields() []string {
	return []string{"messages", "messaging_postbacks", "messaging_optins", "messaging_referrals", "message_deliveries", "message_reads", "message_echoes"}
}

// UsefulFields go with NeededFields.
func UsefulFields() []string {
	return []string{"message_reactions", "messaging_policy_enforcement", "standby", "messaging_handovers", "message_template_status_update"}
}

// NeededScopes are the permissions that an access token must come with.
func NeededScopes() []string { return []string{"pages_messaging", "pages_manage_metadata"} }

// lacking are those of want that are among missing.
func lacking(want, missing []string) (out []string) {
	for _, w := range want {
		for _, m := range missing {
			if w == m {
				out = append(out, w)
			}
		}
	}
	return out
}

func soon(at *time.Time, now time.Time) bool { return at != nil && at.Sub(now) < endsSoon }

func stamp(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.RFC3339)
}

func spaced(n Names) string { return strings.Join(n.List(), ", ") }

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return " (" + reason + ")"
}
