package content

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTextOfHTML(t *testing.T) {
	t.Parallel()
	for html, want := range map[string]string{
		"":                                  "",
		"plain":                             "plain",
		" a <b>bold</b> word ":              " a bold word ",
		"a<br>b<br/>c":                      "a\nb\nc",
		"<p>a</p><p>b</p>":                  "a\n\nb",
		"<h1>Big</h1>small":                 "Big\n\nsmall",
		"<ul><li>a</li><li>b</li></ul>c":    "\n - a\n - b\nc",
		"&lt;b&gt; &amp; &euro;&#33;":       "<b> & €!",
		`<a href="https://a.example">A</a>`: "A <https://a.example>",
		`<a class="x" href='https://a.example/?b&amp;c'>A</a> z`: "A <https://a.example/?b&c> z",
		`<a name="top">A</a> and more`:                           "A and more",
		`<a>A</a> and more`:                                      "A and more",
		"<A\nHREF=https://a.example\n>A</A> z":                   "A <https://a.example> z",
		"<style>p{}</style>a<script>b()</script>c":               "ac",
		"<!-- hidden -->a<!--[if mso]><![endif]-->b":             "ab",
	} {
		require.Equal(t, want, textOf(html), html)
	}
}

func TestTidyText(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"a  \n b\n\n\n\nc \n":                     "a\nb\n\nc",
		"https://a.example <https://a.example> z": "https://a.example z",
		"here <https://a.example> z":              "here <https://a.example> z",
		"x <y> y <y> <z>":                         "x <y> y <z>",
		"a < b and c > d":                         "a < b and c > d",
		"":                                        "",
	} {
		require.Equal(t, want, tidy(in), in)
	}
}

func TestParagraphs(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"a":                                   "a",
		"a\nb":                                "a<br>\nb",
		"a\r\n\r\nb\rc":                       "a</p>\n<p>b<br>\nc",
		"a\n \n\n\tb":                         "a</p>\n<p>b",
		"1 < 2 & \"3\"":                       "1 &lt; 2 &amp; &#34;3&#34;",
		"(see https://a.example/b?c=d&e).":    `(see <a href="https://a.example/b?c=d&amp;e">https://a.example/b?c=d&amp;e</a>).`,
		"https://a.example, http://b.example": `<a href="https://a.example">https://a.example</a>, <a href="http://b.example">http://b.example</a>`,
		"https://a.example/?id=x":             `<a href="https://a.example/?id=x">https://a.example/?id=x</a>`,
	} {
		require.Equal(t, want, paragraphs(text, false), text)
	}
	require.Equal(t, "https://a.example/x", paragraphs("https://a.example/x", true), "a hole follows: it may be a part of the address")
	require.Equal(t, `<a href="https://a.example">https://a.example</a> `, paragraphs("https://a.example ", true))
}

func TestHTMLFromTextNeverLosesItsBalance(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		html := paragraphs(rapid.StringMatching(`([a-z<>&"'\n\r ]|https?://[a-z.<>"]{1,5}){0,20}`).Draw(t, "text"), rapid.Bool().Draw(t, "more"))
		open := 0
		for _, r := range html {
			switch r {
			case '<':
				open++
			case '>':
				open--
			}
			require.Contains(t, []int{0, 1}, open)
		}
		require.Zero(t, open)
	})
}

func TestBareAttributesAreFound(t *testing.T) {
	t.Parallel()
	for html, bare := range map[string]bool{
		"":                               false,
		"a = ":                           false,
		"<p>a=":                          false,
		"<p a=":                          true,
		"<p a = ":                        true,
		"<p a=\"":                        false,
		"<p a='b=":                       false,
		"<p a='b' c=":                    true,
		"<p a=\"x > y\" b=":              true,
		"<p a=b":                         false,
		"<p>x</p><img alt=":              true,
		"1 < 2, a=":                      false,
		"<!-- a=":                        false,
		"<a href='https://x.example/?q=": false,
	} {
		var s scanner
		s.read(html)
		require.Equal(t, bare, s.bare(), html)
	}
}
