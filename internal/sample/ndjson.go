package sample

import (
	"bufio"
	"encoding/json"
	"time"
)

type line struct {
	ExternalID string            `json:"external_id"`
	First      string            `json:"first_name"`
	Last       string            `json:"last_name"`
	Email      string            `json:"email,omitempty"`
	Phone      string            `json:"phone,omitempty"`
	Attributes map[string]string `json:"attributes"`
	Consents   consents          `json:"consents"`
	Messenger  []identity        `json:"messenger,omitempty"`
	Tokens     []permission      `json:"tokens,omitempty"`
}

type consents struct {
	SMS  *consent `json:"sms,omitempty"`
	Mail *consent `json:"email,omitempty"`
}

type consent struct {
	Status string    `json:"status"`
	Source string    `json:"source"`
	At     time.Time `json:"at"`
}

type identity struct {
	Page string `json:"page_id"`
	PSID string `json:"psid"`
}

type permission struct {
	Page      string    `json:"page_id"`
	Topic     string    `json:"topic"`
	Token     string    `json:"token"`
	GrantedAt time.Time `json:"granted_at"`
}

func writeNDJSON(w *bufio.Writer, o Options) error {
	people, enc := NewSource(o.Seed, o.Complete), json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for n := 1; n <= o.Count; n++ {
		if !o.writes(n) {
			continue
		}
		if err := enc.Encode(lineOf(people.Person(n), o)); err != nil {
			return err
		}
	}
	return nil
}

func lineOf(p Person, o Options) line {
	l := line{ExternalID: p.ExternalID, First: p.First, Last: p.Last, Email: p.Email, Phone: p.Phone,
		Attributes: map[string]string{"city": p.City, "interest": p.Interest},
		Consents:   consents{SMS: consentOf(p.SMS, p.SMSAt), Mail: consentOf(p.Mail, p.MailAt)}}
	if o.Page != "" {
		l.Messenger = []identity{{o.Page, PSID(p.Number)}}
	}
	if o.permits(p.Number) {
		l.Tokens = []permission{{o.Page, o.Topic, Token(o.GraphPage, p.Number), o.GrantedAt}}
	}
	return l
}

func consentOf(a Answer, at time.Time) *consent {
	switch a {
	case Yes:
		return &consent{"subscribed", "sign-up form", at}
	case No:
		return &consent{"unsubscribed", "preference page", at}
	}
	return nil
}
