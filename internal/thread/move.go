package thread

import (
	"context"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/fault"
)

// Move is a hand-over of a contact's thread on a page.
type Move struct {
	ContactID, PageID uuid.UUID
	Action            string // channel.StatusPass, StatusTake or StatusRequest
	Target            string // with StatusPass: id of the app that gets the thread, for example PageInbox
	Metadata          string // for the other app; may be empty
}

// Thread says who holds a contact's thread on a page.
type Thread struct {
	contact.Address
	Owner string // the app's id, as Graph says; "" when it named none or was not asked
	By    string // with a thread that is held: the app's id; "" when nobody named it
	Held  bool   // another app or a human holds it, and it is left alone
}

var (
	errNoAddress = fault.New(fault.Invalid, "no_address", "The contact has no Messenger address on this page.")
	errNoPage    = fault.New(fault.Invalid, "page_not_found", "There is no such page.").
			With(fault.Field{Pointer: "/page_id", Code: "page_not_found", Detail: "There is no such page."})
	errAbsent   = fault.New(fault.Unavailable, "channel_absent", "Messenger is not set up.")
	errNoTarget = fault.InvalidFields(fault.Field{Pointer: "/target_app_id", Code: "required", Detail: "Must be the id of the app that is to get the thread."})
	errTarget   = fault.InvalidFields(fault.Field{Pointer: "/target_app_id", Code: "not_allowed", Detail: "Goes with the action pass only."})
)

// Move hands a thread over and notes who holds it then. Graph's refusal is an
// Invalid fault with the code refused_by_graph; graph_unavailable means that
// nobody knows whether it was done, and that it can be done again.
func (s *Service) Move(ctx context.Context, m Move) (Thread, error) {
	switch pass := m.Action == channel.StatusPass; {
	case pass && m.Target == "":
		return Thread{}, errNoTarget
	case !pass && m.Target != "":
		return Thread{}, errTarget
	}
	page, at, err := s.place(ctx, m.ContactID, m.PageID)
	if err != nil {
		return Thread{}, err
	}
	r := s.Graph.MoveThread(ctx, page, channel.ThreadMove{Action: m.Action, PSID: at.PSID, Target: m.Target, Metadata: m.Metadata})
	if err := problem(r); err != nil {
		return Thread{}, err
	}
	owner, err := s.moved(context.WithoutCancel(ctx), m, at.PSID)
	if err != nil {
		return Thread{}, err
	}
	return s.show(ctx, m.ContactID, m.PageID, owner)
}

// moved notes whose the thread is now, and returns the app.
func (s *Service) moved(ctx context.Context, m Move, psid string) (owner string, err error) {
	sign := contact.Sign{Kind: contact.HandedOver, PSID: psid, At: s.Now()}
	switch m.Action {
	case channel.StatusPass:
		sign.App, owner = m.Target, m.Target
		if m.Target == s.AppID {
			sign.App = contact.Us
		}
	case channel.StatusTake:
		sign.App, owner = contact.Us, s.AppID
	default:
		return "", nil
	}
	return owner, s.DB.Transact(ctx, func(tx *db.Tx) error {
		return s.Contacts.NoteThreads(ctx, tx, m.PageID, []contact.Sign{sign})
	})
}

// Owner asks Graph who holds a thread. It changes nothing.
func (s *Service) Owner(ctx context.Context, contactID, pageID uuid.UUID) (Thread, error) {
	page, at, err := s.place(ctx, contactID, pageID)
	if err != nil {
		return Thread{}, err
	}
	app, r := s.Graph.ThreadOwner(ctx, page, at.PSID)
	if err := problem(r); err != nil {
		return Thread{}, err
	}
	return s.show(ctx, contactID, pageID, app)
}

func (s *Service) place(ctx context.Context, contactID, pageID uuid.UUID) (channel.Page, contact.Address, error) {
	if s.Graph == nil {
		return channel.Page{}, contact.Address{}, errAbsent
	}
	if _, err := s.Contacts.Get(ctx, contactID); err != nil {
		return channel.Page{}, contact.Address{}, err
	}
	page, err := s.Pages.Sender(ctx, pageID)
	if fault.Is(err, fault.NotFound) {
		err = errNoPage
	}
	if err != nil {
		return channel.Page{}, contact.Address{}, err
	}
	at, err := s.address(ctx, contactID, pageID)
	return page, at, err
}

func (s *Service) address(ctx context.Context, contactID, pageID uuid.UUID) (contact.Address, error) {
	all, err := s.Contacts.Addresses(ctx, contactID)
	if err != nil {
		return contact.Address{}, err
	}
	for _, a := range all[contactID] {
		if a.PageID == pageID {
			return a, nil
		}
	}
	return contact.Address{}, errNoAddress
}

func (s *Service) show(ctx context.Context, contactID, pageID uuid.UUID, owner string) (Thread, error) {
	at, err := s.address(ctx, contactID, pageID)
	if err != nil {
		return Thread{}, err
	}
	t := Thread{Address: at, Owner: owner, Held: at.Held(s.Now())}
	if t.Held {
		t.By = holder(at)
	}
	return t, nil
}

// holder names the app that holds a thread, where one was named.
func holder(a contact.Address) string {
	human := a.HumanAt != nil
	if human && (a.ThreadAppAt == nil || a.HumanAt.After(*a.ThreadAppAt)) && (a.StandbyAt == nil || !a.StandbyAt.After(*a.HumanAt)) {
		return PageInbox
	}
	if a.ThreadApp == contact.Us || a.ThreadApp == contact.Other {
		return ""
	}
	return a.ThreadApp
}

// problem is what a call that failed means to who asked for it.
func problem(r channel.Result) error {
	code := r.Code
	if code == "" {
		code = "none"
	}
	switch r.Outcome {
	case channel.Accepted:
		return nil
	case channel.TryLater, channel.Unknown:
		if !r.Elsewhere {
			return fault.New(fault.Unavailable, "graph_unavailable", "Graph did not answer as it should: %s (code %s).", r.Detail, code)
		}
	}
	return fault.New(fault.Invalid, "refused_by_graph", "Graph refused: %s (code %s).", r.Detail, code)
}
