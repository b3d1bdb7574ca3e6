package sample

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// Answer is what a person said about being written to on a channel.
type Answer int

// The answers.
const (
	Silent Answer = iota // was never asked
	Yes
	No
)

// Person is a made-up contact. Nobody real is meant: e-mail addresses are under
// the example domains, the first thousand phones are those that Ofcom keeps for
// films, and the rest are in a range of mobiles that is hardly allotted.
type Person struct {
	Number         int // from 1
	ExternalID     string
	First, Last    string
	Email, Phone   string // empty when not known
	City, Interest string
	SMS, Mail      Answer
	SMSAt, MailAt  time.Time // when they answered
}

// Source makes people. The n-th person of a seed is always the same.
type Source struct {
	seed              uint64
	complete          bool
	first, last       []name
	cities, interests []string
}

// NewSource returns the people of a seed. With complete everybody has a phone
// and an e-mail address and said yes to both.
func NewSource(seed uint64, complete bool) *Source {
	return &Source{seed, complete, firstNames(), lastNames(), cities(), interests()}
}

// Person returns the n-th person, from 1.
func (s *Source) Person(n int) Person {
	r := s.dice(n, 0)
	first, last := pick(r, s.first), pick(r, s.last)
	p := Person{Number: n, ExternalID: ExternalID(n), First: first.written, Last: last.written, City: pick(r, s.cities), Interest: pick(r, s.interests)}
	p.Email = fmt.Sprintf("%s.%s.%d@%s", first.handle, last.handle, n, pick(r, []string{"example.com", "example.org", "example.net"}))
	p.Phone = phone(n)
	p.SMS, p.Mail = answer(r, 0.68), answer(r, 0.70)
	p.SMSAt, p.MailAt = moment(r), moment(r)
	if s.complete {
		p.SMS, p.Mail = Yes, Yes
		return p
	}
	if r.Float64() < 0.14 {
		p.Phone, p.SMS = "", Silent
	}
	if r.Float64() < 0.10 {
		p.Email, p.Mail = "", Silent
	}
	return p
}

// ExternalID is the id of the n-th person in the CRM.
func ExternalID(n int) string { return strconv.Itoa(40_100_000 + n) }

// dice gives each person, and each use, chances of its own.
func (s *Source) dice(n int, use uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.seed^use<<56, uint64(n)))
}

// drama is how many numbers Ofcom keeps for films and the stage.
const drama = 1000

func phone(n int) string {
	if n <= drama {
		return fmt.Sprintf("+447700900%03d", n-1)
	}
	return fmt.Sprintf("+4471%08d", n)
}

func answer(r *rand.Rand, yes float64) Answer {
	switch v := r.Float64(); {
	case v < yes:
		return Yes
	case v < yes+0.1:
		return No
	}
	return Silent
}

// moment is some minute of 2024 or 2025.
func moment(r *rand.Rand) time.Time {
	return time.Date(2024, 1, 8, 8, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(700*24*60)) * time.Minute)
}

func pick[T any](r *rand.Rand, all []T) T { return all[r.IntN(len(all))] }
