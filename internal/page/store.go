package page

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/line"
	"beckon/internal/seal"
)

// sealedAs is what access tokens are bound to when they are sealed.
const sealedAs = "page"

// columns are all but the access token, which only Sender reads.
const columns = "id, facebook_page_id, name, username, time_zone, country, hold_hours, token_health, quiet_hours, created_at, updated_at"

var (
	errNone  = fault.New(fault.NotFound, "page_not_found", "There is no such page.")
	errTaken = fault.New(fault.Conflict, "page_taken", "This Facebook Page is already known.").
			With(fault.Field{Pointer: "/facebook_page_id", Code: "page_taken", Detail: "This Facebook Page is already known."})
	errInUse = fault.New(fault.Conflict, "page_in_use", "Campaigns, contacts' Messenger addresses or tokens depend on this page.")
)

// Store keeps Pages. It is safe for use by many goroutines.
type Store struct {
	db  *db.DB
	box *seal.Box
	now func() time.Time
}

// NewStore returns a store whose access tokens are sealed with box.
func NewStore(d *db.DB, box *seal.Box, now func() time.Time) *Store {
	return &Store{db: d, box: box, now: now}
}

func (s *Store) moment() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// row is what stands in the table.
type row struct {
	Page
	AccessToken []byte
}

func (row) TableName() string { return "pages" }

// Create adds a Page. A Graph id that is known already is a Conflict with code
// page_taken.
func (s *Store) Create(ctx context.Context, d Draft) (p Page, err error) {
	if err := d.check(); err != nil {
		return Page{}, err
	}
	err = s.db.Transact(ctx, func(tx *db.Tx) error {
		p, err = s.Add(tx, d)
		return err
	})
	return p, err
}

// Add is Create in the caller's transaction, which must not commit after an error.
func (s *Store) Add(tx *db.Tx, d Draft) (Page, error) {
	if err := d.check(); err != nil {
		return Page{}, err
	}
	sealed, err := s.box.Seal(d.AccessToken, sealedAs)
	if err != nil {
		return Page{}, fmt.Errorf("create page: %w", err)
	}
	now := s.moment()
	p := Page{ID: uuid.Must(uuid.NewV7()), FacebookPageID: d.FacebookPageID, Name: d.Name, Username: d.Username, TimeZone: d.TimeZone, HoldHours: DefaultHoldHours,
		Country: d.Country, TokenHealth: TokenUnknown, QuietHours: DefaultQuiet, CreatedAt: now, UpdatedAt: now}
	if d.QuietHours != nil {
		p.QuietHours = *d.QuietHours
	}
	err = tx.Create(&row{Page: p, AccessToken: sealed}).Error
	if db.DuplicateOf(err) == "pages_facebook_page_id" {
		return Page{}, errTaken
	}
	if err == nil {
		err = tx.Exec("INSERT INTO page_health (page_id) VALUES (?)", p.ID).Error
	}
	if err != nil {
		return Page{}, fmt.Errorf("create page: %w", err)
	}
	if !recurringLives(p.Country) {
		if err := settle(tx, p.ID, p.Country, now); err != nil {
			return Page{}, err
		}
	}
	return read(tx.DB, p.ID)
}

// Get returns a Page, or a NotFound fault.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (Page, error) {
	return read(s.db.Read(ctx), id)
}

func read(q *gorm.DB, id uuid.UUID) (Page, error) {
	var p []Page
	err := q.Raw("SELECT "+columns+" FROM pages WHERE id = ?", id).Scan(&p).Error
	if err == nil {
		err = fill(q, p)
	}
	return one(p, err)
}

// List returns up to limit Pages, newest first: those after the Page with the
// id after, or the first ones when after is uuid.Nil.
func (s *Store) List(ctx context.Context, after uuid.UUID, limit int) ([]Page, error) {
	q := s.db.Read(ctx).Table("pages").Select(columns).Order("id DESC").Limit(limit)
	if after != uuid.Nil {
		q = q.Where("id < ?", after)
	}
	var list []Page
	if err := q.Scan(&list).Error; err != nil {
		return nil, fmt.Errorf("list pages: %w", err)
	}
	return list, fill(s.db.Read(ctx), list)
}

// ByGraphID returns the Pages with the given Graph ids, by Graph id. Ids that
// are not known are left out. Their capabilities and health are not read.
func (s *Store) ByGraphID(ctx context.Context, graphIDs ...string) (map[string]Page, error) {
	var list []Page
	err := s.db.Read(ctx).Raw("SELECT "+columns+" FROM pages WHERE facebook_page_id IN ?", graphIDs).Scan(&list).Error
	if err != nil {
		return nil, fmt.Errorf("find pages by Graph id: %w", err)
	}
	found := make(map[string]Page, len(list))
	for _, p := range list {
		found[p.FacebookPageID] = p
	}
	return found, nil
}

// Patch changes a Page. A new access token starts with its health unknown and
// resumes the Page's line, if it is stopped.
func (s *Store) Patch(ctx context.Context, id uuid.UUID, change Patch) (Page, error) {
	if err := change.check(); err != nil {
		return Page{}, err
	}
	set, err := s.columnsOf(change)
	if err != nil {
		return Page{}, err
	}
	var after Page
	err = s.db.Transact(ctx, func(tx *db.Tx) error {
		if err := lock(tx, id); err != nil {
			return err
		}
		if err := tx.Table("pages").Where("id = ?", id).Updates(set).Error; err != nil {
			return fmt.Errorf("change page: %w", err)
		}
		if err := s.afterPatch(tx, id, change); err != nil {
			return err
		}
		after, err = read(tx.DB, id)
		return err
	})
	return after, err
}

// afterPatch does what follows from a change.
func (s *Store) afterPatch(tx *db.Tx, id uuid.UUID, change Patch) error {
	now := s.moment()
	if change.AccessToken != nil {
		if err := s.tokenReplaced(tx, id, now); err != nil {
			return err
		}
	}
	if err := tell(tx, id, change.Capabilities, now); err != nil {
		return err
	}
	if change.Country != nil {
		if err := settle(tx, id, *change.Country, now); err != nil {
			return err
		}
	}
	if change.QuietHours != nil {
		if err := s.listen(tx, id, now); err != nil {
			return err
		}
	}
	return retell(tx, id, now)
}

func (s *Store) columnsOf(change Patch) (map[string]any, error) {
	set := map[string]any{"updated_at": s.moment()}
	if change.Name != nil {
		set["name"] = *change.Name
	}
	if change.Username != nil {
		set["username"] = *change.Username
	}
	if change.HoldHours != nil {
		set["hold_hours"] = *change.HoldHours
	}
	if change.TimeZone != nil {
		set["time_zone"] = *change.TimeZone
	}
	if change.Country != nil {
		set["country"] = *change.Country
	}
	if change.QuietHours != nil {
		set["quiet_hours"] = *change.QuietHours
	}
	if change.AccessToken != nil {
		sealed, err := s.box.Seal(*change.AccessToken, sealedAs)
		if err != nil {
			return nil, fmt.Errorf("change page: %w", err)
		}
		set["access_token"], set["token_health"] = sealed, string(TokenUnknown)
	}
	return set, nil
}

// Delete removes a Page. While anything depends on it the answer is a Conflict
// with code page_in_use.
func (s *Store) Delete(ctx context.Context, id uuid.UUID) error {
	return s.db.Transact(ctx, func(tx *db.Tx) error {
		_, err := s.Remove(tx, id)
		return err
	})
}

// Gone is what is left of a Page that was removed: enough to take leave of Meta.
type Gone struct {
	FacebookPageID string
	Token          []byte // sealed, see Unseal
}

// Remove is Delete in the caller's transaction.
func (s *Store) Remove(tx *db.Tx, id uuid.UUID) (Gone, error) {
	// With the row locked nothing new can come to depend on it.
	if err := lock(tx, id); err != nil {
		return Gone{}, err
	}
	var used bool
	err := tx.Raw(`SELECT EXISTS (SELECT 1 FROM campaigns WHERE page_id = ?) OR EXISTS (SELECT 1 FROM messenger_addresses WHERE page_id = ?)
		OR EXISTS (SELECT 1 FROM tokens WHERE page_id = ?) OR EXISTS (SELECT 1 FROM opt_in_requests WHERE page_id = ?)`, id, id, id, id).Scan(&used).Error
	switch {
	case err != nil:
		return Gone{}, fmt.Errorf("delete page: %w", err)
	case used:
		return Gone{}, errInUse
	}
	if err := tx.Exec("DELETE FROM recurring_tokens WHERE page_id = ? AND contact_id IS NULL", id).Error; err != nil {
		return Gone{}, fmt.Errorf("delete page: %w", err)
	}
	var was row
	if err := tx.Raw("SELECT facebook_page_id, access_token FROM pages WHERE id = ?", id).Scan(&was).Error; err != nil {
		return Gone{}, fmt.Errorf("delete page: %w", err)
	}
	if err := tx.Exec("DELETE FROM pages WHERE id = ?", id).Error; err != nil {
		return Gone{}, fmt.Errorf("delete page: %w", err)
	}
	return Gone{FacebookPageID: was.FacebookPageID, Token: was.AccessToken}, line.Forget(tx, id)
}

// Unseal opens the access token of a Page that is gone.
func (s *Store) Unseal(g Gone) (channel.Page, error) {
	token, err := s.box.Open(g.Token, sealedAs)
	if err != nil {
		return channel.Page{}, fmt.Errorf("open the access token of a page that is gone: %w", err)
	}
	return channel.Page{GraphID: g.FacebookPageID, AccessToken: token}, nil
}

// Sender returns what is needed to send on behalf of a Page, its access token
// opened. Not for use inside a transaction.
func (s *Store) Sender(ctx context.Context, id uuid.UUID) (channel.Page, error) {
	var got []row
	err := s.db.Read(ctx).Raw("SELECT facebook_page_id, name, access_token FROM pages WHERE id = ?", id).Scan(&got).Error
	r, err := one(got, err)
	if err != nil {
		return channel.Page{}, err
	}
	token, err := s.box.Open(r.AccessToken, sealedAs)
	if err != nil {
		return channel.Page{}, fmt.Errorf("open the access token of page %s: %w", id, err)
	}
	return channel.Page{GraphID: r.FacebookPageID, Name: r.Name, AccessToken: token}, nil
}

// TokenRefused notes that Graph refuses the Page's access token. Nothing is
// written when that is known already.
func (s *Store) TokenRefused(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	res := tx.WithContext(ctx).Exec("UPDATE pages SET token_health = ?, updated_at = ? WHERE id = ? AND token_health <> ?",
		TokenRefused, s.moment(), id, TokenRefused)
	if res.Error != nil {
		return fmt.Errorf("mark the access token of page %s: %w", id, res.Error)
	}
	if res.RowsAffected == 0 {
		return nil
	}
	return retell(tx, id, s.moment())
}

func lock(tx *db.Tx, id uuid.UUID) error {
	var found []uuid.UUID
	err := tx.Raw("SELECT id FROM pages WHERE id = ?"+tx.ForUpdate(), id).Scan(&found).Error
	_, err = one(found, err)
	return err
}

func one[T any](found []T, err error) (T, error) {
	var none T
	switch {
	case err != nil:
		return none, fmt.Errorf("get page: %w", err)
	case len(found) == 0:
		return none, errNone
	}
	return found[0], nil
}
