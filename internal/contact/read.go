package contact

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"beckon/internal/audience"
	"beckon/internal/db"
	"beckon/internal/fault"
)

var errNotFound = fault.New(fault.NotFound, "contact_not_found", "There is no such contact.")

// Get returns a contact, or a fault.NotFound.
func (s *Store) Get(ctx context.Context, id uuid.UUID) (Contact, error) {
	var c Contact
	err := s.db.Read(ctx).Where("id = ?", id).Take(&c).Error
	switch {
	case db.IsNone(err):
		return c, errNotFound
	case err != nil:
		return c, fmt.Errorf("read a contact: %w", err)
	}
	return c, nil
}

// Filter narrows a list of contacts; its conditions add up.
type Filter struct {
	Email, Phone, ExternalID string // the whole value
	Query                    string // part of a name, an address or an external id
	HasToken                 string // topic of a token that can still be used
	Audience                 audience.Audience
	Guard                    time.Duration // how long a person is not asked again, for audiences of those who may be
}

// List returns contacts, newest first, and the id after which the next page
// starts: uuid.Nil when there is none. Start with after uuid.Nil.
func (s *Store) List(ctx context.Context, f Filter, after uuid.UUID, limit int) ([]Contact, uuid.UUID, error) {
	q, possible := s.filter(s.db.Read(ctx), f)
	if !possible {
		return nil, uuid.Nil, nil
	}
	if after != uuid.Nil {
		q = q.Where("id < ?", after)
	}
	var rows []Contact
	if err := q.Order("id DESC").Limit(limit + 1).Find(&rows).Error; err != nil {
		return nil, uuid.Nil, fmt.Errorf("list contacts: %w", err)
	}
	if len(rows) <= limit {
		return rows, uuid.Nil, nil
	}
	return rows[:limit], rows[limit-1].ID, nil
}

// filter reports false when nothing can match.
func (s *Store) filter(q *gorm.DB, f Filter) (*gorm.DB, bool) {
	possible := true
	exact := func(column, v string, form func(string) (string, bool)) {
		if v != "" {
			v, possible = form(strings.TrimSpace(v))
			q = q.Where(column+" = ?", v)
		}
	}
	exact("email", f.Email, email)
	if possible {
		exact("phone", f.Phone, s.phone)
	}
	if f.ExternalID != "" {
		q = q.Where("external_id = ?", f.ExternalID)
	}
	if f.Query != "" {
		part := "%" + strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`).Replace(strings.ToLower(strings.TrimSpace(f.Query))) + "%"
		q = q.Where(`(LOWER(first_name || ' ' || last_name) LIKE ? ESCAPE '\' OR email LIKE ? ESCAPE '\' OR phone LIKE ? ESCAPE '\' OR LOWER(external_id) LIKE ? ESCAPE '\')`,
			part, part, part, part)
	}
	if f.HasToken != "" {
		q = q.Where("EXISTS (SELECT 1 FROM tokens t WHERE t.contact_id = contacts.id AND t.topic = ? AND t.status = 'available' AND t.expires_at > ?)", f.HasToken, s.now())
	}
	if !f.Audience.Everyone() {
		where, args := f.Audience.Where("contacts", audience.Moment{Now: s.now(), Guard: f.Guard})
		q = q.Where("("+where+")", args...)
	}
	return q, possible
}

// Addresses returns the Messenger addresses of contacts, oldest first.
func (s *Store) Addresses(ctx context.Context, ids ...uuid.UUID) (map[uuid.UUID][]Address, error) {
	out := map[uuid.UUID][]Address{}
	if len(ids) == 0 {
		return out, nil
	}
	var rows []Address
	if err := s.db.Read(ctx).Where("contact_id IN ?", ids).Order("created_at, page_id").Find(&rows).Error; err != nil {
		return nil, fmt.Errorf("read Messenger addresses: %w", err)
	}
	for _, a := range rows {
		out[a.ContactID] = append(out[a.ContactID], a)
	}
	return out, nil
}
