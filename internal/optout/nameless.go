package optout

import (
	"fmt"
	"slices"

	"beckon/internal/channel"
	"beckon/internal/db"
)

// named fills in whom a refusal is about that names only a message of ours: many
// mailbox providers leave the address out of the complaints that they pass on.
// The events that came are not changed.
func named(tx *db.Tx, h channel.Heard) ([]channel.Event, error) {
	var ids []int64
	for _, ev := range h.Events {
		if nameless(ev) {
			ids = append(ids, ev.Delivery)
		}
	}
	if len(ids) == 0 {
		return h.Events, nil
	}
	column := map[channel.Kind]string{channel.SMS: "phone", channel.Email: "email"}[h.Channel]
	var rows []struct {
		ID      int64
		Address string
	}
	err := tx.Raw(`SELECT d.id, c.`+column+` AS address FROM ? JOIN deliveries d ON d.id = v.id JOIN contacts c ON c.id = d.contact_id
		WHERE c.`+column+` IS NOT NULL`, tx.Values("v", db.Int64s("id", ids))).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("find who refuses: %w", err)
	}
	whose := make(map[int64]string, len(rows))
	for _, r := range rows {
		whose[r.ID] = r.Address
	}
	events := slices.Clone(h.Events)
	for i, ev := range events {
		if nameless(ev) {
			events[i].Address = whose[ev.Delivery]
		}
	}
	return events, nil
}

func nameless(ev channel.Event) bool {
	return ev.Kind == channel.EventStop && ev.Address == "" && ev.Delivery != 0
}
