// Package channeltest is what every channel must pass: the promises of
// channel.Sender and channel.Receiver, tried against a local server that
// answers, stalls, hangs up and refuses as providers do.
package channeltest

import (
	"net/http"
	"testing"
	"time"

	"beckon/internal/channel"
)

// Answer is one recorded answer of a provider and what must come of it.
type Answer struct {
	Name       string
	Batch      *channel.Batch // what is sent; nil takes one message of Suite.Batch
	Status     int
	Header     map[string]string
	Body       string
	Want       channel.Outcome
	Code       string        // expected Result.Code
	ProviderID string        // expected Result.ProviderID
	RetryAfter time.Duration // expected, give or take a twentieth
	Throttled  bool          // expected Result.Throttled
	Load       int           // expected Result.Load
}

// Suite describes a channel to Run. Every field is needed but Serve.
type Suite struct {
	Kind channel.Kind
	// New makes a sender that calls the server at url.
	New func(tb testing.TB, url string) channel.Sender
	// Serve starts a server of the channel's own protocol, which has h answer each
	// message: the body is the message, and what h answers goes back as the code
	// and text of that protocol. It returns the server's address, which New
	// takes. nil serves HTTP, where New is also tried with redirects.
	Serve func(tb testing.TB, h http.Handler) string
	// Batch makes n good messages whose deliveries are numbered from 1, each
	// with a mark of its own.
	Batch func(n int) channel.Batch
	// Accept answers like a provider that takes everything.
	Accept http.Handler
	// AcceptBut takes everything except the one delivery.
	AcceptBut func(delivery int64) http.Handler
	Answers   []Answer
	// Secrets must never be seen in a result or an error, besides the
	// addresses, tokens and texts of the batches themselves.
	Secrets []string

	Receiver channel.Receiver
	Genuine  channel.Callback // carries a good signature
	// SignatureHeader is where Genuine has it.
	SignatureHeader string
}

// Run tries all of it, each promise as a parallel subtest.
func Run(t *testing.T, s Suite) {
	t.Helper()
	for name, promise := range map[string]func(*testing.T, Suite){
		"tells its kind and its largest batch":          tellsKind,
		"gives one result per message in order":         keepsOrder,
		"sends nothing for an empty batch":              takesEmpty,
		"is safe for many goroutines":                   isConcurrent,
		"cancelled before the call is try later":        cancelledIsTryLater,
		"halted before the call is try later":           haltedIsTryLater,
		"waits for the turn of each message":            waitsForTurns,
		"a turn refused ends the batch":                 refusedTurnEnds,
		"a turn that outlasts the context ends it":      cancelledInTurn,
		"halted while it waits is try later":            haltedInTurn,
		"who refused meanwhile is left out":             leavesOutTheSilent,
		"cancelled after writing is unknown":            cancelledLateIsUnknown,
		"deadline after writing is unknown":             lostByDeadlineIsUnknown,
		"refused connection is try later":               refusedConnectionIsTryLater,
		"answer lost after writing is unknown":          lostAnswerIsUnknown,
		"follows no redirect":                           followsNoRedirect,
		"maps every recorded answer":                    mapsAnswers,
		"takes a genuine callback":                      takesGenuine,
		"refuses a callback with one byte changed":      refusesChangedBody,
		"refuses a missing or wrong signature":          refusesWrongSignature,
		"reads events without failing on foreign bytes": survivesForeignBytes,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			promise(t, s)
		})
	}
}
