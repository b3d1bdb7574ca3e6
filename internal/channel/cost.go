package channel

// Text is a text message that its campaign is to pay for before it goes out.
type Text struct {
	To       string // E.164 number
	Segments int    // parts that it is billed for
}

// Paid says whether a text may go out.
type Paid string

// What may come of asking. It is a closed set.
const (
	PaidFor  Paid = "paid"     // it may: what it costs is written down as spent
	Unpriced Paid = "unpriced" // it must not: the budget is in money, and nobody said what this text costs
	NotYet   Paid = "not_yet"  // not now: ask again, since the budget may be reached then, or have room
)

// Payment is what came of asking for one text.
type Payment struct {
	Paid     Paid
	Segments int    // that were taken from the budget
	Amount   int64  // in millionths of the currency; 0 when there is no price
	Currency string // of the amount
	NoPrice  bool   // PaidFor without a price, which is not the same as for free
}
