package content

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// MaxSMS is the longest SMS, in characters, over all its segments.
const MaxSMS = 1600

const pointerSMS = "/content/sms/text"

func (c *compiler) sms(src *SMS) *template {
	if src == nil {
		return nil
	}
	t := c.read(pointerSMS, src.Text)
	if t == nil {
		return nil
	}
	out := c.bind(t, plain)
	c.checkText(pointerSMS, out, MaxSMS)
	if !t.links {
		c.warn(pointerSMS, WarnSMSWithoutLink, "Without {{ link }} nobody can come back from this SMS.")
	}
	if !t.unsub && !offersOptOut(out.everything(t)) {
		c.warn(pointerSMS, WarnSMSWithoutOptOut, "Say how to opt out, for example: Reply STOP to opt out.")
	}
	if r, wide := firstWide(out.everything(t), src.asWritten()); wide {
		c.warn(pointerSMS, WarnSMSIsUnicode, fmt.Sprintf("The character %q (U+%04X) is not in the SMS alphabet: with it 70 characters cost a segment, without it 160.", r, r))
	}
	return out
}

// checkText notes a text that is always empty or always too long.
func (c *compiler) checkText(pointer string, t *template, limit int) {
	if t.empty() {
		c.fail(pointer, "required", "Nothing is said here.")
	}
	if utf8.RuneCountInString(t.fixed()) > limit {
		c.fail(pointer, "too_long", "At most %d characters fit here.", limit)
	}
}

// SMS returns the text for one contact. Errors are fault.Invalid: it cannot be
// sent to this contact.
func (c *Compiled) SMS(v *Vars) (string, error) {
	if c.sms == nil {
		return "", refuse(CodeNone, "There is no SMS.")
	}
	out, err := c.sms.within(&frame{vars: v}, MaxSMS)
	if err != nil || c.asWritten {
		return out, err
	}
	if out = inAlphabet(out); utf8.RuneCountInString(out) > MaxSMS {
		return "", tooLong()
	}
	return out, nil
}

// within renders a text that must say something in at most so many characters.
func (t *template) within(f *frame, limit int) (string, error) {
	out, err := t.render(f)
	switch {
	case err != nil:
		return "", err
	case strings.TrimSpace(out) == "":
		return "", refuse(CodeEmpty, "Nothing is left to say to this contact.")
	case len(out) > limit && utf8.RuneCountInString(out) > limit:
		return "", tooLong()
	}
	return out, nil
}

func tooLong() error { return refuse(CodeTooLong, "The text is too long for this contact.") }

// everything is all that the author wrote, inside of blocks too.
func (t *template) everything(src *text) string {
	var b strings.Builder
	for _, tok := range live(src.tokens) {
		b.WriteString(tok.Source)
	}
	b.WriteString(" " + t.fixed())
	return b.String()
}

// offersOptOut looks for the words by which people are told how to opt out. It
// only decides about a warning.
func offersOptOut(text string) bool {
	text = strings.ToLower(text)
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) })
	for _, w := range words {
		if slices.Contains(optOutWords(), w) || slices.ContainsFunc(optOutStems(), func(s string) bool { return strings.HasPrefix(w, s) }) {
			return true
		}
	}
	return slices.ContainsFunc(optOutPhrases(), func(s string) bool { return strings.Contains(text, s) })
}

func optOutWords() []string {
	return []string{"stop", "stopp", "stopall", "baja", "sair", "iptal", "ret", "стоп", "arrêt", "arret", "optout"}
}

func optOutStems() []string {
	return []string{
		"unsubscri", "désabon", "desabon", "désinscri", "abmeld", "abbestell", "cancelar", "disiscri",
		"annulla", "afmeld", "uitschrijv", "avmeld", "avregistr", "frameld", "rezygn", "wypis", "odhlás",
		"отпис", "відпис", "dezabon", "leiratkoz", "إلغاء", "הסר",
	}
}

func optOutPhrases() []string {
	return []string{"opt out", "opt-out", "退订", "退訂", "配信停止", "停止", "수신거부"}
}
