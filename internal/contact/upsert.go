package contact

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"beckon/internal/db"
	"beckon/internal/fault"
)

// Upsert makes or changes the contact that a draft is about: by its external
// id, then Messenger id, e-mail address and phone number. It reports whether
// the contact was made.
func (s *Store) Upsert(ctx context.Context, d Draft) (Contact, bool, error) {
	return s.one(ctx, s.check(d, match, s.api()))
}

// Create makes a contact. An address that another contact holds is a conflict,
// address_taken; a Messenger id of an anonymous contact is taken over.
func (s *Store) Create(ctx context.Context, d Draft) (Contact, error) {
	c, _, err := s.one(ctx, s.check(d, create, s.api()))
	return c, err
}

// Patch changes a contact: null removes, what is left out stays.
func (s *Store) Patch(ctx context.Context, id uuid.UUID, d Draft) (Contact, error) {
	it := s.check(d, change, s.api())
	it.id = id
	c, _, err := s.one(ctx, it)
	return c, err
}

// PatchIn is Patch in the caller's transaction, with what the person answered in the
// bot. Nothing is written when it returns a fault, and the transaction can go on.
func (s *Store) PatchIn(ctx context.Context, tx *db.Tx, id uuid.UUID, d Draft) error {
	o := s.api()
	o.how = HowBot
	it := s.check(d, change, o)
	it.id = id
	results, err := s.settle(ctx, tx, []item{it})
	if err != nil {
		return err
	}
	return results[0].Err
}

func (s *Store) one(ctx context.Context, it item) (c Contact, created bool, err error) {
	err = s.db.Transact(ctx, func(tx *db.Tx) error {
		results, err := s.settle(ctx, tx, []item{it})
		if err != nil {
			return err
		}
		r := results[0]
		if r.Err != nil {
			return r.Err
		}
		c, created = r.who.root().Contact, r.Created
		return nil
	})
	return c, created, err
}

// UpsertMany is Upsert for many drafts in the caller's transaction, with a
// number of statements that does not depend on how many there are. Each draft
// has its own result: a refused one stops no other. Drafts are applied in
// order, so a later one about the same person sees the earlier one's effect.
func (s *Store) UpsertMany(ctx context.Context, tx *db.Tx, drafts []Draft) ([]Result, error) {
	return s.settle(ctx, tx, s.checkAll(drafts, match, s.api()))
}

const settleTries = 20

// settle works items in a savepoint. When somebody else wins the race to make
// the same person, it looks again: then the person is there.
func (s *Store) settle(ctx context.Context, tx *db.Tx, items []item) ([]Result, error) {
	for try := 1; ; try++ {
		results, err := s.settleOnce(ctx, tx, items)
		switch {
		case err == nil || db.DuplicateOf(err) == "":
			return results, err
		case try == settleTries:
			return nil, fault.New(fault.Unavailable, "busy", "Others are changing the same contacts. Try again.").Because(err)
		}
	}
}

func (s *Store) settleOnce(ctx context.Context, tx *db.Tx, items []item) ([]Result, error) {
	if err := tx.Exec("SAVEPOINT contacts").Error; err != nil {
		return nil, fmt.Errorf("set a savepoint: %w", err)
	}
	results, err := s.applyAll(ctx, tx, items)
	if err != nil {
		return nil, errors.Join(err, tx.Exec("ROLLBACK TO SAVEPOINT contacts").Error, tx.Exec("RELEASE SAVEPOINT contacts").Error)
	}
	if err := tx.Exec("RELEASE SAVEPOINT contacts").Error; err != nil {
		return nil, fmt.Errorf("release a savepoint: %w", err)
	}
	return results, nil
}

func (s *Store) applyAll(ctx context.Context, tx *db.Tx, items []item) ([]Result, error) {
	b, err := s.newBatch(tx, items)
	if err != nil {
		return nil, err
	}
	results := make([]Result, len(items))
	for i := range items {
		results[i] = b.apply(&items[i])
	}
	if err := b.write(ctx, tx); err != nil {
		return nil, err
	}
	for i := range results {
		if who := results[i].who; who != nil {
			results[i].ContactID = who.root().ID
		}
	}
	return results, nil
}

func (s *Store) hash(kind, value string) []byte {
	if value == "" {
		return nil
	}
	return s.box.Hash(kind, value)
}
