package channel

import "github.com/google/uuid"

// Heard are events of one Page of ours that are applied together, and the
// contacts of those who did something in them, by PSID.
type Heard struct {
	Page   uuid.UUID
	People map[string]uuid.UUID
	Events []Event
}
