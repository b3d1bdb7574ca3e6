package content

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// The limits of a raw message.
const (
	maxRaw       = 1 << 15 // bytes
	maxRawDepth  = 12
	maxRawString = 4000 // characters of a string that we know no limit of
)

// raw writes a message object that its author made. What we know of Meta's
// limits is checked, whatever else is in it goes through.
func (m *message) raw() {
	at := m.at + "/raw"
	object, err := readRaw(m.src.Raw)
	if err != nil {
		m.c.fail(at, "bad_raw", "It is one JSON object of at most %d bytes, nested at most %d deep.", maxRaw, maxRawDepth)
		return
	}
	m.refuseForeign(at, object)
	_, text := object["text"]
	_, attachment := object["attachment"]
	switch {
	case text && attachment:
		m.c.fail(at+"/attachment", "not_allowed", "A message has a text or an attachment, not both.")
	case !text && !attachment:
		m.c.fail(at, "required", "A message has a text or an attachment.")
	}
	r := rawWriter{message: m}
	r.object(at, rawMessage, object)
	m.taps = m.taps || bytes.Contains(m.src.Raw, []byte(`"url"`))
	m.links = m.links || strings.Contains(string(m.src.Raw), "http")
}

var errRaw = errors.New("not a message")

func readRaw(raw json.RawMessage) (map[string]any, error) {
	if len(raw) > maxRaw {
		return nil, errRaw
	}
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&object) != nil || object == nil || depth(object) > maxRawDepth {
		return nil, errRaw
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errRaw
	}
	return object, nil
}

func depth(v any) (deepest int) {
	switch v := v.(type) {
	case map[string]any:
		for _, of := range v {
			deepest = max(deepest, depth(of))
		}
	case []any:
		for _, of := range v {
			deepest = max(deepest, depth(of))
		}
	default:
		return 0
	}
	return deepest + 1
}

// refuseForeign finds what is no part of a message, or is ours to write.
func (m *message) refuseForeign(at string, object map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(object)) {
		tag, _ := object[name].(string)
		switch name {
		case "tag":
			if m.c.refuseTag(at+"/tag", tag); tag == "" {
				m.c.fail(at+"/tag", "not_allowed", "Message tags are not sent.")
			}
		case "recipient", "messaging_type", "metadata", "access_token":
			m.c.fail(at+"/"+name, "not_allowed", "Beckon writes this itself.")
		case "notification_type":
			m.c.fail(at+"/"+name, "not_allowed", "It stands beside raw, not in it.")
		case "message":
			m.c.fail(at+"/"+name, "not_allowed", "raw is the message itself, without anything around it.")
		case "template":
			m.c.fail(at+"/"+name, "not_allowed", "Utility templates are content of their own: content.utility.")
		}
	}
}

// rawKind is a part of a message of which we know what may be in it.
type rawKind byte

const (
	rawOther rawKind = iota
	rawMessage
	rawReply
	rawButton
	rawAttachment
	rawTemplate
	rawElement
)

type rawWriter struct{ *message }

func (r *rawWriter) object(at string, kind rawKind, object map[string]any) {
	r.checkObject(at, kind, object)
	r.open('{')
	for _, name := range slices.Sorted(maps.Keys(object)) {
		r.entry(at+"/"+escapePointer(name), kind, name, object)
	}
	r.shut('}')
}

func escapePointer(name string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func (r *rawWriter) entry(at string, kind rawKind, name string, object map[string]any) {
	if strings.Contains(name, "{{") || strings.Contains(name, "{%") {
		r.c.fail(at, "bad_template", "Names are not templates, only values are.")
	}
	if source, ok := object[name].(string); ok {
		r.text(at, kind, name, source, object)
		return
	}
	if _, known := rawSlot(kind, name, object); known {
		r.c.fail(at, "wrong_type", "Must be text.")
	}
	below := rawBelow(kind, name)
	if _, list := object[name].([]any); !list && (below == rawReply || below == rawButton || below == rawElement) {
		below = rawOther // said already: it must be a list
	}
	r.name(name)
	r.value(at, below, object[name])
}

// rawBelow is what stands under a name.
func rawBelow(kind rawKind, name string) rawKind {
	switch {
	case name == "buttons":
		return rawButton
	case kind == rawMessage && name == "quick_replies":
		return rawReply
	case kind == rawMessage && name == "attachment":
		return rawAttachment
	case kind == rawAttachment && name == "payload":
		return rawTemplate
	case kind == rawTemplate && name == "elements":
		return rawElement
	}
	return rawOther
}

func (r *rawWriter) value(at string, kind rawKind, v any) {
	switch v := v.(type) {
	case map[string]any:
		r.object(at, kind, v)
	case []any:
		r.list(at, kind, v)
	case string:
		r.filledValue(at, v)
	case json.Number:
		r.literal(v.String())
	case bool:
		r.literal(strconv.FormatBool(v))
	default:
		r.literal("null")
	}
}

func (r *rawWriter) list(at string, kind rawKind, list []any) {
	switch kind {
	case rawReply:
		r.checkCount(at, len(list), MaxQuickReplies)
	case rawButton:
		r.checkCount(at, len(list), MaxButtons)
	}
	r.taps = r.taps || len(list) > 0 && (kind == rawReply || kind == rawButton)
	r.open('[')
	for i, v := range list {
		r.value(at+"/"+strconv.Itoa(i), kind, v)
	}
	r.shut(']')
}

// filledValue writes a string in a list.
func (r *rawWriter) filledValue(at, source string) {
	if g, t := r.gap(at, source, slot{limit: maxRawString, mode: plain, blank: true}); t != nil {
		if r.comma {
			g.name = []byte{','}
		}
		r.place(g)
	}
}

// text writes a member that is a string. Those that say what an object is are
// the same for everybody, so that what is checked is what goes out.
func (r *rawWriter) text(at string, kind rawKind, name, source string, object map[string]any) {
	switch name {
	case "type", "content_type", "template_type", "media_type", "attachment_id":
		if strings.Contains(source, "{{") || strings.Contains(source, "{%") {
			r.c.fail(at, "not_allowed", "This is the same for everybody, not a template.")
		}
	}
	s, known := rawSlot(kind, name, object)
	if !known {
		s = slot{limit: maxRawString, mode: plain, blank: true}
	}
	r.filled(name, at, source, s)
}

// rawSlot is what we know of a string.
func rawSlot(kind rawKind, name string, object map[string]any) (slot, bool) {
	short := func(limit int) (slot, bool) { return slot{limit: limit, mode: line}, true }
	switch {
	case kind == rawMessage && name == "text":
		return slot{limit: MaxMessengerText, mode: plain}, true
	case kind == rawTemplate && name == "text" && object["template_type"] == "button":
		return slot{limit: MaxButtonText, mode: plain}, true
	case (kind == rawReply || kind == rawButton) && name == "title":
		return short(MaxTitle)
	case kind == rawButton && name == "payload" && object["type"] == ButtonPhone:
		return slot{limit: MaxPayload, mode: line, form: phoneNumber}, true
	case (kind == rawReply || kind == rawButton) && name == "payload":
		return short(MaxPayload)
	case kind == rawElement && name == "title":
		return short(MaxElementText)
	case kind == rawElement && name == "subtitle":
		return slot{limit: MaxElementText, mode: line, blank: true}, true
	case name == "url", strings.HasSuffix(name, "_url"):
		return slot{limit: maxURL, mode: line, form: webLink}, true
	}
	return slot{}, false
}

// checkObject finds what an object lacks, and what may not be asked for here.
func (r *rawWriter) checkObject(at string, kind rawKind, object map[string]any) {
	needs := func(names ...string) {
		for _, name := range names {
			if _, ok := object[name]; !ok {
				r.c.fail(at+"/"+name, "required", "Is missing.")
			}
		}
	}
	switch kind {
	case rawMessage:
		r.wantList(at, "quick_replies", object, 0)
	case rawReply:
		needs("content_type")
		if object["content_type"] == ReplyText {
			needs("title", "payload")
		}
	case rawButton:
		needs("type")
		switch object["type"] {
		case ButtonURL:
			needs("title", "url")
		case ButtonPostback, ButtonPhone:
			needs("title", "payload")
		}
	case rawAttachment:
		needs("type", "payload")
	case rawTemplate:
		r.checkTemplate(at, object, needs)
	}
	r.wantList(at, "buttons", object, MaxButtons)
}

func (r *rawWriter) checkTemplate(at string, object map[string]any, needs func(...string)) {
	switch object["template_type"] {
	case "one_time_notif_req", "notification_messages":
		r.c.fail(at+"/template_type", "not_allowed", "Permission is asked for by an opt-in request, which nobody gets twice in a row.")
	case "button":
		needs("text", "buttons")
	case "generic":
		needs("elements")
		r.wantList(at, "elements", object, MaxElements)
		r.checkElements(at+"/elements", object["elements"])
	case "media":
		needs("elements")
		r.wantList(at, "elements", object, 1)
	}
}

// wantList notes what must be a list and is none; with a limit, one that is
// empty or too long.
func (r *rawWriter) wantList(at, name string, object map[string]any, limit int) {
	v, given := object[name]
	if !given {
		return
	}
	list, ok := v.([]any)
	switch {
	case !ok:
		r.c.fail(at+"/"+name, "wrong_type", "Must be a list.")
	case limit > 0 && len(list) == 0:
		r.c.fail(at+"/"+name, "required", "Must not be empty.")
	case limit > 0 && name != "buttons": // which are counted wherever they are
		r.checkCount(at+"/"+name, len(list), limit)
	}
}

// checkElements finds cards without a title, or with nothing but one.
func (r *rawWriter) checkElements(at string, elements any) {
	list, _ := elements.([]any)
	for i, v := range list {
		e, _ := v.(map[string]any)
		if e["title"] == nil {
			r.c.fail(at+"/"+strconv.Itoa(i)+"/title", "required", "Is missing.")
		}
		if len(e) < 2 {
			r.c.fail(at+"/"+strconv.Itoa(i), "required", "Besides its title, an element needs a subtitle, an image, an address or a button.")
		}
	}
}
