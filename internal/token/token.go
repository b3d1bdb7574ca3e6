// Package token keeps the permissions people give: topics, the "Notify Me"
// requests that ask for a one-time token, and each token's way from granted to
// spent, so that none is ever used twice.
package token

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/seal"
)

// Status is where a token is on its way.
type Status string

// The states of a token: available → reserved → spent; back to available only
// when the provider definitely did not take it; expired and void are ends.
const (
	Available Status = "available"
	Reserved  Status = "reserved"
	Spent     Status = "spent"
	Expired   Status = "expired"
	Void      Status = "void"
)

// sealedAs is what token values are bound to when they are sealed, and the
// kind of their hash.
const sealedAs = "token"

const columns = "id, contact_id, page_id, topic, status, source, granted_at, expires_at, delivery_id, updated_at"

// Token is permission to send one Messenger message for a topic, once, within
// a year. Its value is not part of it: only Reserve hands that out.
type Token struct {
	ID         uuid.UUID `gorm:"primaryKey"`
	ContactID  uuid.UUID
	PageID     uuid.UUID
	Topic      string
	Status     Status
	Source     Source
	GrantedAt  time.Time
	ExpiresAt  time.Time
	DeliveryID *int64 // who reserved it last; nil when nobody did
	UpdatedAt  time.Time
}

var errNoToken = fault.New(fault.NotFound, "token_not_found", "There is no such token.")

// Store keeps topics, tokens and opt-in requests. It is safe for use by many
// goroutines.
type Store struct {
	db  *db.DB
	box *seal.Box
	now func() time.Time
}

// NewStore returns a store whose token values are sealed with box.
func NewStore(d *db.DB, box *seal.Box, now func() time.Time) *Store {
	return &Store{db: d, box: box, now: now}
}

func (s *Store) moment() time.Time { return s.now().UTC().Truncate(time.Microsecond) }

// List returns up to limit tokens of a contact, newest first: those after the
// token with the id after, or the first ones when after is uuid.Nil.
func (s *Store) List(ctx context.Context, contactID, after uuid.UUID, limit int) ([]Token, error) {
	q := s.db.Read(ctx).Table("tokens").Select(columns).Where("contact_id = ?", contactID).Order("id DESC").Limit(limit)
	if after != uuid.Nil {
		q = q.Where("id < ?", after)
	}
	var list []Token
	if err := q.Scan(&list).Error; err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	return s.asOfNow(list), nil
}

// ListOf returns all tokens of some contacts, newest first, by contact.
func (s *Store) ListOf(ctx context.Context, contactIDs ...uuid.UUID) (map[uuid.UUID][]Token, error) {
	var list []Token
	err := s.db.Read(ctx).Raw("SELECT "+columns+" FROM tokens WHERE contact_id IN ? ORDER BY id DESC", contactIDs).Scan(&list).Error
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	of := make(map[uuid.UUID][]Token, len(contactIDs))
	for _, t := range s.asOfNow(list) {
		of[t.ContactID] = append(of[t.ContactID], t)
	}
	return of, nil
}

// ByValue returns the token a Page has under a value, or a NotFound fault. It
// may belong to any contact.
func (s *Store) ByValue(ctx context.Context, tx *db.Tx, pageID uuid.UUID, value string) (Token, error) {
	var list []Token
	err := tx.WithContext(ctx).Raw("SELECT "+columns+" FROM tokens WHERE page_id = ? AND value_hash = ?",
		pageID, s.box.Hash(sealedAs, value)).Scan(&list).Error
	switch {
	case err != nil:
		return Token{}, fmt.Errorf("find token: %w", err)
	case len(list) == 0:
		return Token{}, errNoToken
	}
	return s.asOfNow(list)[0], nil
}

// asOfNow shows a token as expired from its last moment on, though the job
// that writes it down comes later.
func (s *Store) asOfNow(list []Token) []Token {
	now := s.moment()
	for i := range list {
		if list[i].Status == Available && !now.Before(list[i].ExpiresAt) {
			list[i].Status = Expired
		}
	}
	return list
}
