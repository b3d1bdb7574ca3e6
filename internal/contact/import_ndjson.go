package contact

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// draftOf reads one line of NDJSON: a contact as the API takes it. Everything
// that is wrong with it is noted in the record.
func (r *record) draftOf(o ImportOptions) (d Draft) {
	top, ok := r.object("", r.raw)
	if !ok {
		return d
	}
	for name, raw := range top {
		at := "/" + name
		switch name {
		case "external_id":
			r.text(at, raw, &d.ExternalID)
		case "first_name":
			r.text(at, raw, &d.FirstName)
		case "last_name":
			r.text(at, raw, &d.LastName)
		case "email":
			r.text(at, raw, &d.Email)
		case "phone":
			r.text(at, raw, &d.Phone)
		case "locale":
			r.text(at, raw, &d.Locale)
		case "time_zone":
			r.text(at, raw, &d.TimeZone)
		case "attributes":
			d.Attributes = r.attributes(at, raw)
		case "consents":
			r.consents(at, raw, &d)
		case "messenger":
			d.Messenger = r.messenger(at, raw, o)
		case "tokens":
			d.Tokens = r.tokens(at, raw, o)
		default:
			r.unknown("", name)
		}
	}
	return d
}

func (r *record) unknown(at, name string) {
	r.refuse(at+"/"+escape(name), "unknown_field", "There is no such field.")
}

func isNull(raw []byte) bool { return string(raw) == "null" }

func (r *record) object(at string, raw []byte) (map[string]json.RawMessage, bool) {
	var out map[string]json.RawMessage
	err := json.Unmarshal(raw, &out)
	if err != nil || out == nil {
		code, detail := "bad_type", "Must be an object."
		if at == "" && err != nil && raw[0] == '{' {
			code, detail = "bad_json", "Is not well-formed JSON."
		}
		r.refuse(at, code, detail)
		return nil, false
	}
	return out, true
}

func (r *record) list(at string, raw []byte) (out []json.RawMessage) {
	if err := json.Unmarshal(raw, &out); err != nil {
		r.refuse(at, "bad_type", "Must be a list.")
	}
	return out
}

func (r *record) text(at string, raw []byte, to *Optional[string]) {
	to.Set = true
	switch {
	case isNull(raw):
		to.Null = true
	case raw[0] == '"' && bytes.IndexByte(raw, '\\') < 0: // the decoder has checked it, nothing is left to unescape
		to.Value = string(raw[1 : len(raw)-1])
	case raw[0] != '"' || json.Unmarshal(raw, &to.Value) != nil:
		r.refuse(at, "bad_type", "Must be a text.")
	}
}

func (r *record) plainText(at string, raw []byte, to *string) {
	var v Optional[string]
	r.text(at, raw, &v)
	*to = v.Value
}

func (r *record) time(at string, raw []byte) time.Time {
	var v string
	r.plainText(at, raw, &v)
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		r.refuse(at, "bad_time", "Must be a time such as 2026-03-02T09:00:00Z.")
	}
	return t
}

func (r *record) uuid(at string, raw []byte) uuid.UUID {
	var v string
	r.plainText(at, raw, &v)
	return r.parseUUID(at, v)
}

func (r *record) parseUUID(at, v string) uuid.UUID {
	id, err := uuid.Parse(v)
	if err != nil {
		r.refuse(at, "bad_id", "Must be an id.")
	}
	return id
}

func (r *record) attributes(at string, raw []byte) map[string]any {
	if isNull(raw) {
		return nil
	}
	v, err := decode(raw)
	out, ok := v.(map[string]any)
	if err != nil || !ok {
		r.refuse(at, "bad_type", "Must be an object.")
	}
	return out
}

func (r *record) consents(at string, raw []byte, d *Draft) {
	if isNull(raw) {
		return
	}
	both, _ := r.object(at, raw)
	for name, raw := range both {
		outer, at := at, at+"/"+name
		switch name {
		case "sms":
			d.SMSConsent = r.consent(at, raw)
		case "email":
			d.EmailConsent = r.consent(at, raw)
		default:
			r.unknown(outer, name)
		}
	}
}

func (r *record) consent(at string, raw []byte) (c Optional[Consent]) {
	c.Set, c.Null = true, isNull(raw)
	if c.Null {
		return c
	}
	all, _ := r.object(at, raw)
	for name, raw := range all {
		outer, at := at, at+"/"+name
		switch name {
		case "status":
			r.plainText(at, raw, &c.Value.Status)
		case "source":
			r.plainText(at, raw, &c.Value.Source)
		case "evidence":
			r.plainText(at, raw, &c.Value.Evidence)
		case "at":
			if !isNull(raw) {
				t := r.time(at, raw)
				c.Value.At = &t
			}
		default:
			r.unknown(outer, name)
		}
	}
	return c
}

func (r *record) messenger(at string, raw []byte, o ImportOptions) (out []MessengerID) {
	for i, raw := range r.list(at, raw) {
		at := fmt.Sprintf("%s/%d", at, i)
		m := MessengerID{PageID: o.PageID}
		all, _ := r.object(at, raw)
		for name, raw := range all {
			outer, at := at, at+"/"+name
			switch name {
			case "page_id":
				m.PageID = r.uuid(at, raw)
			case "psid":
				r.plainText(at, raw, &m.PSID)
			default:
				r.unknown(outer, name)
			}
		}
		out = append(out, m)
	}
	return out
}

func (r *record) tokens(at string, raw []byte, o ImportOptions) (out []TokenDraft) {
	for i, raw := range r.list(at, raw) {
		at := fmt.Sprintf("%s/%d", at, i)
		t := TokenDraft{PageID: o.PageID, Topic: o.Topic}
		all, _ := r.object(at, raw)
		for name, raw := range all {
			outer, at := at, at+"/"+name
			switch name {
			case "page_id":
				t.PageID = r.uuid(at, raw)
			case "topic":
				r.plainText(at, raw, &t.Topic)
			case "token":
				r.plainText(at, raw, &t.Value)
			case "granted_at":
				t.GrantedAt = r.time(at, raw)
			default:
				r.unknown(outer, name)
			}
		}
		out = append(out, t)
	}
	return out
}

// nextLine reads one line of NDJSON.
func (s *source) nextLine(line int64) (record, error) {
	raw, long, err := s.line(maxLine)
	raw = bytes.TrimSpace(raw)
	out := record{line: line, raw: raw, blank: len(raw) == 0 && !long}
	if long {
		out.refuse("", "too_long", "Must have at most 1 MB.")
	}
	return out, err
}
