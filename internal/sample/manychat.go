package sample

import (
	"bufio"
	"errors"
	"time"
)

// writeManyChat writes what another bot platform knows: the page-scoped id of
// each person, the e-mail address or phone by which the CRM knows them too, and
// with a topic the token that they gave.
func writeManyChat(w *bufio.Writer, o Options) error {
	if o.Page == "" {
		return errors.New("this format needs the id of the page")
	}
	head := []string{"email", "phone", "first_name", "last_name", "messenger.page_id", "messenger.psid"}
	if o.Topic != "" {
		head = append(head, "tokens.page_id", "tokens.topic", "tokens.token", "tokens.granted_at")
	}
	if _, err := w.WriteString(record(head)); err != nil {
		return err
	}
	people := NewSource(o.Seed, o.Complete)
	for n := 1; n <= o.Count; n++ {
		if !o.writes(n) {
			continue
		}
		if _, err := w.WriteString(record(subscriber(people.Person(n), o))); err != nil {
			return err
		}
	}
	return nil
}

func subscriber(p Person, o Options) []string {
	cells := []string{p.Email, p.Phone, p.First, p.Last, o.Page, PSID(p.Number)}
	switch {
	case o.permits(p.Number):
		cells = append(cells, o.Page, o.Topic, Token(o.GraphPage, p.Number), o.GrantedAt.UTC().Format(time.RFC3339))
	case o.Topic != "":
		cells = append(cells, "", "", "", "")
	}
	return cells
}
