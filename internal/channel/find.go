package channel

import (
	"context"
	"time"
)

// Sought is a message of which it is not known whether the provider took it.
type Sought struct {
	Delivery int64
	To       string    // where it was sent: E.164 number
	Since    time.Time // when it was handed over; nothing made before that is it
	Link     string    // the personal link in its text, which no other message has
}

// Found is what a look-up came to.
type Found string

// What a look-up may come to. It is a closed set.
const (
	Taken     Found = "taken"      // the provider has it
	Failed    Found = "failed"     // the provider had taken it, and it did not arrive
	NotThere  Found = "not_there"  // the provider shows no such message now, which is no proof that there is none
	CannotSay Found = "cannot_say" // no usable answer
	SlowDown  Found = "slow_down"  // no answer: the provider asks to be left alone for a while
)

// Finding is what a provider knows of a message.
type Finding struct {
	Found      Found
	ProviderID string    // with Taken and Failed
	Kind       EventKind // with Taken: EventAccepted, EventDelivered or EventRead
	Why        Result    // with Failed: what to do next
}

// Finder is a Sender whose provider can be asked for messages that it may have
// taken. Implementations are safe for use by many goroutines.
type Finder interface {
	// Find returns one finding for each message, in order. After SlowDown it
	// makes no further call: what was not looked for comes back as the same. It
	// never sends anything.
	Find(ctx context.Context, sought []Sought) []Finding
}
