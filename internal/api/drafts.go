package api

import (
	"beckon/internal/api/gen"
	"beckon/internal/api/patch"
	"beckon/internal/contact"
)

func upsertDraft(externalID string, b gen.ContactUpsert) contact.Draft {
	return contact.Draft{ExternalID: contact.Of(externalID), FirstName: sent(b.FirstName), LastName: sent(b.LastName),
		Email: sent(b.Email), Phone: sent(b.Phone), Locale: sent(b.Locale), TimeZone: sent(b.TimeZone), Attributes: b.Attributes,
		SMSConsent: sentConsent(orZero(b.Consents).SMS), EmailConsent: sentConsent(orZero(b.Consents).Email),
		Messenger: each(b.Messenger, messengerID), Tokens: each(b.Tokens, tokenDraft)}
}

func createDraft(b gen.ContactCreate) contact.Draft {
	d := contact.Draft{FirstName: sent(b.FirstName), LastName: sent(b.LastName),
		Email: sent(b.Email), Phone: sent(b.Phone), Locale: sent(b.Locale), TimeZone: sent(b.TimeZone), Attributes: b.Attributes,
		SMSConsent: sentConsent(orZero(b.Consents).SMS), EmailConsent: sentConsent(orZero(b.Consents).Email),
		Messenger: each(b.Messenger, messengerID), Tokens: each(b.Tokens, tokenDraft)}
	if b.ExternalID != nil {
		d.ExternalID = contact.Of(*b.ExternalID)
	}
	return d
}

func patchDraft(b gen.ContactPatch) contact.Draft {
	return contact.Draft{ExternalID: sent(b.ExternalID), FirstName: sent(b.FirstName), LastName: sent(b.LastName),
		Email: sent(b.Email), Phone: sent(b.Phone), Locale: sent(b.Locale), TimeZone: sent(b.TimeZone), Attributes: b.Attributes,
		SMSConsent: sentConsent(orZero(b.Consents).SMS), EmailConsent: sentConsent(orZero(b.Consents).Email)}
}

func sent(f patch.Field[string]) contact.Optional[string] {
	return contact.Optional[string]{Set: f.Set, Null: f.Null, Value: f.Value}
}

func sentConsent(c *gen.ConsentSet) (none contact.Optional[contact.Consent]) {
	if c == nil {
		return none
	}
	return contact.Of(contact.Consent{Status: string(c.Status), Source: orZero(c.Source), At: c.At, Evidence: orZero(c.Evidence)})
}

func messengerID(m gen.MessengerID) contact.MessengerID {
	return contact.MessengerID{PageID: m.PageID, PSID: m.PSID}
}

func tokenDraft(t gen.TokenCreate) contact.TokenDraft {
	return contact.TokenDraft{PageID: t.PageID, Topic: t.Topic, Value: orZero(t.Token), GrantedAt: t.GrantedAt}
}
