package contact

import (
	"fmt"
	"slices"
	"strings"

	"beckon/internal/channel"
	"beckon/internal/db"
)

func (c *checks) importOptions(o ImportOptions) {
	c.limit("/consent_source", o.ConsentSource, maxText)
	c.longText("/consent_evidence", o.ConsentEvidence, maxEvidence)
	c.limit("/topic", o.Topic, maxText)
	if o.Channel != "" && !slices.Contains(kinds(), o.Channel) {
		c.add("/channel", "bad_channel", "Must be sms or email.")
	}
	if o.Reason != "" && !slices.Contains(reasons(), o.Reason) {
		c.add("/reason", "bad_reason", "Must be a reason of suppressions.")
	}
	named := false
	for _, of := range [][2]string{{"/consent_sms", o.ConsentSMS}, {"/consent_email", o.ConsentEmail}} {
		named = named || of[1] != ""
		if of[1] != "" && of[1] != Subscribed {
			c.add(of[0], "bad_consent", "Must be subscribed.")
		}
	}
	switch {
	case named:
		c.stated("/consent_source", o.ConsentSource)
		c.stated("/consent_evidence", o.ConsentEvidence)
	case o.ConsentEvidence != "":
		c.add("/consent_evidence", "no_default", "Belongs to consent_sms or consent_email.")
	}
}

func (c *checks) stated(pointer, v string) {
	if strings.TrimSpace(v) == "" {
		c.add(pointer, "required", "Must be said with consent_sms and consent_email.")
	}
}

// fill takes the consents that were named for the whole import, where the line has
// an address of the channel and says nothing of it.
func (r *importRun) fill(it *item, rec record) {
	at := it.at
	yes := Consent{Status: Subscribed, Source: r.options.ConsentSource, At: &at, Evidence: r.options.ConsentEvidence}
	a := answer{Consent: yes, undated: true, fromFile: true, fallback: true}
	if r.options.ConsentSMS != "" && it.Phone.has() && !it.SMSConsent.Set && !rec.unclear.sms {
		it.SMSConsent, it.sms = Of(yes), a
	}
	if r.options.ConsentEmail != "" && it.Email.has() && !it.EmailConsent.Set && !rec.unclear.email {
		it.EmailConsent, it.email = Of(yes), a
	}
}

// loadRefused finds out which addresses of items that agree by default were refused
// by whoever had them.
func (b *batch) loadRefused(tx *db.Tx, items []item) error {
	var kinds []string
	var hashes [][]byte
	for i := range items {
		it := &items[i]
		if it.sms.fallback {
			kinds, hashes = append(kinds, string(channel.SMS)), append(hashes, b.store.hash("phone", it.Phone.Value))
		}
		if it.email.fallback {
			kinds, hashes = append(kinds, string(channel.Email)), append(hashes, b.store.hash("email", it.Email.Value))
		}
	}
	if len(hashes) == 0 {
		return nil
	}
	var rows []Suppression
	if err := tx.Raw("SELECT s.channel, s.hash FROM ? JOIN suppressions s ON s.channel = v.channel AND s.hash = v.hash WHERE s.reason IN ?",
		tx.Values("v", db.Texts("channel", kinds), db.Blobs("hash", hashes)), optOuts()).Scan(&rows).Error; err != nil {
		return fmt.Errorf("find refused addresses: %w", err)
	}
	b.refused = make(map[string]bool, len(rows))
	for _, x := range rows {
		b.refused[string(x.Channel)+string(x.Hash)] = true
	}
	return nil
}

// mayAgree reports whether an answer may be taken: one that was not the person's own
// is not where somebody refused the address.
func (b *batch) mayAgree(p *person, kind channel.Kind, a answer) bool {
	hash := p.PhoneHash
	if kind == channel.Email {
		hash = p.EmailHash
	}
	return !a.fallback || !b.refused[string(kind)+string(hash)]
}
