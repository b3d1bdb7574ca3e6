package smtp_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"beckon/internal/channel"
	"beckon/internal/channel/smtp"
)

// TestWhatServersSayIsUnderstood has what the large ones say, as they say it.
func TestWhatServersSayIsUnderstood(t *testing.T) {
	t.Parallel()
	gone, refused := channel.Result{Outcome: channel.Gone}, channel.Result{Outcome: channel.Refused}
	soft, stop := channel.Result{Outcome: channel.Refused, Soft: true}, channel.Result{Outcome: channel.StopTheLine}
	slow := channel.Result{Outcome: channel.TryLater, Throttled: true, RetryAfter: time.Minute}
	wait := func(d time.Duration) channel.Result { return channel.Result{Outcome: channel.TryLater, RetryAfter: d} }
	for said, want := range map[string]channel.Result{
		// nobody there
		"RCPT 550 5.1.1 <x@gmail.com> The email account that you tried to reach does not exist. Please try double-checking": gone,
		"RCPT 550 5.5.0 Requested action not taken: mailbox unavailable (S2017062302).":                                     gone,
		"RCPT 550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup":                        gone,
		"RCPT 550 5.4.1 Recipient address rejected: Access denied. [AMS0EPF00000.eurprd05.prod.outlook.com]":                gone,
		"RCPT 550 5.2.1 The email account that you tried to reach is disabled.":                                             gone,
		"RCPT 556 5.1.10 <x@example.org>: Recipient address rejected: Domain example.org does not accept mail (nullMX)":     gone,
		"RCPT 550 5.1.2 <x@exmaple.org>: Recipient address rejected: Domain not found":                                      gone,
		"RCPT 501 5.1.3 Bad recipient address syntax":                                                                       gone,
		"RCPT 550 User unknown":                        gone,
		"RCPT 550 5.0.0 User Unknown":                  gone,
		"RCPT 553 sorry, that domain isn't in my list": gone,
		"DATA 554 delivery error: dd This user doesn't have a yahoo.com account (x@yahoo.com) [0]": gone,
		// not at the moment
		"RCPT 452 4.2.2 The email account that you tried to reach is over quota":              soft,
		"RCPT 552 5.2.2 The email account that you tried to reach is over quota and inactive": soft,
		"RCPT 552 Requested mail action aborted: exceeded storage allocation, mailbox full":   soft,
		"DATA 552 5.2.2 Mailbox full": soft,
		"RCPT 450 4.1.2 <x@exmaple.org>: Recipient address rejected: Domain not found":                                               soft,
		"RCPT 450 4.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages":            wait(15 * time.Minute),
		"RCPT 550 5.2.1 The user you are trying to contact is receiving mail at a rate that prevents additional messages":            soft,
		"RCPT 450 4.2.0 <x@example.org>: Recipient address rejected: Greylisted, see http://postgrey.schweikert.ch/help/example.org": wait(5 * time.Minute),
		"RCPT 451 4.7.1 Greylisting in action, please come back later":                                                               wait(5 * time.Minute),
		"DATA 550 5.4.7 [internal] exceeded maximum time":                                                                            soft,
		"DATA 550 rejected: 5.1.1.7 is on a list":                                                                                    refused,
		"DATA 550 Exim 5.97.1 says no":        refused,
		"RCPT 550 Mailbox is somehow odd":     soft,
		"RCPT 450 Requested action not taken": wait(time.Minute),
		// us
		"MAIL 421 4.7.0 [TSS04] Messages from 192.0.2.1 temporarily deferred due to unexpected volume or user complaints":                slow,
		"DATA 421 4.7.28 Our system has detected an unusual rate of unsolicited mail originating from your IP address":                   slow,
		"RCPT 451 4.7.500 Server busy. Please try again later from [192.0.2.1]. (S77714)":                                                slow,
		"MAIL 452 4.3.1 Insufficient system storage":                                                                                     slow,
		"AUTH 454 4.7.0 Temporary authentication failure":                                                                                slow,
		"DATA 550 5.7.28 There is an unusual rate of unsolicited mail originating from your SPF domain":                                  {Outcome: channel.TryLater, Throttled: true, RetryAfter: time.Hour},
		"AUTH 535 5.7.8 Username and Password not accepted":                                                                              stop,
		"AUTH 534 5.7.9 Application-specific password required":                                                                          stop,
		"MAIL 530 5.7.57 Client not authenticated to send mail":                                                                          stop,
		"MAIL 550 5.1.8 Sender address rejected: Domain not found":                                                                       stop,
		"MAIL 554 5.2.252 SendAsDenied; x@shop.example not allowed to send as":                                                           stop,
		"DATA 554 Message rejected: Email address is not verified.":                                                                      stop,
		"RCPT 554 5.7.1 <x@example.org>: Relay access denied":                                                                            stop,
		"RCPT 550 5.7.54 SMTP; Unable to relay recipient in non-accepted domain":                                                         stop,
		"RCPT 550 5.1.1 unknown user, says relay.example.org":                                                                            gone,
		"DATA 550 5.7.26 This mail has been blocked because the sender is unauthenticated.":                                              stop,
		"DATA 550 5.7.515 Access denied, sending domain SHOP.EXAMPLE doesn't meet the required authentication level.":                    stop,
		"DATA 550 5.7.509 Access denied, sending domain shop.example does not pass DMARC verification and has a DMARC policy of reject.": stop,
		"DATA 421 4.7.27 This email has been rate limited because SPF authentication didn't pass":                                        stop,
		"DATA 421 4.7.30 This email has been rate limited because DKIM authentication didn't pass":                                       stop,
		"MAIL 451 4.7.24 The SPF record of the sending domain could not be looked up":                                                    slow,
		// this message
		"DATA 552 5.3.4 Message size exceeds fixed limit":                          refused,
		"MAIL 552 5.3.4 Message size exceeds fixed maximum message size":           refused,
		"DATA 552 Message too large":                                               refused,
		"DATA 554 5.7.1 Message contains spam or virus":                            refused,
		"DATA 550 5.7.1 Our system has detected that this message is likely spam.": refused,
		"DATA 554 5.6.0 Message cannot be parsed":                                  refused,
		"DATA 554 Transaction failed":                                              refused,
	} {
		var at string
		var code int
		_, err := fmt.Sscanf(said, "%s %d", &at, &code)
		require.NoError(t, err)
		got := smtp.Judge(at, code, said[len("RCPT 550 "):])
		require.NotEmpty(t, got.Detail, said)
		require.Regexp(t, fmt.Sprintf(`^%d(/[245]\.\d+\.\d+)?$`, code), got.Code)
		got.Detail, got.Code = "", ""
		require.Equal(t, want, got, said)
	}
}

// TestNoAnswerIsLeftWithoutAMeaning: whatever a server says, something is done
// about it, a temporary answer never loses anybody for good, and a definite one is
// not asked for again at once.
func TestNoAnswerIsLeftWithoutAMeaning(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		at := rapid.SampledFrom([]string{"AUTH", "MAIL", "RCPT", "DATA"}).Draw(rt, "at")
		code := rapid.IntRange(400, 599).Draw(rt, "code")
		text := rapid.OneOf(rapid.String(), rapid.StringMatching(`[245]\.[0-9]{1,3}\.[0-9]{1,3} [a-z ]*`)).Draw(rt, "text")
		r := smtp.Judge(at, code, text)
		require.NotEmpty(rt, r.Detail)
		require.NotEmpty(rt, r.Code)
		require.NotContains(rt, []channel.Outcome{channel.Accepted, channel.Unknown, channel.OptedOut, channel.TokenDead}, r.Outcome)
		require.False(rt, r.Soft && r.Outcome != channel.Refused)
		require.False(rt, r.Throttled && r.Outcome != channel.TryLater)
		if code < 500 {
			require.NotEqual(rt, channel.Gone, r.Outcome)
		}
		if r.Outcome == channel.TryLater {
			require.GreaterOrEqual(rt, r.RetryAfter, time.Minute)
		}
	})
}
