package contact

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/fault"
)

// silenceLine is a line of an import of suppressions on its way to a Silence.
type silenceLine struct {
	record
	silence          Silence
	addresses        []string
	of               channel.Kind // said by the name of the field that the address stands in
	hash             string
	created, refused time.Time
}

// silenceFields says what the columns of a CSV file of suppressions are. The
// problem, if any, says why no line of it could be read.
func silenceFields(header []string) (names []string, problem string) {
	for _, h := range header {
		name := strings.ToLower(strings.TrimSpace(h))
		if slices.Contains(names, name) {
			return nil, fmt.Sprintf("The column %q stands in the file twice.", clip(name))
		}
		names = append(names, name)
		if l := (silenceLine{}); !plain(h) || !l.set(name, "", spreadsheetForms()) {
			return nil, fmt.Sprintf("There is no column %q: suppressions have channel, address or hash, reason, source and created_at.", clip(strings.ToValidUTF8(h, "?")))
		}
	}
	if !slices.ContainsFunc(names, func(n string) bool { return n == "address" || n == "hash" || n == "email" || n == "phone" }) {
		return nil, "The line of names has no column address or hash."
	}
	return names, ""
}

// checkSilence reads one line: the fields that an export has. What is wrong with it
// is noted in the item.
func (r *importRun) checkSilence(rec record) item {
	l := &silenceLine{record: rec}
	if r.format == CSV {
		for i, v := range rec.cells {
			l.set(r.fields[i], strings.TrimSpace(v), spreadsheetForms())
		}
	} else if top, ok := l.object("", rec.raw); ok {
		for name, raw := range top {
			var v string
			if !isNull(raw) {
				l.plainText("/"+escape(name), raw, &v)
			}
			if !l.set(name, strings.TrimSpace(v), []string{time.RFC3339}) {
				l.unknown("", name)
			}
		}
	}
	if len(l.fields) == 0 {
		l.finish(r.store, r.options, r.origin)
	}
	return item{quiet: &l.silence, fields: tidyFields(l.fields)}
}

// set takes a field; "" leaves it as it is. It reports false for one that does not exist.
func (l *silenceLine) set(name, v string, times []string) bool {
	switch name {
	case "id", "contact_id": // an export has them
	case "channel":
		l.silence.Channel = channel.Kind(strings.ToLower(v))
	case "address":
		l.addressOf("", v)
	case "email":
		l.addressOf(channel.Email, v)
	case "phone":
		l.addressOf(channel.SMS, v)
	case "hash":
		l.hash = v
	case "reason":
		l.silence.Reason = v
	case "source":
		l.silence.Source = v
	case "created_at":
		l.created = l.moment(name, v, times)
	case "refused_at":
		l.refused = l.moment(name, v, times)
	default:
		return false
	}
	return true
}

func (l *silenceLine) addressOf(kind channel.Kind, v string) {
	if v != "" {
		l.addresses, l.of = append(l.addresses, v), cmp.Or(kind, l.of)
	}
}

func (l *silenceLine) moment(name, v string, forms []string) time.Time {
	if v == "" {
		return time.Time{}
	}
	for _, form := range forms {
		if t, err := time.Parse(form, v); err == nil {
			return t
		}
	}
	l.refuse("/"+name, "bad_time", "Must be a time such as 2026-03-02T09:00:00Z.")
	return time.Time{}
}

// finish checks the line as a whole. The address becomes its hash.
func (l *silenceLine) finish(s *Store, o ImportOptions, from origin) {
	x, c := &l.silence, checks{now: from.at}
	if l.of != "" && x.Channel != "" && x.Channel != l.of {
		c.add("/channel", "bad_channel", "Must be the channel of the address.")
	}
	x.Channel, x.Reason, x.Source = cmp.Or(l.of, x.Channel, o.Channel), cmp.Or(x.Reason, o.Reason, ReasonManual), cmp.Or(x.Source, from.source)
	c.limit("/source", x.Source, maxText)
	if !slices.Contains(reasons(), x.Reason) {
		c.add("/reason", "bad_reason", "Must be "+strings.Join(reasons(), ", ")+".")
	}
	switch {
	case !l.refused.IsZero():
		x.At = c.past("/refused_at", l.refused)
	case !l.created.IsZero():
		x.At = c.past("/created_at", l.created)
	}
	switch {
	case x.Channel == "":
		c.add("/channel", "required", "Must be sms or email.")
	case !slices.Contains(kinds(), x.Channel):
		c.add("/channel", "bad_channel", "Must be sms or email.")
	default:
		x.Hash = l.address(s, &c)
	}
	l.fields = c.fields
}

// address returns the hash of what the line is about, or notes what is wrong.
func (l *silenceLine) address(s *Store, c *checks) []byte {
	switch {
	case len(l.addresses) > 1 || len(l.addresses) == 1 && l.hash != "":
		c.add("/address", "one_too_many", "Must be the only address or hash of the line.")
	case len(l.addresses) == 1:
		form, ok := s.form(l.silence.Channel, l.addresses[0])
		if !ok {
			c.add("/address", "bad_address", "Must be an address of the channel.")
		}
		return s.hash(hashKind(l.silence.Channel), form)
	case l.hash == "":
		c.add("/address", "required", "Must be there, or else a hash.")
	default:
		hash, err := hex.DecodeString(l.hash)
		if err != nil || len(hash) != len(s.hash("email", "x")) {
			c.add("/hash", "bad_hash", "Must be a hash as an export has it.")
		}
		return hash
	}
	return nil
}

// silenceAll suppresses what items ask for, with a number of statements that does
// not depend on how many they are. Of items that ask for the same the first makes it.
func (s *Store) silenceAll(tx *db.Tx, items []item) ([]Result, error) {
	results := make([]Result, len(items))
	first := map[string]int{}
	var list []Silence
	for i, it := range items {
		if len(it.fields) > 0 {
			results[i].Err = fault.InvalidFields(it.fields...)
			continue
		}
		list = append(list, *it.quiet)
		k := keyOf(it.quiet.Channel, it.quiet.Hash, it.quiet.Reason)
		if _, twice := first[k]; !twice {
			first[k] = i
		}
	}
	for _, kind := range kinds() {
		made, err := s.suppress(tx, s.wanted(kind, list))
		if err != nil {
			return nil, err
		}
		for _, x := range made {
			results[first[keyOf(x.Channel, x.Hash, x.Reason)]].Created = true
		}
	}
	return results, nil
}

func keyOf(kind channel.Kind, hash []byte, reason string) string {
	return string(kind) + " " + reason + " " + string(hash)
}
