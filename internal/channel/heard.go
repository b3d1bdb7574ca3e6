package channel

import (
	"time"

	"github.com/google/uuid"
)

// Heard are events that are applied together: of one Page of ours, with the
// contacts of those who did something in them, by PSID; or of SMS or e-mail, with
// no Page and no People.
type Heard struct {
	Channel Kind
	Page    uuid.UUID
	People  map[string]uuid.UUID
	Events  []Event
	// Reacted are the deliveries that these events answer: somebody came back by
	// one, or replied to it, and had not done that before.
	Reacted []Reaction
}

// Reaction is the first return by a delivery, or the first reply to it.
type Reaction struct {
	Delivery          int64
	Campaign, Contact uuid.UUID
	At                time.Time
}

// ThreadMove is a hand-over of one person's thread.
type ThreadMove struct {
	Action   string // StatusPass, StatusTake or StatusRequest
	PSID     string
	Target   string // with StatusPass: the app that gets it
	Metadata string // for the other app; may be empty
}
