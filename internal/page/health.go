package page

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/event"
	"beckon/internal/line"
)

// Names is a list of names as it is stored: separated by commas.
type Names string

// List returns the names, none as an empty list.
func (n Names) List() []string {
	if n == "" {
		return []string{}
	}
	return strings.Split(string(n), ",")
}

func names(list []string) Names { return Names(strings.Join(list, ",")) }

// What can be wrong with an access token that is valid.
const (
	OtherPage = "other_page" // it speaks for another Page
	OtherApp  = "other_app"  // it was made for another app
)

// Whether a Page has a Get Started button; "" while that is not known.
const (
	GetStartedSet     = "set"
	GetStartedMissing = "missing"
)

// NoAnswer is the CheckCode of a check that Graph did not answer.
const NoAnswer = "nothing"

// Health is how a Page stands with Meta, as far as it was seen. Times that are
// nil did not come to pass, or are not known.
type Health struct {
	PageID           uuid.UUID
	CheckedAt        *time.Time
	CheckCode        string // what stood in the way of the last check; "" is nothing
	TokenTrouble     string // OtherPage, OtherApp or ""
	TokenExpiresAt   *time.Time
	DataAccessEndsAt *time.Time
	ScopesMissing    Names
	FieldsMissing    Names // of the webhook
	FieldsCheckedAt  *time.Time
	RepairedAt       *time.Time // when the webhook was last subscribed by us
	GetStarted       string
	LastEventAt      *time.Time // to the minute
	QuietSince       *time.Time // nothing is heard of the Page, and that was told
	Policy           string     // Meta's last word: channel.StatusWarning, StatusBlock or StatusUnblock
	PolicyReason     string     // in Meta's words
	PolicyAt         *time.Time
	Load             int // percent of Graph's limits that are used up
	LoadAt           *time.Time
	Told             Names // codes of the problems that were told of
}

// Blocked reports whether Meta blocks the Page from sending.
func (h Health) Blocked() bool { return h.Policy == channel.StatusBlock }

// Check is what one look at a Page's side of Meta has shown. What is nil or ""
// could not be seen.
type Check struct {
	Code       string // what stood in the way; "" is nothing
	Token      *TokenCheck
	Missing    []string // webhook fields that do not come
	Fields     bool     // whether Missing is known
	Repaired   bool     // the webhook was subscribed anew
	GetStarted string
	Load       int
}

// TokenCheck is what Graph says of a Page's access token.
type TokenCheck struct {
	Valid               bool
	Trouble             string // OtherPage, OtherApp or ""
	Expires, DataAccess time.Time
	ScopesMissing       []string
}

// Checked writes down what a check has shown, raises or ends the alarm that
// nothing is heard of the Page, and tells of what has changed. An access token
// that is no good any more stops the Page's line.
func (s *Store) Checked(tx *db.Tx, id uuid.UUID, c Check) error {
	now := s.moment()
	if c.Token != nil && !c.Token.Valid {
		if err := line.Stop(tx, channel.Window.Line(id.String()), "190", "the Page's access token is not valid any more", now); err != nil {
			return err
		}
	}
	set := map[string]any{"checked_at": now, "check_code": c.Code, "load": c.Load, "load_at": now}
	if c.Fields {
		set["fields_missing"], set["fields_checked_at"] = string(names(c.Missing)), now
	}
	if c.Repaired {
		set["repaired_at"] = now
	}
	if c.GetStarted != "" {
		set["get_started"] = c.GetStarted
	}
	if c.Token != nil {
		maps.Copy(set, c.Token.columns())
	}
	res := tx.Table("page_health").Where("page_id = ?", id).Updates(set)
	switch {
	case res.Error != nil:
		return fmt.Errorf("write a page's health: %w", res.Error)
	case res.RowsAffected == 0:
		return errNone
	}
	if c.Token != nil {
		if err := s.tokenHealth(tx, id, c.Token.state()); err != nil {
			return err
		}
	}
	if err := s.listen(tx, id, now); err != nil {
		return err
	}
	return retell(tx, id, now)
}

func (t TokenCheck) columns() map[string]any {
	return map[string]any{"token_trouble": t.Trouble, "token_expires_at": orNull(t.Expires), "data_access_ends_at": orNull(t.DataAccess),
		"scopes_missing": string(names(t.ScopesMissing))}
}

func (t TokenCheck) state() TokenState {
	if t.Valid {
		return TokenWorks
	}
	return TokenRefused
}

func orNull(at time.Time) *time.Time {
	if at.IsZero() {
		return nil
	}
	return &at
}

func (s *Store) tokenHealth(tx *db.Tx, id uuid.UUID, state TokenState) error {
	err := tx.Exec("UPDATE pages SET token_health = ? WHERE id = ? AND token_health <> ?", state, id, state).Error
	if err != nil {
		return fmt.Errorf("mark the access token of page %s: %w", id, err)
	}
	return nil
}

// tokenReplaced forgets what was known of the old access token, and lets the
// Page's line go on, unless it is Meta who stopped it.
func (s *Store) tokenReplaced(tx *db.Tx, id uuid.UUID, now time.Time) error {
	name := channel.Window.Line(id.String())
	if err := line.Lift(tx, name, line.ByToken, now); err != nil {
		return err
	}
	err := tx.Exec(`UPDATE page_health SET token_trouble = '', token_expires_at = NULL, data_access_ends_at = NULL, scopes_missing = '',
		check_code = '' WHERE page_id = ?`, id).Error
	if err != nil {
		return fmt.Errorf("forget what is known of an access token: %w", err)
	}
	var blocked bool
	if err := tx.Raw("SELECT EXISTS (SELECT 1 FROM page_health WHERE page_id = ? AND policy = ?)", id, channel.StatusBlock).Scan(&blocked).Error; err != nil {
		return fmt.Errorf("read Meta's word about a page: %w", err)
	}
	if !blocked {
		return nil
	}
	return line.Stop(tx, name, CodeBlocked, blockedDetail, now)
}

// listen raises the alarm when nothing was heard of a Page for its quiet hours,
// once, and ends it when that is over.
func (s *Store) listen(tx *db.Tx, id uuid.UUID, now time.Time) error {
	p, err := read(tx.DB, id)
	if err != nil {
		return err
	}
	last := p.CreatedAt
	if p.Health.LastEventAt != nil {
		last = *p.Health.LastEventAt
	}
	quiet := p.QuietHours > 0 && now.Sub(last) >= time.Duration(p.QuietHours)*time.Hour
	if quiet == (p.Health.QuietSince != nil) {
		return nil
	}
	var since *time.Time
	if quiet {
		since = &now
	}
	if err := tx.Exec("UPDATE page_health SET quiet_since = ? WHERE page_id = ?", since, id).Error; err != nil || !quiet {
		return err
	}
	return event.Add(tx, event.Event{Type: event.PageQuiet, At: now, Page: id,
		Data: map[string]any{"hours": p.QuietHours, "last_event_at": p.Health.LastEventAt}})
}

// heardEvery is how often it is written down that a Page was heard of.
const heardEvery = time.Minute

// Heard notes that Meta sent an event of the Page, once a minute at most, and ends
// the alarm that nothing is heard. It waits for nobody.
func (s *Store) Heard(tx *db.Tx, id uuid.UUID) error {
	now := s.moment()
	var was []struct{ QuietSince *time.Time }
	err := tx.Raw(`SELECT quiet_since FROM page_health WHERE page_id = ? AND (last_event_at IS NULL OR last_event_at <= ?)`+tx.SkipLocked(),
		id, now.Add(-heardEvery)).Scan(&was).Error
	if err != nil || len(was) == 0 {
		return err
	}
	err = tx.Exec("UPDATE page_health SET last_event_at = ?, quiet_since = NULL WHERE page_id = ?", now, id).Error
	if err != nil || was[0].QuietSince == nil {
		return err
	}
	return retell(tx, id, now)
}

// CodeBlocked is the code of a line that is stopped because Meta blocks the Page.
const CodeBlocked = "policy_block"

const blockedDetail = "Meta blocks the Page from sending"

// PolicySaid writes down Meta's word about a Page: a warning, a block, which stops
// the Page's line, or the end of one, which lets it go on. A word that is not
// later than the one that is known changes nothing; of two at one moment a block
// counts, and no warning ends one.
func (s *Store) PolicySaid(tx *db.Tx, id uuid.UUID, action, reason string, at time.Time) error {
	at, now := at.UTC().Truncate(time.Microsecond), s.moment()
	res := tx.Exec(`UPDATE page_health SET policy = ?, policy_reason = ?, policy_at = ?
		WHERE page_id = ? AND (policy_at IS NULL OR policy_at < ? AND NOT (policy = 'block' AND CAST(? AS TEXT) = 'warning')
			OR policy_at = ? AND policy <> 'block' AND CAST(? AS TEXT) = 'block')`, action, reason, at, id, at, action, at, action)
	if res.Error != nil {
		return fmt.Errorf("write Meta's word about a page: %w", res.Error)
	}
	if res.RowsAffected == 0 {
		return nil
	}
	var err error
	switch name := channel.Window.Line(id.String()); action {
	case channel.StatusBlock:
		err = line.Stop(tx, name, CodeBlocked, blockedDetail, now)
	case channel.StatusUnblock:
		err = line.LiftCause(tx, name, CodeBlocked, line.ByPolicy, now)
	}
	if err != nil {
		return err
	}
	return retell(tx, id, now)
}

// retell tells of a Page's problems when they are not the ones that were told of.
func retell(tx *db.Tx, id uuid.UUID, now time.Time) error {
	p, err := read(tx.DB, id)
	if err != nil {
		return err
	}
	codes := []string{}
	for _, problem := range p.Problems(now) {
		codes = append(codes, problem.Code)
	}
	if names(codes) == p.Health.Told {
		return nil
	}
	if err := tx.Exec("UPDATE page_health SET told = ? WHERE page_id = ?", string(names(codes)), id).Error; err != nil {
		return fmt.Errorf("write what is told of a page: %w", err)
	}
	return event.Add(tx, event.Event{Type: event.PageHealthChanged, At: now, Page: id,
		Data: map[string]any{"problems": codes, "was": p.Health.Told.List()}})
}

// fillHealth adds how they stand with Meta to Pages; at is where each is.
func fillHealth(q *gorm.DB, pages []Page, ids []uuid.UUID, at map[uuid.UUID]int) error {
	var rows []Health
	if err := q.Raw("SELECT * FROM page_health WHERE page_id IN ?", ids).Scan(&rows).Error; err != nil {
		return fmt.Errorf("read how pages are: %w", err)
	}
	for _, h := range rows {
		pages[at[h.PageID]].Health = h
	}
	return nil
}
