package contact

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/fault"
)

// FindOrMake returns who holds each PSID on a page, making an anonymous contact
// for each that nobody holds. A PSID that cannot be one is left out.
func (s *Store) FindOrMake(ctx context.Context, tx *db.Tx, page uuid.UUID, psids []string) (map[string]uuid.UUID, error) {
	psids = slices.Compact(slices.Sorted(slices.Values(psids)))
	out, err := holdersOf(tx, page, psids)
	if err != nil {
		return nil, err
	}
	var missing []string
	var drafts []Draft
	for _, p := range psids {
		if _, known := out[p]; !known {
			missing = append(missing, p)
			drafts = append(drafts, Draft{Messenger: []MessengerID{{page, p}}})
		}
	}
	if len(missing) == 0 {
		return out, nil
	}
	results, err := s.UpsertMany(ctx, tx, drafts)
	if err != nil {
		return nil, err
	}
	for i, r := range results {
		if r.Err == nil {
			out[missing[i]] = r.ContactID
		}
	}
	return out, nil
}

// onPage names the page in each row. Were it a value of the statement, SQLite
// would walk all people of the page and look for each among the rows.
func onPage(page uuid.UUID, psids []string) db.Column {
	return db.UUIDs("page", slices.Repeat([]uuid.UUID{page}, len(psids)))
}

func holdersOf(tx *db.Tx, page uuid.UUID, psids []string) (map[string]uuid.UUID, error) {
	var rows []Address
	if err := tx.Raw("SELECT a.psid, a.contact_id FROM messenger_addresses a JOIN ? ON a.page_id = v.page AND a.psid = v.psid",
		tx.Values("v", onPage(page, psids), db.Texts("psid", psids))).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("find Messenger ids: %w", err)
	}
	out := make(map[string]uuid.UUID, len(psids))
	for _, a := range rows {
		out[a.PSID] = a.ContactID
	}
	return out, nil
}

// Holding returns the addresses with a PSID, on whatever pages they are.
func (s *Store) Holding(tx *db.Tx, psid string) ([]Address, error) {
	var rows []Address
	if err := tx.Raw("SELECT a.* FROM pages p JOIN messenger_addresses a ON a.page_id = p.id AND a.psid = ? ORDER BY a.page_id", psid).Scan(&rows).Error; err != nil {
		return nil, fmt.Errorf("find a Messenger id: %w", err)
	}
	return rows, nil
}

// MoveWindow notes when people last acted on a page. It only ever moves
// forward, and who acts after having been marked as blocked is not.
func (s *Store) MoveWindow(_ context.Context, tx *db.Tx, page uuid.UUID, at map[string]time.Time) error {
	if len(at) == 0 {
		return nil
	}
	psids := slices.Sorted(maps.Keys(at))
	times := make([]time.Time, len(psids))
	for i, p := range psids {
		times[i] = at[p].UTC().Truncate(time.Microsecond)
	}
	if err := tx.Exec(`UPDATE messenger_addresses SET last_action_at = v.at, blocked_at = CASE WHEN blocked_at > v.at THEN blocked_at END
		FROM ? WHERE page_id = v.page AND messenger_addresses.psid = v.psid AND (last_action_at IS NULL OR last_action_at < v.at)`,
		tx.Values("v", onPage(page, psids), db.Texts("psid", psids), db.Times("at", times))).Error; err != nil {
		return fmt.Errorf("move windows: %w", err)
	}
	return nil
}

// Block marks PSIDs as not to be reached: blocked, or unknown to Messenger.
// One that acted later than at is left alone.
func (s *Store) Block(_ context.Context, tx *db.Tx, page uuid.UUID, psids []string, at time.Time) error {
	if len(psids) == 0 {
		return nil
	}
	at = at.UTC().Truncate(time.Microsecond)
	if err := tx.Exec(`UPDATE messenger_addresses SET blocked_at = ? FROM ?
		WHERE page_id = v.page AND messenger_addresses.psid = v.psid AND blocked_at IS NULL AND (last_action_at IS NULL OR last_action_at <= ?)`,
		at, tx.Values("v", onPage(page, psids), db.Texts("psid", slices.Sorted(slices.Values(psids)))), at).Error; err != nil {
		return fmt.Errorf("mark Messenger ids as blocked: %w", err)
	}
	return nil
}

// Binding is what came of Bind.
type Binding string

// The outcomes of Bind.
const (
	Attached Binding = "attached" // nobody held the PSID: it is the contact's now
	Merged   Binding = "merged"   // an anonymous contact held it and was merged into the contact
	Same     Binding = "same"     // it was the contact's already
	Conflict Binding = "conflict" // it stays with, or starts, a contact of its own
)

// BindResult says who holds the PSID after Bind.
type BindResult struct {
	Outcome   Binding
	ContactID uuid.UUID
}

// Claim is a PSID that came with the personal code of a contact.
type Claim struct {
	ContactID uuid.UUID
	PSID      string
}

// Bind ties a PSID to the contact whose personal code it came with. It is a
// Conflict, to be reported and never guessed about, when the contact has
// another PSID on the page or is gone, or when another identified contact
// holds the PSID. A PSID that cannot be one is a fault.
func (s *Store) Bind(ctx context.Context, tx *db.Tx, contactID, page uuid.UUID, psid string) (BindResult, error) {
	out, err := s.BindAll(ctx, tx, page, []Claim{{contactID, psid}})
	if err != nil {
		return BindResult{}, err
	}
	return out[0], nil
}

// BindAll is Bind for many claims on a page, one after the other, with a number of
// statements that does not depend on how many there are. A PSID that cannot be one
// is a fault, and none is bound.
func (s *Store) BindAll(ctx context.Context, tx *db.Tx, page uuid.UUID, claims []Claim) ([]BindResult, error) {
	if len(claims) == 0 {
		return nil, nil
	}
	items := make([]item, len(claims))
	for i, c := range claims {
		items[i] = s.check(Draft{Messenger: []MessengerID{{page, c.PSID}}}, change, origin{source: "messenger", at: s.now()})
		items[i].id = c.ContactID
	}
	results, err := s.settle(ctx, tx, items)
	if err != nil {
		return nil, err
	}
	out := make([]BindResult, len(claims))
	var alone []string
	for i, r := range results {
		switch {
		case fault.Is(r.Err, fault.Invalid):
			return nil, r.Err
		case r.Err != nil:
			out[i].Outcome, alone = Conflict, append(alone, claims[i].PSID)
		default:
			out[i] = BindResult{bindingOf(r), r.ContactID}
		}
	}
	return out, s.standAlone(ctx, tx, page, alone, claims, out)
}

func bindingOf(r Result) Binding {
	switch {
	case r.Merged:
		return Merged
	case r.Attached:
		return Attached
	}
	return Same
}

// standAlone gives those whose claim was refused contacts of their own.
func (s *Store) standAlone(ctx context.Context, tx *db.Tx, page uuid.UUID, psids []string, claims []Claim, out []BindResult) error {
	if len(psids) == 0 {
		return nil
	}
	ids, err := s.FindOrMake(ctx, tx, page, psids)
	if err != nil {
		return err
	}
	for i := range out {
		if out[i].Outcome == Conflict {
			out[i].ContactID = ids[claims[i].PSID]
		}
	}
	return nil
}
