package page

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/event"
	"beckon/internal/fault"
)

// Capability is something that Meta may let a Page do, or not.
type Capability string

// The capabilities. The first three are those of the lanes with the same names.
const (
	OneTime   Capability = "one_time"
	Recurring Capability = "recurring"
	Utility   Capability = "utility"
	Profile   Capability = "profile" // to read the names of people who write
)

// Capabilities returns every capability there is.
func Capabilities() []Capability { return []Capability{OneTime, Recurring, Utility, Profile} }

// State says whether a Page has a capability.
type State string

// The states of a capability: unknown until tried or told.
const (
	Unknown State = "unknown"
	Works   State = "works"
	Off     State = "off"
)

// How says where the knowledge of a capability comes from.
type How string

// The sources of knowledge. What an operator said is overridden by a self-test
// only.
const (
	ByOperator How = "operator"  // by a call
	BySelfTest How = "self_test" // it was tried with a tester
	BySend     How = "send"      // from what came of messages
	ByGraph    How = "graph"     // Graph says so
	ByRegion   How = "region"    // Meta ended it where the Page is
)

// Known is what is known of a capability, with how and since when. While the
// state is unknown both may be zero.
type Known struct {
	State State
	How   How
	At    time.Time
}

// deadInARow is how many tokens are refused as dead, with none ever taken, before
// a lane of tokens is taken to be off: each of them is lost.
const deadInARow = 5

// capability is what stands in the table.
type capability struct {
	PageID  uuid.UUID
	Name    Capability
	State   State
	How     How
	KnownAt *time.Time
	Refused int
}

func (c capability) known() Known {
	k := Known{State: c.State, How: c.How}
	if c.KnownAt != nil {
		k.At = c.KnownAt.UTC()
	}
	return k
}

// Learn writes down what is learnt of a capability, in the caller's transaction,
// and tells of it when it is news. What an operator said stays, except that a
// self-test knows better. A Page that is gone is a NotFound fault.
func Learn(tx *db.Tx, page uuid.UUID, name Capability, state State, how How, at time.Time) error {
	c, err := lockCapability(tx, page, name)
	if err != nil {
		return err
	}
	sure := how == ByOperator || how == BySelfTest
	if c.How == ByOperator && !sure || c.State == state && !sure {
		return nil
	}
	return c.become(tx, state, how, at)
}

// become writes the new state, and an event when it is another one.
func (c capability) become(tx *db.Tx, state State, how How, at time.Time) error {
	at = at.UTC().Truncate(time.Microsecond)
	err := tx.Exec("UPDATE capabilities SET state = ?, how = ?, known_at = ?, refused = 0 WHERE page_id = ? AND name = ?",
		state, how, at, c.PageID, c.Name).Error
	if err != nil {
		return fmt.Errorf("write a capability: %w", err)
	}
	if c.State == state {
		return nil
	}
	return event.Add(tx, event.Event{Type: event.PageCapabilityChanged, At: at, Page: c.PageID,
		Data: map[string]any{"capability": c.Name, "state": state, "was": c.State, "how": how}})
}

// lockCapability reads a capability to change it, and makes its row when there is
// none.
func lockCapability(tx *db.Tx, page uuid.UUID, name Capability) (capability, error) {
	for range 2 {
		var rows []capability
		err := tx.Raw("SELECT * FROM capabilities WHERE page_id = ? AND name = ?"+tx.ForUpdate(), page, name).Scan(&rows).Error
		switch {
		case err != nil:
			return capability{}, fmt.Errorf("read a capability: %w", err)
		case len(rows) > 0:
			return rows[0], nil
		}
		err = tx.Exec("INSERT INTO capabilities (page_id, name) SELECT id, ? FROM pages WHERE id = ? ON CONFLICT (page_id, name) DO NOTHING", name, page).Error
		if err != nil {
			return capability{}, fmt.Errorf("make a capability: %w", err)
		}
	}
	return capability{}, errNone
}

// Tried learns from what came of messages on a lane that was not known to work:
// accepted is how many were taken, dead how many of their tokens were refused as
// dead. The first that is taken proves the lane; five dead tokens in a row with
// none ever taken close it, so that no more are burned. What is known already
// stays.
func (s *Store) Tried(tx *db.Tx, id uuid.UUID, lane channel.Lane, accepted, dead int) error {
	name := Capability(lane)
	if accepted == 0 && dead == 0 || !slices.Contains(Capabilities(), name) {
		return nil
	}
	c, err := lockCapability(tx, id, name)
	if err != nil || c.State != Unknown {
		return err
	}
	switch {
	case accepted > 0:
		return c.become(tx, Works, BySend, s.moment())
	case c.Refused+dead >= deadInARow && name != Utility:
		return c.become(tx, Off, BySend, s.moment())
	}
	err = tx.Exec("UPDATE capabilities SET refused = refused + ? WHERE page_id = ? AND name = ?", dead, id, name).Error
	if err != nil {
		return fmt.Errorf("count refused tokens: %w", err)
	}
	return nil
}

// forget makes a capability unknown again, to be found out anew.
func (c capability) forget(tx *db.Tx, how How, at time.Time) error {
	if err := c.become(tx, Unknown, how, at); err != nil {
		return err
	}
	err := tx.Exec("UPDATE capabilities SET how = '', known_at = NULL WHERE page_id = ? AND name = ?", c.PageID, c.Name).Error
	if err != nil {
		return fmt.Errorf("forget a capability: %w", err)
	}
	return nil
}

// tell writes down what an operator says; unknown is to find it out anew.
func tell(tx *db.Tx, page uuid.UUID, said map[Capability]State, at time.Time) error {
	for _, name := range Capabilities() {
		state, ok := said[name]
		if !ok {
			continue
		}
		c, err := lockCapability(tx, page, name)
		if err != nil {
			return err
		}
		if state == Unknown {
			err = c.forget(tx, ByOperator, at)
		} else {
			err = c.become(tx, state, ByOperator, at)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// recurringLives reports whether recurring notifications still exist in a
// country (Meta's FAQ on Marketing Messages: since 10 February 2026 only in Australia,
// Europe, Japan, Korea and the United Kingdom). Where the Page is not known, they may.
func recurringLives(country string) bool {
	const alive = "AU JP KR GB" +
		" AT BE BG HR CY CZ DK EE FI FR DE GR HU IE IT LV LT LU MT NL PL PT RO SK SI ES SE" + // the Union
		" IS LI NO"
	return country == "" || slices.Contains(strings.Fields(alive), country)
}

// settle takes the country into account, where nothing surer is known.
func settle(tx *db.Tx, page uuid.UUID, country string, at time.Time) error {
	c, err := lockCapability(tx, page, Recurring)
	lives := recurringLives(country)
	switch {
	case err != nil:
		return err
	case !lives && c.State == Unknown:
		return c.become(tx, Off, ByRegion, at)
	case lives && c.How == ByRegion:
		return c.forget(tx, ByRegion, at)
	}
	return nil
}

// fill adds what is known of them to Pages: capabilities and health.
func fill(q *gorm.DB, pages []Page) error {
	ids, at := make([]uuid.UUID, len(pages)), make(map[uuid.UUID]int, len(pages))
	for i := range pages {
		ids[i], at[pages[i].ID] = pages[i].ID, i
		pages[i].Capabilities = make(map[Capability]Known)
		for _, name := range Capabilities() {
			pages[i].Capabilities[name] = Known{State: Unknown}
		}
	}
	var rows []capability
	if len(pages) == 0 {
		return nil
	}
	if err := q.Raw("SELECT * FROM capabilities WHERE page_id IN ?", ids).Scan(&rows).Error; err != nil {
		return fmt.Errorf("read capabilities: %w", err)
	}
	for _, c := range rows {
		pages[at[c.PageID]].Capabilities[c.Name] = c.known()
	}
	return fillHealth(q, pages, ids, at)
}

func checkCapabilities(said map[Capability]State) (bad []fault.Field) {
	for _, name := range Capabilities() {
		if s, ok := said[name]; ok && s != Unknown && s != Works && s != Off {
			bad = append(bad, fault.Field{Pointer: "/capabilities/" + string(name), Code: "enum", Detail: "Must be unknown, works or off."})
		}
	}
	return bad
}
