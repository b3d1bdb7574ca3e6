package token

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/line"
)

// ours begins the payloads of our own requests; the request's id follows.
const ours = "bk:optin:"

// State is what is known of an opt-in request.
type State string

// The states of an opt-in request.
const (
	Sending State = "sending" // written down, the provider is being called
	Sent    State = "sent"
	Failed  State = "failed"  // did not go out
	Unknown State = "unknown" // it may or may not have gone out
	Granted State = "granted" // the person agreed: TokenID says with which token
)

// Kind is what a person is asked for. The kinds have the names of the lanes that
// they open, and of the capabilities that they need.
type Kind string

// The kinds of opt-in requests.
const (
	AskOneTime   Kind = "one_time"  // one message within a year
	AskRecurring Kind = "recurring" // messages again and again, until the person stops them
)

// OptInRequest is a "Notify Me" message that asks a person for a token.
type OptInRequest struct {
	ID         uuid.UUID `gorm:"primaryKey"`
	ContactID  uuid.UUID
	PageID     uuid.UUID
	Topic      string
	Kind       Kind
	State      State
	ProviderID string
	Code       string // the provider's code, when it refused
	TokenID    *uuid.UUID
	AskedAt    time.Time
	UpdatedAt  time.Time
}

// Request is whom to ask for what.
type Request struct {
	ContactID, PageID uuid.UUID
	Topic             string
	Kind              Kind // "" is AskOneTime
}

var (
	errNoRequest = fault.New(fault.NotFound, "opt_in_request_not_found", "There is no such opt-in request.")
	errNobody    = fault.New(fault.Invalid, "contact_not_found", "There is no such contact.").
			With(fault.Field{Pointer: "/contact_id", Code: "contact_not_found", Detail: "There is no such contact."})
	errNoAddress = fault.New(fault.Invalid, "no_address", "The contact has no Messenger address on this page.")
	errWindow    = fault.New(fault.Invalid, "window_closed", "The contact's 24-hour window on this page is closed.")
	errHeld      = fault.New(fault.Invalid, "thread_held", "Another app or a human is talking with the contact on this page.")
	errSaidStop  = fault.New(fault.Invalid, "stopped", "The contact told the page's bot to stop.")
	errRecently  = fault.New(fault.Invalid, "asked_recently", "The contact was asked for this topic not long ago.")
	errStopped   = fault.New(fault.Unavailable, "page_stopped", "Sending for this page is stopped.")
	errTopic     = fault.New(fault.Invalid, "topic_not_found", "There is no such topic.").
			With(fault.Field{Pointer: "/topic", Code: "topic_not_found", Detail: "There is no such topic."})
	errUnsorted = fault.New(fault.Invalid, "topic_unsorted", "The topic for unsorted tokens cannot be asked for.").
			With(fault.Field{Pointer: "/topic", Code: "topic_unsorted", Detail: "The topic for unsorted tokens cannot be asked for."})
)

// Request returns an opt-in request, or a NotFound fault.
func (s *Store) Request(ctx context.Context, id uuid.UUID) (OptInRequest, error) {
	var found []OptInRequest
	if err := s.db.Read(ctx).Raw("SELECT * FROM opt_in_requests WHERE id = ?", id).Scan(&found).Error; err != nil {
		return OptInRequest{}, fmt.Errorf("get opt-in request: %w", err)
	}
	if len(found) == 0 {
		return OptInRequest{}, errNoRequest
	}
	return found[0], nil
}

// Requests returns up to limit requests to a contact, newest first: those after
// the request with the id after, or the first ones when after is uuid.Nil.
func (s *Store) Requests(ctx context.Context, contactID, after uuid.UUID, limit int) ([]OptInRequest, error) {
	q := s.db.Read(ctx).Where("contact_id = ?", contactID).Order("id DESC").Limit(limit)
	if after != uuid.Nil {
		q = q.Where("id < ?", after)
	}
	var list []OptInRequest
	if err := q.Find(&list).Error; err != nil {
		return nil, fmt.Errorf("list opt-in requests: %w", err)
	}
	return list, nil
}

// requestOf reads a payload that was set by us.
func requestOf(payload string) (uuid.UUID, bool) {
	text, ok := strings.CutPrefix(payload, ours)
	id, err := uuid.Parse(text)
	return id, ok && err == nil
}

// topicsOfRequests returns the topics of the requests that payloads name, by request.
func topicsOfRequests(ctx context.Context, tx *db.Tx, payloads []string) (map[uuid.UUID]string, error) {
	var ids []uuid.UUID
	for _, p := range payloads {
		if id, ours := requestOf(p); ours {
			ids = append(ids, id)
		}
	}
	if len(ids) == 0 {
		return map[uuid.UUID]string{}, nil
	}
	var rows []struct {
		ID    uuid.UUID
		Topic string
	}
	err := tx.WithContext(ctx).Raw("SELECT r.id, r.topic FROM ? JOIN opt_in_requests r ON r.id = v.id", tx.Values("v", db.UUIDs("id", ids))).Scan(&rows).Error
	if err != nil {
		return nil, fmt.Errorf("find opt-in requests: %w", err)
	}
	out := make(map[uuid.UUID]string, len(rows))
	for _, r := range rows {
		out[r.ID] = r.Topic
	}
	return out, nil
}

// open writes a request down as being sent, if it may be: it returns the
// person's PSID and the topic's title.
func (s *Store) open(tx *db.Tx, r OptInRequest, guard time.Duration) (psid, title string, err error) {
	t, err := topicIn(tx, r.Topic)
	if errors.Is(err, errNoTopic) {
		return "", "", errTopic
	}
	if err != nil {
		return "", "", err
	}
	// The address is also what two requests at once wait for.
	if psid, err = askable(tx, r); err != nil {
		return "", "", err
	}
	if err := mayAsk(tx, r); err != nil {
		return "", "", err
	}
	if err := unguarded(tx, r, guard); err != nil {
		return "", "", err
	}
	if err := tx.Create(&r).Error; err != nil {
		return "", "", fmt.Errorf("write down the opt-in request: %w", err)
	}
	return psid, t.Title, nil
}

func askable(tx *db.Tx, r OptInRequest) (psid string, err error) {
	var found []struct {
		Psid         string
		LastActionAt *time.Time
		BlockedAt    *time.Time
		HeldUntil    *time.Time
		Stopped      bool
	}
	err = tx.Raw(`SELECT psid, last_action_at, blocked_at, held_until,
			EXISTS (SELECT 1 FROM stops s WHERE s.page_id = a.page_id AND s.contact_id = a.contact_id AND s.stopped) AS stopped
		FROM messenger_addresses a WHERE contact_id = ? AND page_id = ?`+tx.ForUpdate(), r.ContactID, r.PageID).Scan(&found).Error
	switch {
	case err != nil:
		return "", fmt.Errorf("find the Messenger address: %w", err)
	case len(found) == 0:
		return "", noAddress(tx, r.ContactID)
	case found[0].BlockedAt != nil || !channel.InWindow(found[0].LastActionAt, r.AskedAt):
		return "", errWindow
	case found[0].HeldUntil != nil && r.AskedAt.Before(*found[0].HeldUntil):
		return "", errHeld
	case found[0].Stopped:
		return "", errSaidStop
	}
	return found[0].Psid, nil
}

// noAddress says whether it is the person who is not there, or their address.
func noAddress(tx *db.Tx, contact uuid.UUID) error {
	var there bool
	if err := tx.Raw("SELECT EXISTS (SELECT 1 FROM contacts WHERE id = ?)", contact).Scan(&there).Error; err != nil {
		return fmt.Errorf("look whether the contact is there: %w", err)
	}
	if !there {
		return errNobody
	}
	return errNoAddress
}

func unguarded(tx *db.Tx, r OptInRequest, guard time.Duration) error {
	var recently bool
	stopped, err := line.IsStopped(tx, channel.Window.Line(r.PageID.String()))
	err = errors.Join(err,
		tx.Raw(`SELECT EXISTS (SELECT 1 FROM opt_in_requests WHERE contact_id = ? AND page_id = ? AND topic = ? AND asked_at > ? AND (state <> 'failed' OR code = ?))`,
			r.ContactID, r.PageID, r.Topic, r.AskedAt.Add(-guard), asked).Scan(&recently).Error)
	switch {
	case err != nil:
		return fmt.Errorf("look for earlier opt-in requests: %w", err)
	case recently:
		return errRecently
	case stopped:
		return errStopped
	}
	return nil
}

// settle writes down what came of a request. The person's answer may have been
// faster: that stays. A Page that cannot send is stopped for everything, one
// that may only not ask is not.
func (s *Store) settle(tx *db.Tx, page, id uuid.UUID, res channel.Result) error {
	if err := s.NoteAsked(tx, page, res); err != nil {
		return err
	}
	err := tx.Exec(`UPDATE opt_in_requests SET provider_id = ?, code = ?, updated_at = ?,
		state = CASE WHEN state = 'sending' THEN ? ELSE state END WHERE id = ?`,
		res.ProviderID, res.Code, s.moment(), string(stateOf(res.Outcome)), id).Error
	if err != nil {
		return fmt.Errorf("settle opt-in request %s: %w", id, err)
	}
	return nil
}

func stateOf(o channel.Outcome) State {
	switch o {
	case channel.Accepted:
		return Sent
	case channel.Unknown:
		return Unknown
	}
	return Failed
}

// abandon marks requests as unknown that were being sent by a node that died.
func (s *Store) abandon(tx *db.Tx, before time.Time) error {
	err := tx.Exec("UPDATE opt_in_requests SET state = 'unknown', updated_at = ? WHERE state = 'sending' AND asked_at < ?", s.moment(), before).Error
	if err != nil {
		return fmt.Errorf("settle abandoned opt-in requests: %w", err)
	}
	return nil
}
