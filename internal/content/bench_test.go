package content_test

import (
	"testing"

	"beckon/internal/content"
)

func benchSource() content.Source {
	return content.Source{
		Messenger: &content.Messenger{Text: "Hi {{ contact.first_name | default: 'there' }}, spring courses are open. Want the list?", QuickReplies: replies(2)},
		SMS:       &content.SMS{Text: "Spring courses are open: {{ link }} Reply STOP to opt out"},
		Email: &content.Email{
			Subject: "{{ contact.first_name | default: 'Hello' }}, spring courses are open",
			HTML:    `<p>Hi {{ contact.first_name | default: 'there' }},</p><p><a href="{{ link }}">See them</a></p><p><a href="{{ unsubscribe_url }}">Unsubscribe</a></p>`,
		},
	}
}

func BenchmarkFill(b *testing.B) {
	c, v := compile(b, benchSource()), ann()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Fill(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFillWithAttribute(b *testing.B) {
	src := benchSource()
	src.Email.HTML += "<p>{{ contact.attributes.city }}</p>"
	c, v := compile(b, src), ann()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Fill(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFillWithBlock(b *testing.B) {
	src := benchSource()
	src.Email.HTML += "{% if contact.last_name %}<p>{{ contact.last_name | upcase }}</p>{% endif %}"
	c, v := compile(b, src), ann()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Fill(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMessenger(b *testing.B) {
	c, v := compile(b, benchSource()), ann()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Messenger(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSMS(b *testing.B) {
	c, v := compile(b, benchSource()), ann()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.SMS(v); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		compile(b, benchSource())
	}
}
