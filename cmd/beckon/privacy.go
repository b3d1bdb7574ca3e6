package main

import (
	"context"
	"strings"
	"unicode/utf8"

	"beckon/internal/channel"
	"beckon/internal/channel/messenger"
	"beckon/internal/privacy"
)

// The most phrases that operators may add, and the most characters of each.
const (
	mostDeleteWords   = 50
	longestDeleteWord = 100
)

func checkDeleteWords(c *Config) []string {
	bad := len(c.DeleteWords) > mostDeleteWords
	for i, w := range c.DeleteWords {
		c.DeleteWords[i] = strings.TrimSpace(w)
		n := utf8.RuneCountInString(c.DeleteWords[i])
		bad = bad || n == 0 || n > longestDeleteWord
	}
	if bad {
		return []string{"BECKON_DELETE_WORDS must be at most 50 phrases of 1 to 100 characters, with commas between"}
	}
	return nil
}

// wirePrivacy sets up what deletes people who ask for it.
func (a *app) wirePrivacy() {
	a.privacy = privacy.New(privacy.Parts{
		DB: a.db, Queue: a.queue, Box: a.box, Contacts: a.contacts, Speaker: a.speaker(),
		Signed: a.channels.signed(), PSIDs: a.channels.psids(), Pages: a.pageByGraph,
		Status: func(code string) string { return a.config.PublicURL + "/deletion/" + code },
		Words:  a.config.DeleteWords, Log: a.log, Now: now,
	})
}

// signed reads Facebook's signed requests; nil without Messenger.
func (c channels) signed() func(text string) (messenger.SignedRequest, error) {
	if c.meta == nil {
		return nil
	}
	return c.meta.ParseSignedRequest
}

// psids finds the people behind user ids of Facebook's; nil without Messenger.
func (c channels) psids() func(ctx context.Context, userID string) (map[string]string, channel.Result) {
	if c.messenger == nil {
		return nil
	}
	return c.messenger.PSIDs
}
