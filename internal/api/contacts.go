package api

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"beckon/internal/api/gen"
	"beckon/internal/audience"
	"beckon/internal/contact"
	"beckon/internal/route"
	"beckon/internal/token"
)

// UpsertContact serves PUT /v1/contacts/by-external-id/{external_id}.
func (s *Server) UpsertContact(ctx context.Context, r gen.UpsertContactRequestObject) (gen.UpsertContactResponseObject, error) {
	c, created, err := s.Contacts.Upsert(ctx, upsertDraft(r.ExternalID, *r.Body))
	if err != nil {
		return nil, err
	}
	a, err := s.contactAnswer(ctx, c)
	if created {
		return gen.UpsertContact201JSONResponse(a), err
	}
	return gen.UpsertContact200JSONResponse(a), err
}

// CreateContact serves POST /v1/contacts.
func (s *Server) CreateContact(ctx context.Context, r gen.CreateContactRequestObject) (gen.CreateContactResponseObject, error) {
	c, err := s.Contacts.Create(ctx, createDraft(*r.Body))
	if err != nil {
		return nil, err
	}
	a, err := s.contactAnswer(ctx, c)
	return gen.CreateContact201JSONResponse(a), err
}

// ListContacts serves GET /v1/contacts.
func (s *Server) ListContacts(ctx context.Context, r gen.ListContactsRequestObject) (gen.ListContactsResponseObject, error) {
	q := r.Params
	var after uuid.UUID
	if err := readCursor(q.Cursor, &after); err != nil {
		return nil, err
	}
	filter := contact.Filter{Email: orZero(q.Email), Phone: orZero(q.Phone), ExternalID: orZero(q.ExternalID),
		Query: orZero(q.Q), HasToken: orZero(q.HasToken), Guard: s.OptIns.Guard()}
	var err error
	if filter.Audience, err = audience.Parse(json.RawMessage(orZero(q.Audience))); err != nil {
		return nil, inQuery(err)
	}
	rows, last, err := s.Contacts.List(ctx, filter, after, limitOf(q.Limit))
	if err != nil {
		return nil, err
	}
	data, err := s.contactAnswers(ctx, rows)
	if err != nil {
		return nil, err
	}
	next, err := cursorAfter(last)
	return gen.ListContacts200JSONResponse{Data: data, NextCursor: next}, err
}

// GetContact serves GET /v1/contacts/{id}.
func (s *Server) GetContact(ctx context.Context, r gen.GetContactRequestObject) (gen.GetContactResponseObject, error) {
	c, err := s.Contacts.Get(ctx, r.ID)
	if err != nil {
		return nil, err
	}
	a, err := s.contactAnswer(ctx, c)
	return gen.GetContact200JSONResponse(a), err
}

// UpdateContact serves PATCH /v1/contacts/{id}.
func (s *Server) UpdateContact(ctx context.Context, r gen.UpdateContactRequestObject) (gen.UpdateContactResponseObject, error) {
	c, err := s.Contacts.Patch(ctx, r.ID, patchDraft(*r.Body))
	if err != nil {
		return nil, err
	}
	a, err := s.contactAnswer(ctx, c)
	return gen.UpdateContact200JSONResponse(a), err
}

// EraseContact serves DELETE /v1/contacts/{id}.
func (s *Server) EraseContact(ctx context.Context, r gen.EraseContactRequestObject) (gen.EraseContactResponseObject, error) {
	return gen.EraseContact204Response{}, s.Contacts.Erase(ctx, r.ID)
}

func (s *Server) contactAnswer(ctx context.Context, c contact.Contact) (gen.Contact, error) {
	all, err := s.contactAnswers(ctx, []contact.Contact{c})
	if err != nil {
		return gen.Contact{}, err
	}
	return all[0], nil
}

// contactAnswers looks up the addresses and tokens of all contacts together.
func (s *Server) contactAnswers(ctx context.Context, rows []contact.Contact) ([]gen.Contact, error) {
	out := make([]gen.Contact, len(rows))
	if len(rows) == 0 {
		return out, nil
	}
	ids := each(rows, func(c contact.Contact) uuid.UUID { return c.ID })
	addresses, err := s.Contacts.Addresses(ctx, ids...)
	if err != nil {
		return nil, err
	}
	tokens, err := s.Tokens.ListOf(ctx, ids...)
	if err != nil {
		return nil, err
	}
	recurring, err := s.Tokens.RecurringOf(ctx, ids...)
	if err != nil {
		return nil, err
	}
	for i, c := range rows {
		if out[i], err = personAnswer(c); err != nil {
			return nil, err
		}
		out[i].Messenger = each(addresses[c.ID], addressAnswer)
		out[i].Tokens = each(tokens[c.ID], contactTokenAnswer)
		out[i].RecurringTokens = each(recurring[c.ID], s.recurringAnswer)
	}
	return out, nil
}

func personAnswer(c contact.Contact) (gen.Contact, error) {
	attributes, err := attributesAnswer(c.Attributes)
	if err != nil {
		return gen.Contact{}, fmt.Errorf("read the attributes of contact %s: %w", c.ID, err)
	}
	return gen.Contact{ID: c.ID, ExternalID: orNull(c.ExternalID), FirstName: orNull(c.FirstName), LastName: orNull(c.LastName),
		Email: orNull(c.Email), Phone: orNull(c.Phone), Locale: orNull(c.Locale), TimeZone: orNull(c.TimeZone),
		Attributes: attributes, Consents: gen.Consents{SMS: consentAnswer(c.SMSConsent), Email: consentAnswer(c.EmailConsent)},
		CreatedAt: c.CreatedAt, UpdatedAt: c.UpdatedAt}, nil
}

// attributesAnswer keeps the values as they are stored: numbers stay whole.
func attributesAnswer(a contact.Attributes) (gen.Attributes, error) {
	var values map[string]json.RawMessage
	if len(a) > 0 {
		if err := json.Unmarshal(a, &values); err != nil {
			return nil, err
		}
	}
	out := make(gen.Attributes, len(values))
	for name, v := range values {
		out[name] = v
	}
	return out, nil
}

func consentAnswer(c contact.Consent) *gen.Consent {
	if c.Status == "" || c.At == nil {
		return nil
	}
	return &gen.Consent{Status: gen.ConsentStatus(c.Status), Source: c.Source, At: *c.At, Evidence: orNull(c.Evidence)}
}

func addressAnswer(a contact.Address) gen.MessengerAddress {
	out := gen.MessengerAddress{PageID: a.PageID, PSID: a.PSID, Blocked: a.BlockedAt != nil}
	if a.LastActionAt != nil {
		closes := a.LastActionAt.Add(route.Window)
		out.WindowClosesAt = &closes
	}
	out.ThreadHeldUntil = a.HeldUntil
	return out
}

func contactTokenAnswer(t token.Token) gen.ContactToken {
	return gen.ContactToken{PageID: t.PageID, Topic: t.Topic, Status: gen.TokenStatus(t.Status), GrantedAt: t.GrantedAt, ExpiresAt: t.ExpiresAt}
}
