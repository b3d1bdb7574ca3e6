// Package channel holds the words of reaching people and the contract that
// every way of sending keeps: Messenger, SMS and e-mail stand below it, one
// folder each.
package channel

import (
	"context"
	"time"
)

// Kind is a channel: one kind of address.
type Kind string

// The channels.
const (
	Messenger Kind = "messenger"
	SMS       Kind = "sms"
	Email     Kind = "email"
)

// Lane is one way to carry a message.
type Lane string

// The lanes. The first four are Messenger.
const (
	Window    Lane = "window"
	OneTime   Lane = "one_time"
	Utility   Lane = "utility"
	Recurring Lane = "recurring"
	LaneSMS   Lane = "sms"
	LaneEmail Lane = "email"
)

// Lanes returns every lane in the default order of preference.
func Lanes() []Lane {
	return []Lane{Window, OneTime, Utility, Recurring, LaneSMS, LaneEmail}
}

// Valid reports whether l is one of the known lanes.
func (l Lane) Valid() bool { return l.Kind() != "" }

// Kind returns the channel that carries the lane, or "" for an unknown lane.
func (l Lane) Kind() Kind {
	switch l {
	case Window, OneTime, Utility, Recurring:
		return Messenger
	case LaneSMS:
		return SMS
	case LaneEmail:
		return Email
	}
	return ""
}

// Page is the Facebook Page on whose behalf a Messenger batch is sent.
type Page struct {
	GraphID     string
	Name        string
	AccessToken string
}

// Mail is what all e-mails of one batch share: texts with holes. A hole is
// written as its marker, and each message fills them in the same order.
type Mail struct {
	Subject, HTML, Text string
	Holes               []string // markers as they stand in the texts, for example "%%b0h%%"
}

// Message is one message to one person.
type Message struct {
	Delivery    int64     // our number for it; leaves us only in the signed callback URL of an SMS
	Mark        string    // our name for it at the provider, comes back in Event.Mark; opaque: only this installation can read it
	To          string    // PSID, E.164 number or e-mail address
	Token       string    // one-time token, sent to instead of To; Messenger only
	Body        []byte    // Messenger: the "message" object as JSON; SMS: the text, UTF-8
	Fill        []string  // e-mail: one value per hole of Batch.Mail
	Quiet       string    // Messenger: Meta's notification_type; "" arrives as usual
	Unsubscribe string    // e-mail: one-click unsubscribe URL, may be empty
	ValidUntil  time.Time // SMS: the provider must give up by then; zero leaves its default
}

// Batch is a number of messages on one lane, sent on behalf of one sender.
type Batch struct {
	Lane     Lane
	Page     Page   // Messenger only
	Mail     Mail   // e-mail only
	Campaign string // e-mail: our name for the campaign, for the provider's statistics; may be empty
	Messages []Message
	Answer   bool // Messenger: it answers what the person did just now, on the lane Window
	// Halted, when set, is asked before each call: once it says yes, nothing new
	// is handed over and the rest comes back as TryLater. Calls under way end.
	Halted func() bool
	// Silenced, when set, is asked about message i right before it is handed over.
	// Yes means that the person must not be written to any more, having refused in
	// the meantime, say: the message is left out and comes back as LeftOut.
	Silenced func(i int) bool
	// Turn, when set, is asked before message i of Messages is handed over, in
	// the order of the messages and never by two goroutines at once: it blocks
	// until that message's turn has come, so the order of asking is the pace. No
	// ends the batch: this message and those after it come back as TryLater,
	// nothing of them written. A sender that takes many messages in one call asks
	// once for it, with its first message; a call made again for some of them
	// asks again.
	Turn func(ctx context.Context, i int) bool
}

// MayGo reports whether another call may be begun.
func (b *Batch) MayGo() bool { return b.Halted == nil || !b.Halted() }

// Await waits for the turn of message i, and reports whether its call may be
// begun. Every sender asks it before each call.
func (b *Batch) Await(ctx context.Context, i int) bool {
	if !b.MayGo() || ctx.Err() != nil {
		return false
	}
	return b.Turn == nil || b.Turn(ctx, i) && b.MayGo() && ctx.Err() == nil
}

// Silent reports whether message i must not be handed over after all. Every
// sender asks it last before each call.
func (b *Batch) Silent(i int) bool { return b.Silenced != nil && b.Silenced(i) }

// LeftOut is what came of a message to a person who was not to be written to any
// more after the batch was made.
func LeftOut() Result {
	return Result{Outcome: TryLater, Unwanted: true, Detail: "not sent: the person must not be written to any more"}
}

// Outcome says what to do next after a try. It is a closed set.
type Outcome string

// The outcomes of a send.
const (
	Accepted    Outcome = "accepted"      // the provider took it and gave an id
	TryLater    Outcome = "try_later"     // definitely not taken: throttled, refused connection, cancelled before writing
	Refused     Outcome = "refused"       // content or policy: another lane may work
	Gone        Outcome = "gone"          // the address does not work: blocked, unknown, landline, hard bounce
	OptedOut    Outcome = "opted_out"     // the provider knows of an opt-out
	TokenDead   Outcome = "token_dead"    // token used, expired or invalid, or the window is closed
	StopTheLine Outcome = "stop_the_line" // the sender is the problem: credentials, restricted Page, unregistered number
	Unknown     Outcome = "unknown"       // it may or may not have been taken: never send again by itself
)

// Outcomes returns the closed set.
func Outcomes() []Outcome {
	return []Outcome{Accepted, TryLater, Refused, Gone, OptedOut, TokenDead, StopTheLine, Unknown}
}

// Result is what came of one message.
type Result struct {
	Outcome     Outcome
	ProviderID  string        // the provider's id, when accepted
	Code        string        // the provider's code, for example "10/2018278" or "21610"; "" when it gave none
	Detail      string        // for people; no address, token, text or secret in it
	RetryAfter  time.Duration // with TryLater: not before this long from now; 0 when not said
	Throttled   bool          // with TryLater: the sender is to slow down, not just this message
	Unreached   bool          // with TryLater: there was no connection to the provider
	Elsewhere   bool          // with TryLater: another app holds the person's thread
	Soft        bool          // with Refused: the address did not work this time, which is counted
	Unwanted    bool          // with TryLater: the person refused in the meantime, so somebody decides again at once
	Refusal     string        // with OptedOut: ByStop, ByUnsubscribe or ByComplaint, where it is known
	Countrywide bool          // with Refused: it holds for every number of that country
	Filtered    bool          // with Refused: taken for unwanted mail by the carriers, as others of its kind may be
	Tries       int           // with TryLater, of a message that had been taken: so many in all, then it is Refused; 0 is no limit
	Load        int           // percent of the provider's limit that is used up, with any outcome; 0 when not said
}

// Sender hands messages to a provider. Implementations are safe for use by
// many goroutines.
type Sender interface {
	// Kind is the channel this sender serves.
	Kind() Kind
	// MaxBatch is the largest number of messages Send takes at once.
	MaxBatch() int
	// Send returns one result per message, in order. Provider faults are
	// results, not errors. When ctx ends, messages that were not yet written
	// come back as TryLater, and those that were as Unknown.
	Send(ctx context.Context, b Batch) []Result
}

// EventKind names what an inbound callback tells about a person or a message.
type EventKind string

// The kinds of events that callbacks carry.
const (
	EventMessage   EventKind = "message"     // the person wrote: opens the window
	EventPostback  EventKind = "postback"    // the person tapped a button or Get Started: opens the window
	EventReaction  EventKind = "reaction"    // opens the window
	EventReferral  EventKind = "referral"    // the person came by a link into an existing thread: opens the window
	EventOptIn     EventKind = "opt_in"      // a permission given, OptInType says of which kind; does not open the window
	EventOptInEnds EventKind = "opt_in_ends" // a recurring permission stopped or resumed: Status is StatusStop or StatusResume
	EventPolicy    EventKind = "policy"      // Meta's word about the Page: Status is StatusWarning, StatusBlock or StatusUnblock
	EventThread    EventKind = "thread"      // another app and the thread: Status is StatusPass, StatusTake, StatusRequest or StatusRoles
	EventStandby   EventKind = "standby"     // said while another app holds the thread; opens nothing for us
	EventTemplate  EventKind = "template"    // a utility template's Status changed, as Meta spells it in lower case
	EventEcho      EventKind = "echo"        // the Page sent something: proof for our metadata
	EventAccepted  EventKind = "accepted"    // the provider took or sent the message
	EventDelivered EventKind = "delivered"   // by message id, or by watermark
	EventRead      EventKind = "read"        // by watermark
	EventFailed    EventKind = "failed"      // an accepted message did not arrive; Outcome says why
	EventStop      EventKind = "stop"        // the person at Address wants no more by SMS or e-mail; Reason is one of those below
	EventStart     EventKind = "start"       // the person takes back what was said with the same Reason
	EventHelp      EventKind = "help"        // the person asks by SMS who is writing
	EventDeferred  EventKind = "deferred"    // not delivered so far, the provider goes on trying; no effect
	EventOther     EventKind = "other"       // kept and counted, no effect
)

// The statuses of Messenger's events; those of templates are Meta's own.
const (
	StatusStop    = "stop"
	StatusResume  = "resume"
	StatusWarning = "warning"
	StatusBlock   = "block"
	StatusUnblock = "unblock"
	StatusPass    = "pass"
	StatusTake    = "take"
	StatusRequest = "request"
	StatusRoles   = "roles"
)

// The statuses of texts from people, by SMS.
const (
	StatusReview   = "review"   // with EventMessage: the person seems to want no more texts, which somebody should look at
	StatusAnswered = "answered" // with EventHelp: the provider answers it by itself
)

// How a person refused SMS or e-mail: with EventStop and EventStart.
const (
	ByStop        = "stop"        // answered STOP
	ByUnsubscribe = "unsubscribe" // used a link or the mail program's button
	ByComplaint   = "complaint"   // called it spam
)

// Meta's types of opt-ins.
const (
	OptInOneTime   = "one_time_notif_req"
	OptInRecurring = "notification_messages"
)

// OpensWindow reports whether the event starts a new 24-hour window
// (Messenger Platform policy: a message, a button, a reaction, a link into a
// thread; opting in does not).
func (k EventKind) OpensWindow() bool {
	switch k {
	case EventMessage, EventPostback, EventReaction, EventReferral:
		return true
	}
	return false
}

// Event is one thing that a provider's callback tells us.
type Event struct {
	Kind     EventKind
	Page     string    // Graph id of the Page; Messenger only
	PSID     string    // the person; Messenger only
	Address  string    // phone or e-mail address it is about, as the provider writes it; SMS and e-mail, "" when not said
	Soft     bool      // with EventFailed and Refused: the address did not work this time, which is counted
	At       time.Time // when the provider says it happened, UTC; zero when it does not say
	Delivery int64     // our number, when the callback came to a URL of ours that holds it; else 0
	Mark     string    // what stands where we put Message.Mark, be it ours or not; else ""
	// ProviderIDs are the messages it is about, when named; Watermark stands
	// for "everything up to then" when they are not.
	ProviderIDs []string
	Watermark   time.Time
	MID         string    // id of the inbound message, when there is one
	Payload     string    // payload of a button, quick reply or opt-in
	Text        string    // what the person wrote
	Attachments int       // how many pictures and files came with it; SMS
	Ref         string    // m.me ref the person came with
	QuickReply  bool      // Payload is that of a quick reply
	Token       string    // token of an opt-in, and of one that is stopped or resumed
	OptInType   string    // Meta's type of the opt-in
	Title       string    // what a recurring opt-in was asked for
	Expires     time.Time // when a recurring token ends; zero when it does not say
	Renewed     bool      // the person chose to go on with a recurring permission
	Status      string    // see the kinds
	Reason      string    // why, with EventPolicy and EventTemplate, in Meta's words; with EventStop and EventStart, how; so too with EventFailed and OptedOut, where it is known
	App         string    // app that sent an echo, that holds the thread now, or that asks for it
	Template    string    // name of a utility template, and
	Language    string    // its language
	Raw         []byte    // what could not be understood, with EventOther: JSON
	Outcome     Outcome   // with EventFailed
	Code        string    // provider's code, with EventFailed

	// With EventFailed, see the fields of Result with these names; RetryAfter is
	// counted from when the event was read.
	RetryAfter  time.Duration
	Throttled   bool
	Tries       int
	Filtered    bool
	Countrywide bool
}

// Callback is one inbound HTTP request as it came, enough to check its
// signature again later.
type Callback struct {
	URL    string            // the public URL the provider called, query included
	Header map[string]string // the headers named by Receiver.Headers, canonical names
	Body   []byte            // raw bytes
}

// Receiver understands a provider's callbacks.
type Receiver interface {
	// Headers names the request headers that Verify needs, canonical form.
	Headers() []string
	// Verify checks the signature over the raw bytes in constant time; the
	// error says what is wrong without quoting a secret.
	Verify(cb Callback) error
	// Events reads a verified body. What can be read is returned even when a
	// part of the body cannot: the error then tells of that part.
	Events(cb Callback) ([]Event, error)
}
