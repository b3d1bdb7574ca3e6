package main

import (
	"bytes"
	_ "embed"
	"io"

	"beckon/internal/sample"
)

// crmExport is what the CRM of the demo exports: made once by
// `beckon sample --count 1000 --seed 1`, a test holds it to that.
//
//go:embed demo-data/crm.csv
var crmExport []byte

const (
	committedContacts = 1000
	demoSeed          = 1
)

// part is what somebody does in the demo, besides being in the CRM.
type part int

const (
	onlyInCRM   part = iota
	chatsToday       // writes to the bot while we watch
	permitted        // gave the old bot a token, weeks ago
	saidYesLate      // said yes two days ago, and Messenger tells only now
	quiet            // known to the bot, long silent
)

// cast says who plays which part. It is the same each time.
type cast struct {
	people *sample.Source
	count  int
}

func newCast(count int) cast { return cast{sample.NewSource(demoSeed, false), count} }

func (c cast) part(n int) part {
	switch v := (n*37 + 11) % 100; {
	case v < 12:
		return chatsToday
	case v < 34:
		return permitted
	case v < 38:
		return saidYesLate
	case v < 44:
		return quiet
	}
	return onlyInCRM
}

// all returns everybody who plays a part.
func (c cast) all(p part) []sample.Person {
	var out []sample.Person
	for n := 1; n <= c.count; n++ {
		if c.part(n) == p {
			out = append(out, c.people.Person(n))
		}
	}
	return out
}

// crm is the CRM's export.
func (c cast) crm() (io.Reader, error) {
	if c.count == committedContacts {
		return bytes.NewReader(crmExport), nil
	}
	var b bytes.Buffer
	err := sample.Write(&b, sample.Options{Format: sample.HubSpot, Count: c.count, Seed: demoSeed})
	return &b, err
}

// oldBot is what the bot's former platform exports.
func (c cast) oldBot(o sample.Options) (io.Reader, error) {
	o.Format, o.Count, o.Seed, o.GraphPage = sample.ManyChat, c.count, demoSeed, simulatorPage
	o.Only = func(n int) bool { return c.part(n) != onlyInCRM }
	o.Permitted = func(n int) bool { return c.part(n) == permitted }
	var b bytes.Buffer
	err := sample.Write(&b, o)
	return &b, err
}

// reachable are people in the CRM only, who said yes to both SMS and e-mail.
func (c cast) reachable() []sample.Person {
	var out []sample.Person
	for _, p := range c.all(onlyInCRM) {
		if p.SMS == sample.Yes && p.Mail == sample.Yes {
			out = append(out, p)
		}
	}
	return out
}
