package content

import (
	"bytes"
	"encoding/json"
	"maps"
)

// Contact is what a text may say about the person. Empty fields are missing:
// they render as nothing and are false in a condition.
type Contact struct {
	ExternalID, FirstName, LastName, Email, Phone, Locale string
	// Attributes is a JSON object. It is read only when a text asks for one;
	// anything else than an object counts as none.
	Attributes json.RawMessage
}

// Vars is all that the texts can be filled with for one contact.
type Vars struct {
	Contact      Contact
	Link         string // the personal link back to the bot
	Unsubscribe  string // the personal unsubscribe page
	PageName     string
	CampaignName string
	Sender       Sender // of e-mails
}

// Sender is who e-mails come from, as each of them must say. Empty fields are
// not known.
type Sender struct {
	Name   string // as it stands beside the address
	Postal string // the postal address
	Note   string // what else must stand at the foot of every e-mail
}

// field is a variable that holds a string.
type field byte

const (
	noField field = iota
	fieldExternalID
	fieldFirstName
	fieldLastName
	fieldEmail
	fieldPhone
	fieldLocale
	fieldLink
	fieldUnsubscribe
	fieldPage
	fieldCampaign
	fieldSender
	fieldPostal
)

// fieldOf finds the string variable of that name.
func fieldOf(path []string) field {
	switch len(path) {
	case 1:
		switch path[0] {
		case "link":
			return fieldLink
		case "unsubscribe_url":
			return fieldUnsubscribe
		}
	case 2:
		return fieldOfPair(path[0] + "." + path[1])
	}
	return noField
}

func fieldOfPair(name string) field {
	switch name {
	case "contact.external_id":
		return fieldExternalID
	case "contact.first_name":
		return fieldFirstName
	case "contact.last_name":
		return fieldLastName
	case "contact.email":
		return fieldEmail
	case "contact.phone":
		return fieldPhone
	case "contact.locale":
		return fieldLocale
	case "page.name":
		return fieldPage
	case "campaign.name":
		return fieldCampaign
	case "sender.name":
		return fieldSender
	case "sender.postal_address":
		return fieldPostal
	}
	return noField
}

func (v *Vars) get(f field) string {
	switch f {
	case fieldExternalID:
		return v.Contact.ExternalID
	case fieldFirstName:
		return v.Contact.FirstName
	case fieldLastName:
		return v.Contact.LastName
	case fieldEmail:
		return v.Contact.Email
	case fieldPhone:
		return v.Contact.Phone
	case fieldLocale:
		return v.Contact.Locale
	case fieldLink:
		return v.Link
	case fieldUnsubscribe:
		return v.Unsubscribe
	case fieldPage:
		return v.PageName
	case fieldCampaign:
		return v.CampaignName
	case fieldSender:
		return v.Sender.Name
	case fieldPostal:
		return v.Sender.Postal
	}
	return ""
}

// frame is one filling-in: the variables, and what was made of them so far.
type frame struct {
	vars  *Vars
	attrs map[string]any // decoded on first use
	bound map[string]any // for the engine, made on first use
	foot  footer         // looked up on first use
}

// footer is what the contact's language says; language is that of the e-mail.
func (f *frame) footer(language string) footer {
	if f.foot.language == "" {
		f.foot = footerOf(f.vars.Contact.Locale, language)
	}
	return f.foot
}

func (f *frame) attributes() map[string]any {
	if f.attrs == nil {
		f.attrs = decode(f.vars.Contact.Attributes)
	}
	return f.attrs
}

// attribute follows a path of names into the attributes.
func (f *frame) attribute(path []string) any {
	var at any = f.attributes()
	for _, name := range path {
		m, ok := at.(map[string]any)
		if !ok {
			return nil
		}
		at = m[name]
	}
	return at
}

// bindings returns a map of its own for each call: a template may assign to it.
func (f *frame) bindings() map[string]any {
	if f.bound == nil {
		contact := map[string]any{"attributes": f.attributes()}
		for name, id := range map[string]field{
			"external_id": fieldExternalID, "first_name": fieldFirstName, "last_name": fieldLastName,
			"email": fieldEmail, "phone": fieldPhone, "locale": fieldLocale,
		} {
			contact[name] = present(f.vars.get(id))
		}
		f.bound = map[string]any{
			"contact":         contact,
			"link":            present(f.vars.Link),
			"unsubscribe_url": present(f.vars.Unsubscribe),
			"page":            map[string]any{"name": present(f.vars.PageName)},
			"campaign":        map[string]any{"name": present(f.vars.CampaignName)},
			"sender":          map[string]any{"name": present(f.vars.Sender.Name), "postal_address": present(f.vars.Sender.Postal)},
		}
	}
	return maps.Clone(f.bound)
}

// present makes nil of a missing value: in Liquid an empty string is true, and
// {% if contact.first_name %} must be false for those who have none.
func present(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// decode reads attributes; what is not an object reads as an empty one.
func decode(raw json.RawMessage) map[string]any {
	out := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if len(raw) == 0 || d.Decode(&out) != nil || out == nil {
		return map[string]any{}
	}
	for k, v := range out {
		out[k] = settle(v)
	}
	return out
}

// settle turns decoded JSON into what templates compare well: whole numbers are
// ints, empty strings are missing.
func settle(v any) any {
	switch v := v.(type) {
	case string:
		return present(v)
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return int(n)
		}
		n, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return n
	case []any:
		for i := range v {
			v[i] = settle(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = settle(v[k])
		}
	}
	return v
}
