package channel

import (
	"encoding/json"
	"time"
)

// Listing is a part of a Page's own list of recurring tokens.
type Listing struct {
	Tokens []Listed
	Next   string // where the next part begins; "" when this was the last
}

// Listed is a recurring token as the Page's list names it. Times that are not
// said are zero.
type Listed struct {
	Token    string
	PSID     string
	Title    string // what the person was asked for
	Created  time.Time
	Expires  time.Time
	Eligible time.Time // it must not be used before
	Renewed  bool      // the person chose to go on with it
}

// TemplateApproved is the status of a utility template that may be sent with;
// all others are Meta's words in lower case.
const TemplateApproved = "approved"

// Template is a utility template as Meta knows it: name and language together
// make it the one.
type Template struct {
	GraphID    string
	Name       string
	Language   string
	Category   string          // UTILITY
	Status     string          // see TemplateApproved
	Format     string          // NAMED or POSITIONAL, of the holes; "" when there are none
	Components json.RawMessage // in Meta's form
}
