package contact

import (
	"fmt"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// Party is who is behind an address of one channel, as far as it is known here.
type Party struct {
	ContactID  uuid.UUID       // Nil when nobody holds the address
	Suppressed map[string]bool // by the reasons for which the address is
}

// Parties finds who is behind addresses, by the address as it was given. Locks
// nothing.
func (s *Store) Parties(tx *db.Tx, kind channel.Kind, addresses []string) (map[string]Party, error) {
	out := make(map[string]Party, len(addresses))
	hashes := make([][]byte, len(addresses))
	for i, a := range addresses {
		hashes[i] = s.hashAsIs(kind, a)
		out[a] = Party{Suppressed: map[string]bool{}}
	}
	var found []struct {
		Address   string
		ContactID uuid.NullUUID
		Reason    *string
	}
	err := tx.Raw(`SELECT v.address, c.id AS contact_id, s.reason FROM ? LEFT JOIN contacts c ON c.`+hashKind(kind)+`_hash = v.hash
		LEFT JOIN suppressions s ON s.channel = ? AND s.hash = v.hash`,
		tx.Values("v", db.Texts("address", addresses), db.Blobs("hash", hashes)), string(kind)).Scan(&found).Error
	if err != nil {
		return nil, fmt.Errorf("find who is behind addresses: %w", err)
	}
	for _, f := range found {
		p := out[f.Address]
		p.ContactID = f.ContactID.UUID
		if f.Reason != nil {
			p.Suppressed[*f.Reason] = true
		}
		out[f.Address] = p
	}
	return out, nil
}

// Refused reports whether a contact's address of a channel is suppressed for a
// reason.
func (s *Store) Refused(tx *db.Tx, kind channel.Kind, contactID uuid.UUID, reason string) (is bool, err error) {
	err = tx.Raw(`SELECT EXISTS (SELECT 1 FROM contacts c JOIN suppressions s ON s.channel = ? AND s.hash = c.`+hashKind(kind)+`_hash AND s.reason = ? WHERE c.id = ?)`,
		string(kind), reason, contactID).Row().Scan(&is)
	if err != nil {
		return false, fmt.Errorf("look for a refusal: %w", err)
	}
	return is, nil
}
