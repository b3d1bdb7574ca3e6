package audience

import (
	"regexp"
	"slices"
	"strings"
)

type fieldKind string

const (
	textField      fieldKind = "text"
	consentField   fieldKind = "consent"
	timeField      fieldKind = "time"
	attributeField fieldKind = "attribute"
	tokenField     fieldKind = "token"
	askableField   fieldKind = "askable"
)

// field is something known of a contact.
type field struct {
	kind   fieldKind
	column string // of contacts
	name   string // of the attribute
}

// columns are the fields that stand in a column of their own.
func columns() map[string]field {
	return map[string]field{
		"external_id":    {kind: textField, column: "external_id"},
		"first_name":     {kind: textField, column: "first_name"},
		"last_name":      {kind: textField, column: "last_name"},
		"email":          {kind: textField, column: "email"},
		"phone":          {kind: textField, column: "phone"},
		"locale":         {kind: textField, column: "locale"},
		"time_zone":      {kind: textField, column: "time_zone"},
		"created_at":     {kind: timeField, column: "created_at"},
		"consents.sms":   {kind: consentField, column: "sms_consent_status"},
		"consents.email": {kind: consentField, column: "email_consent_status"},
		"has_token":      {kind: tokenField},
		"may_be_asked":   {kind: askableField},
	}
}

var attributeName = regexp.MustCompile(`^[A-Za-z0-9_ .-]{1,64}$`)

// fieldOf returns false for a field that does not exist.
func fieldOf(name string) (field, bool) {
	if attribute, ok := strings.CutPrefix(name, "attributes."); ok {
		return field{kind: attributeField, column: "attributes", name: attribute}, attributeName.MatchString(attribute)
	}
	f, ok := columns()[name]
	return f, ok
}

// ofTopics reports whether the field's values are topics, and its rules may
// name a Page.
func (f field) ofTopics() bool { return f.kind == tokenField || f.kind == askableField }

// ops are the operators a field of this kind takes.
func (k fieldKind) ops() []Op {
	switch k {
	case textField:
		return []Op{Eq, Ne, In, Exists, Contains, StartsWith}
	case consentField, tokenField:
		return []Op{Eq, Ne, In, Exists}
	case askableField:
		return []Op{Eq, Ne, In}
	case timeField:
		return []Op{Gt, Gte, Lt, Lte}
	}
	return []Op{Eq, Ne, In, Exists, Contains, StartsWith, Gt, Gte, Lt, Lte}
}

// takes are the kinds of values an operator compares a field of this kind
// with.
func (k fieldKind) takes(op Op) []valueKind {
	switch {
	case k == timeField:
		return []valueKind{moment}
	case k != attributeField || op == Contains || op == StartsWith:
		return []valueKind{text}
	case slices.Contains([]Op{Gt, Gte, Lt, Lte}, op):
		return []valueKind{text, number}
	}
	return []valueKind{text, number, truth}
}
