package sample

import (
	"bufio"
	"math/rand/v2"
	"strings"
	"time"
)

func hubSpotColumns() []string {
	return []string{"Record ID", "First Name", "Last Name", "Email", "Phone Number", "City", "Interest",
		"SMS Consent", "SMS Consent Date", "Email Consent", "Email Consent Date"}
}

// byteOrderMark is what Excel and many CRMs put before their text.
const byteOrderMark = "\ufeff"

// writeHubSpot writes the people as an export that grew over years looks: each
// in the hand of whoever typed it in, some twice, some broken.
func writeHubSpot(w *bufio.Writer, o Options) error {
	people := NewSource(o.Seed, o.Complete)
	if _, err := w.WriteString(byteOrderMark + record(hubSpotColumns())); err != nil {
		return err
	}
	for n := 1; n <= o.Count; n++ {
		if !o.writes(n) {
			continue
		}
		if _, err := w.WriteString(people.export(n, o.Complete)); err != nil {
			return err
		}
	}
	return nil
}

// export is the line of a person, and after some a second one.
func (s *Source) export(n int, flawless bool) string {
	p, r := s.Person(n), s.dice(n, 1)
	cells := []string{p.ExternalID, p.First, p.Last, p.Email, typed(r, p.Phone), p.City, p.Interest,
		word(p.SMS), date(p.SMS, p.SMSAt), word(p.Mail), date(p.Mail, p.MailAt)}
	if flawless {
		return record(cells)
	}
	return s.flaw(r, n, cells)
}

// flaw breaks some of the lines, in the ways that exports are broken.
func (s *Source) flaw(r *rand.Rand, n int, cells []string) string {
	switch v := r.Float64(); {
	case v < 0.012:
		cells[4] = pick(r, []string{"12345", "n/a", "07700 90", "call after six", "+44 7700"})
	case v < 0.018:
		cells[3] = pick(r, []string{"at the front desk", "amy@", "jo.bloggs.example.com", "none@none"})
	case v < 0.026: // exported twice, the second time in capitals
		return record(cells) + record(shouted(cells))
	case v < 0.030 && n > 1: // a household shares a phone
		cells[4] = phone(n - 1)
	case v < 0.034: // the end of the line got lost
		return record(cells[:3])
	case v < 0.037: // a comma that nobody quoted
		return strings.Join(append([]string{cells[0], "Smith", "Jr."}, cells[1:]...), ",") + "\r\n"
	case v < 0.040:
		return record(cells) + "\r\n"
	}
	return record(cells)
}

func shouted(cells []string) []string {
	out := append([]string(nil), cells...)
	out[1], out[2], out[3] = strings.ToUpper(out[1]), strings.ToUpper(out[2]), strings.ToUpper(out[3])
	return out
}

// typed is a phone number as people type it.
func typed(r *rand.Rand, e164 string) string {
	national, british := strings.CutPrefix(e164, "+44")
	if !british {
		return e164
	}
	switch r.IntN(5) {
	case 0:
		return "0" + national[:4] + " " + national[4:]
	case 1:
		return "0" + national
	case 2:
		return "+44 (0)" + national[:4] + " " + national[4:7] + " " + national[7:]
	case 3:
		return "0044" + national
	}
	return e164
}

func word(a Answer) string {
	switch a {
	case Yes:
		return "Yes"
	case No:
		return "No"
	}
	return ""
}

func date(a Answer, at time.Time) string {
	if a == Silent {
		return ""
	}
	return at.Format("2006-01-02 15:04")
}

// record is one line of CSV, quoted where it must be.
func record(cells []string) string {
	out := make([]string, len(cells))
	for i, c := range cells {
		if strings.ContainsAny(c, ",\"\r\n") {
			c = `"` + strings.ReplaceAll(c, `"`, `""`) + `"`
		}
		out[i] = c
	}
	return strings.Join(out, ",") + "\r\n"
}
