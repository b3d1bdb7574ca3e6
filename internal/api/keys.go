package api

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm/clause"

	"beckon/internal/db"
	"beckon/internal/fault"
)

// Scope is one thing that a key is good for.
type Scope string

// The closed set of scopes. Admin includes all, and each write scope the read
// scope of the same name.
const (
	PagesRead      Scope = "pages:read"
	PagesWrite     Scope = "pages:write"
	ContactsRead   Scope = "contacts:read"
	ContactsWrite  Scope = "contacts:write"
	CampaignsRead  Scope = "campaigns:read"
	CampaignsWrite Scope = "campaigns:write"
	Admin          Scope = "admin"
)

// Scopes returns the closed set.
func Scopes() []Scope {
	return []Scope{PagesRead, PagesWrite, ContactsRead, ContactsWrite, CampaignsRead, CampaignsWrite, Admin}
}

// Key is who may call the API. The key itself is not in it: only its hash is kept.
type Key struct {
	ID         uuid.UUID
	Name       string
	Hash       []byte
	Scopes     []Scope `gorm:"serializer:json"`
	CreatedAt  time.Time
	LastUsedAt *time.Time // exact to the hour
	RevokedAt  *time.Time
}

// TableName is the table of keys.
func (Key) TableName() string { return "api_keys" }

// Allows reports whether the key is good for the scope.
func (k Key) Allows(s Scope) bool {
	if slices.Contains(k.Scopes, Admin) || slices.Contains(k.Scopes, s) {
		return true
	}
	name, read := strings.CutSuffix(string(s), ":read")
	return read && slices.Contains(k.Scopes, Scope(name+":write"))
}

const (
	keyPrefix = "bk_"
	keyBytes  = 32
	keyFresh  = 3 * time.Second // how long a look-up is trusted: a revoked key works no longer than that
	keyUsed   = time.Hour       // how exact last_used_at is
	keyCache  = 10_000
)

// Keys keeps the API keys. It is safe for use by many goroutines.
type Keys struct {
	db  *db.DB
	now func() time.Time

	mu    sync.Mutex
	known map[[sha256.Size]byte]knownKey
}

type knownKey struct {
	key   Key
	until time.Time
}

// NewKeys returns the keys kept in d.
func NewKeys(d *db.DB, now func() time.Time) *Keys {
	return &Keys{db: d, now: now, known: map[[sha256.Size]byte]knownKey{}}
}

// Create makes a key. The second result is the key itself, which can never be
// had again.
func (k *Keys) Create(ctx context.Context, name string, scopes []Scope) (Key, string, error) {
	secret := newSecret()
	key := k.newKey(name, secret, scopes)
	err := k.db.Transact(ctx, func(tx *db.Tx) error { return tx.Create(&key).Error })
	if err != nil {
		return Key{}, "", fmt.Errorf("store the key: %w", err)
	}
	return key, secret, nil
}

// Ensure stores a key whose secret was chosen outside, unless it is there. It
// does not bring back one that was revoked.
func (k *Keys) Ensure(ctx context.Context, name, secret string, scopes []Scope) error {
	if !strings.HasPrefix(secret, keyPrefix) || len(secret) < len(keyPrefix)+keyBytes {
		return fault.New(fault.Invalid, "weak_key", "A key starts with %s and has at least %d characters after it.", keyPrefix, keyBytes)
	}
	key := k.newKey(name, secret, scopes)
	err := k.db.Transact(ctx, func(tx *db.Tx) error {
		return tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "hash"}}, DoNothing: true}).Create(&key).Error
	})
	if err != nil {
		return fmt.Errorf("store the key: %w", err)
	}
	return nil
}

func (k *Keys) newKey(name, secret string, scopes []Scope) Key {
	hash := sha256.Sum256([]byte(secret))
	return Key{ID: newID(), Name: name, Hash: hash[:], Scopes: scopes, CreatedAt: k.time()}
}

func (k *Keys) time() time.Time { return k.now().UTC().Truncate(time.Microsecond) }

// newSecret draws 32 random bytes, written in base 62.
func newSecret() string {
	raw := make([]byte, keyBytes)
	_, _ = rand.Read(raw) // never fails
	text := new(big.Int).SetBytes(raw).Text(62)
	return keyPrefix + strings.Repeat("0", 43-len(text)) + text
}

// Find returns the key in force that the secret belongs to; any other secret
// is an Unauthorized fault.
func (k *Keys) Find(ctx context.Context, secret string) (Key, error) {
	if !strings.HasPrefix(secret, keyPrefix) || len(secret) > 200 {
		return Key{}, errNoKey()
	}
	hash := sha256.Sum256([]byte(secret))
	if key, ok := k.recall(hash); ok {
		return key, nil
	}
	var key Key
	err := k.db.Read(ctx).Where("hash = ? AND revoked_at IS NULL", hash[:]).Take(&key).Error
	if db.IsNone(err) {
		return Key{}, errNoKey()
	}
	if err != nil {
		return Key{}, fmt.Errorf("look up the key: %w", err)
	}
	if err := k.touch(ctx, key); err != nil {
		return Key{}, err
	}
	k.remember(hash, key)
	return key, nil
}

func errNoKey() error {
	return fault.New(fault.Unauthorized, "unauthorized", `Send a valid key as "Authorization: Bearer bk_…".`)
}

func (k *Keys) recall(hash [sha256.Size]byte) (Key, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	known, ok := k.known[hash]
	return known.key, ok && k.now().Before(known.until)
}

func (k *Keys) remember(hash [sha256.Size]byte, key Key) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.known) >= keyCache {
		clear(k.known)
	}
	k.known[hash] = knownKey{key, k.now().Add(keyFresh)}
}

// touch notes that a key was used, at most once an hour.
func (k *Keys) touch(ctx context.Context, key Key) error {
	now := k.time()
	if key.LastUsedAt != nil && now.Sub(*key.LastUsedAt) < keyUsed {
		return nil
	}
	err := k.db.Transact(ctx, func(tx *db.Tx) error {
		return tx.Model(&Key{}).Where("id = ?", key.ID).Update("last_used_at", now).Error
	})
	if err != nil {
		return fmt.Errorf("note the use of the key: %w", err)
	}
	return nil
}

// List returns the keys in force, newest first, from the one after the given
// id; the zero id begins at the newest.
func (k *Keys) List(ctx context.Context, after uuid.UUID, limit int) ([]Key, error) {
	q := k.db.Read(ctx).Where("revoked_at IS NULL").Order("id DESC").Limit(limit)
	if after != uuid.Nil {
		q = q.Where("id < ?", after)
	}
	var keys []Key
	if err := q.Find(&keys).Error; err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return keys, nil
}

// Revoke ends a key: at once on this node, within seconds on others.
func (k *Keys) Revoke(ctx context.Context, id uuid.UUID) error {
	var found int64
	err := k.db.Transact(ctx, func(tx *db.Tx) error {
		r := tx.Model(&Key{}).Where("id = ? AND revoked_at IS NULL", id).Update("revoked_at", k.time())
		found = r.RowsAffected
		return r.Error
	})
	if err != nil {
		return fmt.Errorf("revoke the key: %w", err)
	}
	if found == 0 {
		return fault.New(fault.NotFound, "not_found", "There is no such key.")
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	clear(k.known)
	return nil
}
