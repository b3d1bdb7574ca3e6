package campaign

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/fault"
)

// FollowUp is what follows when somebody reacts to a campaign inside the window:
// thanks, the "Notify Me" message and a question, each of them if it is there.
type FollowUp struct {
	Messenger *content.Messenger `json:"messenger,omitempty"`
	Ask       Asking             `json:"ask,omitzero"`
	Capture   *content.Question  `json:"capture,omitempty"`
}

// Asking says what a permission is asked for: false for none, true for the
// campaign's own topic, or the slug of a topic. It is one of them in JSON.
type Asking struct {
	Yes   bool
	Topic string // "" is the campaign's
}

// UnmarshalJSON reads true, false or a slug.
func (a *Asking) UnmarshalJSON(data []byte) error {
	*a = Asking{}
	if bytes.HasPrefix(data, []byte(`"`)) {
		a.Yes = true
		return json.Unmarshal(data, &a.Topic)
	}
	return json.Unmarshal(data, &a.Yes)
}

// MarshalJSON writes true, false or a slug.
func (a Asking) MarshalJSON() ([]byte, error) {
	if a.Topic != "" {
		return json.Marshal(a.Topic)
	}
	return json.Marshal(a.Yes)
}

// Following is a follow-up, compiled.
type Following struct {
	Thanks  *content.Compiled // nil for none
	Topic   string            // to ask a permission for; "" for none
	Capture *content.Question // nil for none
}

const pointerFollowUp = "/follow_up"

// follows reads what follows on the campaign; nil for nothing.
func (c Campaign) follows() (*FollowUp, error) {
	if c.FollowUp == nil {
		return nil, nil //nolint:nilnil // nothing follows
	}
	var f FollowUp
	if err := json.Unmarshal([]byte(*c.FollowUp), &f); err != nil {
		return nil, fmt.Errorf("read the follow-up of campaign %s: %w", c.ID, err)
	}
	return &f, nil
}

// following compiles what follows. Its mistakes are fields of a fault.Invalid.
func (c Campaign) following() (*Following, []content.Warning, error) {
	f, err := c.follows()
	if f == nil || err != nil {
		return nil, nil, err
	}
	var bad []fault.Field
	out := &Following{Capture: f.Capture}
	if f.Messenger == nil && !f.Ask.Yes && f.Capture == nil {
		bad = append(bad, fault.Field{Pointer: pointerFollowUp, Code: "required", Detail: "Say thanks, ask for a permission or for an address: something must follow."})
	}
	var warnings []content.Warning
	if f.Messenger != nil {
		compiled, warned, err := content.CompileMessenger(pointerFollowUp+"/messenger", *f.Messenger)
		bad = append(bad, fieldsOf(err)...)
		// Thanks need no answer.
		warnings = slices.DeleteFunc(warned, func(w content.Warning) bool { return w.Code == content.WarnNothingToTap })
		out.Thanks = compiled
	}
	if out.Topic = f.Ask.Topic; f.Ask.Yes && out.Topic == "" {
		out.Topic = c.Topic
	}
	if f.Capture != nil {
		bad = append(bad, f.Capture.Check(pointerFollowUp+"/capture")...)
	}
	return out, warnings, fault.InvalidFields(bad...)
}

// askable looks up the topic that the follow-up asks for. Unsorted tokens cannot
// be asked for.
func (c *Campaign) askable(tx *db.Tx) ([]fault.Field, error) {
	f, err := c.follows()
	if f == nil || err != nil || !f.Ask.Yes {
		return nil, err
	}
	topic := f.Ask.Topic
	if topic == "" {
		topic = c.Topic
	}
	if topic == unsorted {
		return []fault.Field{{Pointer: pointerFollowUp + "/ask", Code: "topic_unsorted", Detail: "The topic for unsorted tokens cannot be asked for."}}, nil
	}
	var there bool
	if err := tx.Raw("SELECT EXISTS (SELECT 1 FROM topics WHERE slug = ?)", topic).Scan(&there).Error; err != nil {
		return nil, fmt.Errorf("look up the topic of a follow-up: %w", err)
	}
	if !there && f.Ask.Topic != "" { // the campaign's own is told of already
		return []fault.Field{{Pointer: pointerFollowUp + "/ask", Code: "topic_not_found", Detail: "There is no such topic."}}, nil
	}
	return nil, nil
}

// unsorted is the built-in topic of tokens that belong to no other.
const unsorted = "unsorted"

// followsWithoutMessenger warns of a follow-up that nobody will get.
func (s *Service) followsWithoutMessenger(def *Definition) []content.Warning {
	if def.FollowUp == nil || s.set.Channels[channel.Messenger] {
		return nil
	}
	return []content.Warning{{Pointer: pointerFollowUp, Code: "channel_absent", Detail: "Messenger is not set up on this server: nothing will follow."}}
}

// Thank is the message of thanks to one person. A fault that is Invalid says that
// it cannot be said to them.
func (d *Definition) Thank(page string, r Recipient) (channel.Message, error) {
	v := d.vars(&r, page)
	body, err := d.FollowUp.Thanks.Messenger(&v)
	return channel.Message{To: r.To, Body: body, Quiet: d.FollowUp.Thanks.NotificationType()}, err
}
