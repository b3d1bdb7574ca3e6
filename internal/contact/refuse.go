package contact

import (
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"beckon/internal/fault"
)

// refuse says why the draft cannot be applied to p, or nil.
func (b *batch) refuse(it *item, p *person, fits bool) error {
	var wrong, taken []fault.Field
	if !fits {
		wrong = append(wrong, fault.Field{Pointer: "/attributes", Code: "too_large", Detail: "Must stay under 16 KB and 100 names in all."})
	}
	wrong = append(wrong, b.unknown(it)...)
	for _, v := range []struct {
		pointer string
		value   Optional[string]
		field   field
	}{{"/external_id", it.ExternalID, byExternal}, {"/email", it.Email, byEmail}, {"/phone", it.Phone, byPhone}} {
		if h := b.holder(v.value, v.field); h != nil && h != p {
			taken = append(taken, held(v.pointer))
		}
	}
	taken = append(taken, b.refuseMessenger(it, p)...)
	if len(taken) > 0 {
		return fault.New(fault.Conflict, "address_taken", "Another contact holds this.").With(append(taken, wrong...)...)
	}
	return fault.InvalidFields(wrong...)
}

func held(pointer string) fault.Field {
	return fault.Field{Pointer: pointer, Code: "address_taken", Detail: "Another contact holds this."}
}

// refuseMessenger says which Messenger ids the person cannot have. One that an
// anonymous contact holds can be had, by merging, unless their pages overlap.
func (b *batch) refuseMessenger(it *item, p *person) (out []fault.Field) {
	if len(it.Messenger) == 0 {
		return nil
	}
	pages := map[uuid.UUID]bool{}
	if p != nil {
		for page := range p.pages {
			pages[page] = true
		}
	}
	for i, m := range it.Messenger {
		h := b.at(m)
		if h != nil && h == p || slices.Contains(it.Messenger[:i], m) {
			continue
		}
		at := fmt.Sprintf("/messenger/%d/psid", i)
		if h != nil && !h.Anonymous() {
			out = append(out, held(at))
			continue
		}
		if !room(pages, m.PageID, h) {
			out = append(out, fault.Field{Pointer: at, Code: "page_taken", Detail: "The contact has another id on this page."})
		}
	}
	return out
}

// room takes the pages that an id and its holder would bring, if they are free.
func room(taken map[uuid.UUID]bool, page uuid.UUID, h *person) bool {
	brings := []uuid.UUID{page}
	if h != nil {
		brings = slices.Collect(maps.Keys(h.pages))
	}
	for _, id := range brings {
		if taken[id] {
			return false
		}
		taken[id] = true
	}
	return true
}

// unknown names pages and topics that do not exist.
func (b *batch) unknown(it *item) (out []fault.Field) {
	page := func(at string, i int, id uuid.UUID) {
		if !b.pages[id] {
			out = append(out, fault.Field{Pointer: fmt.Sprintf("/%s/%d/page_id", at, i), Code: "page_not_found", Detail: "There is no such page."})
		}
	}
	for i, m := range it.Messenger {
		page("messenger", i, m.PageID)
	}
	for i, t := range it.Tokens {
		page("tokens", i, t.PageID)
		if !b.topics[t.Topic] {
			out = append(out, fault.Field{Pointer: fmt.Sprintf("/tokens/%d/topic", i), Code: "topic_not_found", Detail: "There is no such topic."})
		}
	}
	return out
}
