package main

import (
	"strings"
	"unicode/utf8"

	"beckon/internal/optout"
)

// longestHelp is what Twilio takes as one text.
const longestHelp = 1600

func checkTexts(c *Config) (out []string) {
	if utf8.RuneCountInString(c.Twilio.HelpText) > longestHelp {
		out = append(out, "SMS_HELP_TEXT must have at most 1600 characters")
	}
	bad := len(c.Twilio.StopWords) > mostDeleteWords
	for i, w := range c.Twilio.StopWords {
		c.Twilio.StopWords[i] = strings.TrimSpace(w)
		n := utf8.RuneCountInString(c.Twilio.StopWords[i])
		bad = bad || n == 0 || n > longestDeleteWord
	}
	if bad {
		out = append(out, "BECKON_STOP_WORDS must be at most 50 phrases of 1 to 100 characters, with commas between")
	}
	return out
}

// wireOptOuts sets up what heeds who refuses SMS or e-mail.
func (a *app) wireOptOuts() {
	a.optOuts = optout.New(optout.Parts{DB: a.db, Queue: a.queue, Contacts: a.contacts, Box: a.box, KeepTexts: a.config.KeepTexts, Now: now})
}
