package contact

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/google/uuid"
)

// meaning maps the names of columns, as HubSpot's and ManyChat's exports and
// people write them, to ours. Names beginning with "like:" are ours read with
// good will: a cell that is not understood is kept as an attribute.
func meaning(name string) string {
	switch name {
	case "external id", "record id", "record id contact", "contact id", "customer id", "subscriber id", "user id", "id":
		return "external_id"
	case "first name", "firstname", "given name":
		return "first_name"
	case "last name", "lastname", "family name", "surname":
		return "last_name"
	case "full name", "name":
		return "like:name"
	case "email", "e mail", "email address":
		return "email"
	case "phone", "phone number", "telephone", "mobile", "mobile phone", "mobile number", "mobile phone number":
		return "phone"
	case "preferred language", "language":
		return "like:locale"
	case "time zone", "timezone":
		return "like:time_zone"
	case "psid", "messenger psid", "messenger id", "messenger user id", "facebook psid", "page scoped id", "page scoped user id":
		return "psid"
	case "page id", "messenger page id":
		return "page_id"
	case "tokens topic", "tokens token", "tokens granted at":
		return slug(strings.TrimPrefix(name, "tokens "))
	}
	return consentMeaning(name)
}

func consentMeaning(name string) string {
	switch name {
	case "sms consent", "sms opt in", "opted in for sms", "optin phone", "accepts sms marketing":
		return "like:sms"
	case "email consent", "email opt in", "opted in for email", "optin email", "accepts email marketing":
		return "like:email"
	case "sms opt out", "opted out of sms", "unsubscribed from all sms":
		return "out:sms"
	case "email opt out", "opted out of email", "unsubscribed from all email":
		return "out:email"
	}
	if strings.HasPrefix(name, "opted out of email ") { // HubSpot has one for each kind of e-mail
		return "out:email"
	}
	return ""
}

// mobile numbers are the ones to send to, where a file has others too.
func mobile(name string) bool { return strings.HasPrefix(name, "mobile") }

// compile finds out what the columns of a file mean. The problem, if any, says
// why no line of it could be read.
func (s *Store) compile(header []string, o ImportOptions) (c columns, problem string) {
	c = columns{list: make([]column, len(header)), zone: s.timeZone, options: o}
	var seen, targets []string
	for i, h := range header {
		h = strings.TrimSpace(h)
		if !plain(h) {
			return c, "The line of names is not UTF-8 text."
		}
		if h != "" && slices.Contains(seen, h) {
			return c, fmt.Sprintf("The column %q stands in the file twice.", clip(h))
		}
		seen = append(seen, h)
		c.list[i] = columnOf(h, i)
		targets = append(targets, c.list[i].target)
	}
	c.takeContactIDs(header, targets)
	c.settleNames()
	return c, problemWith(targets, o)
}

func columnOf(h string, i int) column {
	name := simple(h)
	c := column{name: slug(name), target: meaning(name), mobile: mobile(name)}
	raw := strings.ToLower(h)
	switch {
	case strings.HasPrefix(raw, "attributes.") && len(h) > len("attributes."):
		return column{name: h[len("attributes."):]}
	case isOwn(raw):
		c.target = raw
	case name == "":
		c.name = fmt.Sprintf("column_%d", i+1)
	}
	return c
}

// isOwn reports whether a header is one of our own names, whose cells must be
// right.
func isOwn(raw string) bool {
	switch raw {
	case "external_id", "first_name", "last_name", "email", "locale", "time_zone", "psid", "page_id", "topic", "token", "granted_at", "tokens.page_id":
		return true
	}
	rest, ok := strings.CutPrefix(raw, "consents.")
	kind, field, _ := strings.Cut(rest, ".")
	return ok && (kind == "sms" || kind == "email") && slices.Contains([]string{"", "status", "source", "at", "evidence"}, field)
}

// takeContactIDs reads ManyChat's contact ids as the Messenger ids that they
// are, when the page is known and the file has no column for them.
func (c *columns) takeContactIDs(header, targets []string) {
	manyChat := slices.ContainsFunc(header, func(h string) bool {
		return slices.Contains([]string{"opted in for sms", "opted in for email", "last interaction", "live chat url", "subscribed"}, simple(h))
	})
	if !manyChat || c.options.PageID == uuid.Nil || slices.Contains(targets, "psid") {
		return
	}
	for i, h := range header {
		if name := simple(h); name == "contact id" || name == "user id" {
			c.list[i].target, targets[i] = "psid", "psid"
		}
	}
}

// settleNames gives each attribute a name of its own.
func (c *columns) settleNames() {
	seen := map[string]int{}
	for i := range c.list {
		name := c.list[i].name
		if seen[name]++; seen[name] > 1 {
			c.list[i].name = fmt.Sprintf("%s_%d", name, seen[name])
		}
	}
}

func problemWith(targets []string, o ImportOptions) string {
	psid := slices.Contains(targets, "psid")
	identity := psid || slices.ContainsFunc(targets, func(t string) bool { return t == "external_id" || t == "email" || t == "phone" })
	switch {
	case !identity:
		return "No column says who a line is about: one must be external_id, email, phone or psid."
	case psid && o.PageID == uuid.Nil && !slices.Contains(targets, "page_id"):
		return "The file has Messenger ids but does not say of which page: add a page_id column, or name the page with the import."
	}
	return ""
}

func clip(h string) string {
	r := []rune(strings.ToValidUTF8(h, "?"))
	return string(r[:min(len(r), 60)])
}

// simple writes a header in lower case with single spaces between its words.
func simple(h string) string {
	return strings.Join(strings.FieldsFunc(strings.ToLower(h), func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }), " ")
}

// slug is a header as the name of an attribute.
func slug(name string) string { return strings.ReplaceAll(name, " ", "_") }

// yesNo reads how people write yes and no in a spreadsheet.
func yesNo(v string) (yes, known bool) {
	switch simple(v) {
	case "yes", "y", "true", "1", "x", "subscribed", "opted in", "opt in", "granted":
		return true, true
	case "no", "n", "false", "0", "unsubscribed", "opted out", "opt out", "denied", "withdrawn":
		return false, true
	}
	return false, false
}

// zoneNames are ways to read a time zone: an IANA name, HubSpot's spelling of
// one, hours from UTC.
func zoneNames(v string) []string { return []string{v, zoneOfHubSpot(v), zoneOfOffset(v)} }

// zoneOfHubSpot turns "america_slash_new_york" into "America/New_York".
func zoneOfHubSpot(v string) string {
	start := true
	return strings.Map(func(r rune) rune {
		up := start
		start = r == '/' || r == '_' || r == '-'
		if up {
			return unicode.ToUpper(r)
		}
		return unicode.ToLower(r)
	}, strings.ReplaceAll(strings.ReplaceAll(v, "_slash_", "/"), " ", "_"))
}

// zoneOfOffset turns "UTC-05" or "-5" into the zone of that many whole hours,
// whose name has the sign the other way round.
func zoneOfOffset(v string) string {
	hours := strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(strings.ToUpper(v), "UTC"), "GMT"), ":00")
	n, err := strconv.Atoi(hours)
	switch {
	case err != nil || n < -12 || n > 14:
		return ""
	case n == 0:
		return "Etc/UTC"
	}
	return fmt.Sprintf("Etc/GMT%+d", -n)
}
