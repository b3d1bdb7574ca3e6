//go:build screens

package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var screens = flag.String("screens", "", "the folder that the pictures go to")

// TestScreens takes pictures of what people get to see: e-mails as they reach a
// mailbox, and the pages that their links lead to. It holds them against what
// can be measured: nothing is wider than the screen, text stands out from its
// ground, and buttons are large enough for a thumb.
func TestScreens(t *testing.T) {
	require.NotEmpty(t, *screens, "-screens says where the pictures go")
	require.NoError(t, os.MkdirAll(*screens, 0o755))
	browser := chromium(t)
	w := serving(t, onSQLite(t))
	shown := pages(t, w, gallery(t, mails(t, w)))
	index(t, shown)
	for name, address := range shown {
		for _, width := range []int64{390, 1280} {
			for _, scheme := range []string{"light", "dark"} {
				t.Run(fmt.Sprintf("%s-%d-%s", name, width, scheme), func(t *testing.T) { picture(t, browser, address, width, scheme) })
			}
		}
	}
}

// chromium starts the browser; its folder of data is gone at the end.
func chromium(t *testing.T) context.Context {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome", "google-chrome-stable"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		o := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.UserDataDir(t.TempDir()))
		if os.Geteuid() == 0 {
			o = append(o, chromedp.NoSandbox)
		}
		ctx, stop := chromedp.NewExecAllocator(context.WithoutCancel(t.Context()), o...)
		t.Cleanup(stop)
		ctx, stop = chromedp.NewContext(ctx)
		t.Cleanup(stop)
		return ctx
	}
	require.FailNow(t, "There is no Chromium here, which takes the pictures. On Debian: apt-get install chromium")
	return nil
}

// letter is what a mailbox holds after a campaign.
type letter struct{ html, text string }

// mails sends campaigns to people who are easy and to people who are hard to
// write to, and returns what reached them.
func mails(t *testing.T, w *world) map[string]letter {
	t.Helper()
	long := "Wolfeschlegelsteinhausenbergerdorff-Maximiliane Alexandrina Feodora"
	w.imported(t, file{ndjson, strings.Join([]string{
		`{"external_id":"amy","first_name":"Amy","email":"amy@example.com","locale":"en_GB","attributes":{"interest":"beginners' Spanish","town":"Leeds"},"consents":{"email":{"status":"subscribed"}}}`,
		fmt.Sprintf(`{"external_id":"long","first_name":%q,"email":"long@example.com","locale":"de","attributes":{"interest":%q},"consents":{"email":{"status":"subscribed"}}}`, long, "Donaudampfschifffahrtsgesellschaftskapitänspatent"),
		`{"external_id":"none","email":"none@example.com","consents":{"email":{"status":"subscribed"}}}`,
	}, "\n")})
	people := map[string]string{"sample": "amy@example.com", "longest": "long@example.com", "unknown": "none@example.com"}
	out := map[string]letter{}
	for name, e := range campaigns() {
		c := courses(w.page, &season{name: "spring"})
		delete(c, "follow_up")
		c["topic"], c["route"], c["content"] = "courses", []string{"email"}, map[string]any{"email": e}
		id := ask[struct{ ID string }](t, w, 201, "POST", "/v1/campaigns", c).ID
		ask[any](t, w, 202, "POST", "/v1/campaigns/"+id+"/start", nil)
		eventually(t, func(c *assert.CollectT) { require.Equal(c, len(people), w.report(c, id).count("delivered")) })
		for who, to := range people {
			all := w.sim.Mail(to)
			last := all[len(all)-1]
			out["mail-"+name+"-"+who] = letter{last.HTML, last.Text}
		}
	}
	return out
}

// campaigns are e-mails as marketers write them.
func campaigns() map[string]map[string]any {
	const words = "{{ contact.first_name | default: 'Hello' }}, spring courses are open"
	return map[string]map[string]any{
		"newsletter": {
			"subject": words, "preheader": "New dates in {{ contact.attributes.town | default: 'your town' }}, from 3 March", "language": "en",
			"html": `<h1>Spring courses are open</h1>
<p>Hi {{ contact.first_name | default: 'there' }},</p>
<p><img src="/hero.png" width="536" height="240" alt="A classroom in spring"></p>
<p>the new timetable is here. {% if contact.attributes.interest %}We have new dates for <strong>{{ contact.attributes.interest }}</strong>, and more:{% else %}Among the new ones:{% endif %}</p>
<ul><li>Spanish for beginners, Tuesdays at six</li><li>Watercolours, Saturday mornings</li><li>First aid, <a href="https://northern.example/first-aid">one weekend</a></li></ul>
<h2>How to book</h2>
<p>Places go fast. Open our chat, tap the course that you like, and your place is kept for two days.</p>
<blockquote>“I booked from the bus. It took a minute.”</blockquote>`,
			"button": map[string]string{"title": "See all courses in our chat"},
		},
		"plain": {"subject": words, "text": "Hi {{ contact.first_name | default: 'there' }},\n\nspring courses are open. See https://northern.example/spring or come and ask us.\n\nYours,\nNorthern Courses",
			"button": map[string]string{"title": "Ask in our chat, {{ contact.first_name | default: 'friend' }}"}},
	}
}

// gallery serves what is to be looked at.
func gallery(t *testing.T, mails map[string]letter) map[string]string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hero.png", func(w http.ResponseWriter, _ *http.Request) { _ = png.Encode(w, hero()) })
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	out := map[string]string{}
	for name, m := range mails {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte(m.html))
		})
		out[name] = server.URL + "/" + name
		require.NoError(t, os.WriteFile(filepath.Join(*screens, name+".txt"), []byte(m.text), 0o600))
		require.NoError(t, os.WriteFile(filepath.Join(*screens, name+".html"), []byte(m.html), 0o600))
		if out["unsubscribe"] == "" {
			out["unsubscribe"] = regexp.MustCompile(`https?://\S+/u/\S+`).FindString(m.text)
		}
	}
	return out
}

// hero is a picture at the head of a newsletter.
func hero() image.Image {
	out := image.NewRGBA(image.Rect(0, 0, 1072, 480))
	for y := range 480 {
		for x := range 1072 {
			out.Set(x, y, color.RGBA{uint8(90 + y/4), uint8(150 + x/16), uint8(200 - y/6), 255})
		}
	}
	return out
}

// pages adds the public pages to what is to be looked at.
func pages(t *testing.T, w *world, shown map[string]string) map[string]string {
	t.Helper()
	require.NotEmpty(t, shown["unsubscribe"])
	shown["unsubscribed"] = shown["unsubscribe"] + "#post"
	shown["unknown"] = w.gate.URL + "/u/nothing"
	shown["deletion"] = deletionPage(t, w)
	return shown
}

// deletionPage asks for a deletion as Facebook does.
func deletionPage(t *testing.T, w *world) string {
	t.Helper()
	payload := base64.RawURLEncoding.EncodeToString([]byte(fmt.Sprintf(`{"algorithm":"HMAC-SHA256","issued_at":%d,"user_id":"2718281828"}`, time.Now().Unix())))
	sum := hmac.New(sha256.New, []byte("app-secret-of-the-test"))
	sum.Write([]byte(payload))
	form := url.Values{"signed_request": {base64.RawURLEncoding.EncodeToString(sum.Sum(nil)) + "." + payload}}
	return ask[struct{ URL string }](t, w, 200, "POST", "/webhooks/facebook/data-deletion", file{"application/x-www-form-urlencoded", form.Encode()}).URL
}

// index is a page that shows all pictures side by side.
func index(t *testing.T, shown map[string]string) {
	t.Helper()
	var b strings.Builder
	b.WriteString("<!doctype html><meta charset=utf-8><title>What people get to see</title><style>body{font:14px sans-serif;background:#888}img{height:700px;margin:4px;vertical-align:top}</style>")
	for _, name := range slices.Sorted(maps.Keys(shown)) {
		b.WriteString("\n<h2>" + name + "</h2>")
		for _, kind := range []string{"390-light", "390-dark", "1280-light", "1280-dark"} {
			b.WriteString(`<img src="` + name + "-" + kind + `.png" alt="` + kind + `">`)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(*screens, "index.html"), []byte(b.String()), 0o600))
}

// picture takes one, and measures the page.
func picture(t *testing.T, browser context.Context, address string, width int64, scheme string) {
	tab, done := chromedp.NewContext(browser)
	defer done()
	tab, stop := context.WithTimeout(tab, 30*time.Second)
	defer stop()
	address, post := strings.CutSuffix(address, "#post")
	require.NoError(t, chromedp.Do(tab, chromedp.EmulateViewport(width, 844, chromedp.EmulateScale(2)), inScheme(scheme), chromedp.Navigate(address)))
	if post {
		_, err := chromedp.RunResponse(tab, chromedp.Click(chromedp.CSS("button")))
		require.NoError(t, err)
	}
	got, err := chromedp.Run(tab, chromedp.Evaluate[measures](measure))
	require.NoError(t, err)
	shot, err := chromedp.Run(tab, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	_, name, _ := strings.Cut(t.Name(), "/")
	require.NoError(t, os.WriteFile(filepath.Join(*screens, name+".png"), shot, 0o600))

	assert.LessOrEqual(t, got.Width, width, "wider than the screen")
	assert.Empty(t, got.Faint, "text that hardly stands out from its ground")
	assert.Empty(t, got.Small, "buttons too small for a thumb")
	assert.Equal(t, scheme == "dark", got.Dark, "the ground is dark in the dark and light in the light")
	assert.NotEmpty(t, got.Title)
}

func inScheme(scheme string) chromedp.Action[chromedp.Void] {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
		return chromedp.Void{}, err
	}
}

type measures struct {
	Width        int64
	Title        string
	Dark         bool
	Faint, Small []string
}

// measure computes contrasts as WCAG 2 does: 4.5 to 1 is the least for text.
const measure = `(() => {
  const rgb = s => { const m = s.match(/[\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m };
  const light = c => { const [r, g, b] = c.map(v => { v /= 255; return v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 }); return .2126 * r + .7152 * g + .0722 * b };
  const ground = e => { for (; e; e = e.parentElement) { const c = rgb(getComputedStyle(e).backgroundColor); if (c) return c } return [255, 255, 255] };
  const out = {Width: document.documentElement.scrollWidth, Title: document.title, Dark: light(ground(document.body)) < .2, Faint: [], Small: []};
  for (const e of document.querySelectorAll('body *')) {
    const words = [...e.childNodes].filter(n => n.nodeType === 3 && n.data.trim()).map(n => n.data.trim()).join(' ');
    if (!words || e.getClientRects().length === 0) continue;
    const a = light(rgb(getComputedStyle(e).color)), b = light(ground(e));
    const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (contrast < 4.5) out.Faint.push(contrast.toFixed(2) + ' ' + words.slice(0, 40));
  }
  for (const e of document.querySelectorAll('button, .bk-button a')) if (e.getBoundingClientRect().height < 44) out.Small.push(e.innerText);
  return out;
})()`
