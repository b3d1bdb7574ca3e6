package hours

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"beckon/internal/channel"
	"beckon/internal/fault"
)

// span is what is written for a lane: from and to in seconds of a day, and the
// days it begins on as bits from Monday.
type span struct {
	from, to int
	days     int
}

const everyDay = 1<<7 - 1

// week has the span on each of its days; one that ends before it begins runs
// over midnight.
func (s span) week() week {
	length := s.to - s.from
	if length <= 0 {
		length += day
	}
	var parts []stretch
	for d := range 7 {
		if s.days>>d&1 == 1 {
			parts = append(parts, stretch{d*day + s.from, d*day + s.from + length})
		}
	}
	return weekOf(parts)
}

// root is where pointers of mistakes begin.
const root = "/allowed_hours"

// Parse reads allowed hours as they stand in a campaign. Nothing and null are
// Default, {} allows any time on every lane. What is wrong is an Invalid fault,
// all at once, whose pointers begin with /allowed_hours.
func Parse(raw json.RawMessage) (Hours, error) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" {
		return Default(), nil
	}
	var p parser
	h := Hours{lanes: map[channel.Lane]week{}}
	lanes := p.object(raw, root)
	for _, name := range slices.Sorted(maps.Keys(lanes)) {
		here := root + "/" + escape.Replace(name)
		if !channel.Lane(name).Valid() {
			p.fault(here, "unknown_lane", "This is not a lane.")
			continue
		}
		if s, ok := p.span(lanes[name], here); ok {
			h.lanes[channel.Lane(name)] = s.week()
		}
	}
	return h, fault.InvalidFields(p.bad...)
}

var escape = strings.NewReplacer("~", "~0", "/", "~1")

type parser struct{ bad []fault.Field }

func (p *parser) fault(pointer, code, detail string) {
	p.bad = append(p.bad, fault.Field{Pointer: pointer, Code: code, Detail: detail})
}

func (p *parser) object(raw json.RawMessage, pointer string) map[string]json.RawMessage {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || m == nil {
		p.fault(pointer, "type", "Must be an object.")
	}
	return m
}

func (p *parser) span(raw json.RawMessage, pointer string) (span, bool) {
	before := len(p.bad)
	m := p.object(raw, pointer)
	if m == nil {
		return span{}, false
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if name != "from" && name != "to" && name != "days" {
			p.fault(pointer+"/"+escape.Replace(name), "unknown_field", "There is no such field.")
		}
	}
	s := span{from: p.clock(m["from"], pointer+"/from", false), to: p.clock(m["to"], pointer+"/to", true), days: p.days(m["days"], pointer+"/days")}
	if len(p.bad) == before && s.from == s.to {
		p.fault(pointer+"/to", "empty_span", `Must differ from "from"; a whole day is from 00:00 to 24:00.`)
	}
	return s, len(p.bad) == before
}

// clock reads a time of day in seconds.
func (p *parser) clock(raw json.RawMessage, pointer string, end bool) int {
	var text string
	if raw == nil {
		p.fault(pointer, "required", `Must be given, like "09:00".`)
		return 0
	}
	if json.Unmarshal(raw, &text) == nil && len(text) == len("09:00") && text[2] == ':' {
		h, okHour := digits(text[:2])
		m, okMinute := digits(text[3:])
		if okHour && okMinute && m < 60 && (h < 24 || end && h == 24 && m == 0) {
			return h*3600 + m*60
		}
	}
	p.fault(pointer, "bad_time", `Must be a time of day like "09:00", with two digits each.`)
	return 0
}

func digits(s string) (int, bool) {
	tens, ones := s[0]-'0', s[1]-'0'
	return int(tens)*10 + int(ones), tens <= 9 && ones <= 9
}

var dayNames = []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"}

func (p *parser) days(raw json.RawMessage, pointer string) int {
	if raw == nil {
		return everyDay
	}
	var names []json.RawMessage
	if json.Unmarshal(raw, &names) != nil || len(names) == 0 {
		p.fault(pointer, "type", "Must be a list of at least one day; left out it means every day.")
		return 0
	}
	found := 0
	for i, one := range names {
		var name string
		d := -1
		if json.Unmarshal(one, &name) == nil {
			d = slices.Index(dayNames, name)
		}
		here := pointer + "/" + strconv.Itoa(i)
		switch {
		case d < 0:
			p.fault(here, "bad_day", "Must be one of mon, tue, wed, thu, fri, sat, sun.")
		case found>>d&1 == 1:
			p.fault(here, "duplicate", "Each day stands here once.")
		default:
			found |= 1 << d
		}
	}
	return found
}
