package main

import (
	"bytes"
	"encoding/json"
	"time"

	"beckon/internal/rig"
	"beckon/internal/sample"
)

const topic = "courses"

// person is somebody of the audience and every address they have.
type person struct {
	lane      string // "" for those whom nothing can reach
	psid      string
	phone     string
	email     string
	reachable bool
}

func (p person) addresses() []string {
	var out []string
	for _, a := range []string{p.psid, p.phone, p.email} {
		if a != "" {
			out = append(out, a)
		}
	}
	return out
}

// personOf makes up the n-th person: a quarter inside the window, three tenths
// with a token, a fifth each with a phone or an e-mail address, one in twenty
// with nothing. Half of those on Messenger have another address to fall to.
func personOf(n int) (person, sample.Person) {
	who := sample.NewSource(1, true).Person(n)
	p := person{reachable: true}
	switch k := n % 20; {
	case k < 5:
		p.lane, p.psid = "window", sample.PSID(n)
	case k < 11:
		p.lane, p.psid = "one_time", sample.PSID(n)
	case k < 15:
		p.lane, p.phone = "sms", who.Phone
	case k < 19:
		p.lane, p.email = "email", who.Email
	default:
		p.reachable = false
	}
	if p.psid != "" && n/20%2 == 0 {
		if n%2 == 0 {
			p.phone = who.Phone
		} else {
			p.email = who.Email
		}
	}
	return p, who
}

// everybody returns the people 1 to n by external id, and the file that brings
// them in. everyone, when set, keeps those of one lane alone.
func everybody(page string, n int, only string) (people map[string]person, file []byte, err error) {
	people = map[string]person{}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	for i := 1; i <= n; i++ {
		p, who := personOf(i)
		if only != "" {
			p = person{lane: only, reachable: true, phone: who.Phone}
		}
		people[who.ExternalID] = p
		if err := enc.Encode(lineOf(page, i, p, who)); err != nil {
			return nil, nil, err
		}
	}
	return people, b.Bytes(), nil
}

func lineOf(page string, n int, p person, who sample.Person) map[string]any {
	consents := map[string]any{}
	line := map[string]any{"external_id": who.ExternalID, "first_name": who.First, "consents": consents}
	if p.psid != "" {
		line["messenger"] = []any{map[string]string{"page_id": page, "psid": p.psid}}
	}
	if p.lane == "one_time" {
		line["tokens"] = []any{map[string]any{"page_id": page, "topic": topic, "token": sample.Token(rig.GraphPage, n),
			"granted_at": time.Now().UTC().AddDate(0, -1, 0)}}
	}
	if p.phone != "" {
		line["phone"], consents["sms"] = p.phone, map[string]string{"status": "subscribed"}
	}
	if p.email != "" {
		line["email"], consents["email"] = p.email, map[string]string{"status": "subscribed"}
	}
	return line
}
