package content

import (
	"encoding/json"
	"html"
	"regexp"
	"strings"
	"unicode"
)

var (
	htmlComment = regexp.MustCompile(`(?s)<!--.*?-->`)
	anchor      = regexp.MustCompile(`(?is)<a(\s[^>]*)>(.*?)</a\s*>`)
	anyTag      = regexp.MustCompile(`(?s)<[^>]*>`)
	unseen      = regexp.MustCompile(`(?i)display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0|\shidden[\s=>]`)
)

// checkDuties warns of what every e-mail to many must say and this one does not:
// who sends it, where they can be found, and how to refuse it. An e-mail without
// our layout is filled in to see; a reader of either part must find it there.
func (c *compiler) checkDuties(m *mail, based bool) {
	if len(m.shared.HTML) > gmailShows {
		c.warn(pointerEmail, WarnEmailClipped, "Gmail shows only the first 100 kB of an e-mail: what stands at its end, as the way to unsubscribe, may be hidden. Make the HTML shorter.")
	}
	if c.sender.Name == "" {
		c.warn(pointerEmail, WarnEmailWithoutSender, "An e-mail must say who sends it. Set EMAIL_FROM with a name: Name <address>.")
	}
	if letters(c.sender.Postal) == "" {
		c.warn(pointerEmail, WarnEmailWithoutAddress, "An e-mail must give a postal address of its sender. Set EMAIL_POSTAL_ADDRESS.")
	}
	if based || m.sign == "" {
		return
	}
	for _, v := range c.examples() {
		_, page, text, err := m.render(v)
		if err != nil {
			continue // such contacts get no e-mail
		}
		if !c.lacks(page, text, v.Unsubscribe) {
			continue
		}
		return
	}
}

// lacks warns of what is not in the two parts of an e-mail.
func (c *compiler) lacks(page, text, unsubscribe string) (found bool) {
	page = htmlComment.ReplaceAllString(page, "")
	for _, part := range []struct {
		name      string
		way, post bool
	}{
		{"/html", leadsVisibly(page, unsubscribe), strings.Contains(letters(textOf(page)), letters(c.sender.Postal))},
		{"/text", strings.Contains(text, unsubscribe), strings.Contains(letters(text), letters(c.sender.Postal))},
	} {
		if !part.way {
			found = true
			c.warn(pointerEmail+part.name, WarnEmailWithoutOptOut, "There is no visible link to {{ unsubscribe_url }} here for every contact.")
		}
		if !part.post {
			found = true
			c.warn(pointerEmail+part.name, WarnEmailWithoutAddress, "The postal address is not here for every contact: write {{ sender.postal_address }}.")
		}
		if found {
			return true
		}
	}
	return false
}

// examples are a contact of whom nothing is known and one of whom everything is.
func (c *compiler) examples() []*Vars {
	const to = "https://link.invalid/1234567890"
	nobody := Vars{Link: to + "/l", Unsubscribe: to + "/u", PageName: "x", CampaignName: "x", Sender: c.sender}
	somebody := nobody
	somebody.Contact = Contact{ExternalID: "x", FirstName: "x", LastName: "x", Email: "x@link.invalid", Phone: "+4411", Locale: "en", Attributes: json.RawMessage("{}")}
	return []*Vars{&nobody, &somebody}
}

// leadsVisibly reports whether there is a link to the address with something to tap.
func leadsVisibly(page, address string) bool {
	for _, a := range anchor.FindAllStringSubmatch(page, -1) {
		href := anchorHref.FindStringSubmatch(oneLine(a[1]))
		if href == nil || html.UnescapeString(strings.Trim(href[1], `"' `)) != address || unseen.MatchString(a[1]+">") {
			continue
		}
		if strings.TrimSpace(html.UnescapeString(anyTag.ReplaceAllString(a[2], ""))) != "" || strings.Contains(strings.ToLower(a[2]), "<img") {
			return true
		}
	}
	return false
}

// letters leaves nothing of a text but letters and digits: an address may be
// broken into lines and punctuated in any way.
func letters(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			return unicode.ToLower(r)
		}
		return -1
	}, s)
}
