package api

import (
	"bytes"
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"beckon"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/delivery"
	"beckon/internal/link"
)

// readLeaves reads the pages that people see who follow a link.
func readLeaves() (*template.Template, error) {
	return template.ParseFS(beckon.Templates, "templates/unsubscribe.html", "templates/unsubscribed.html", "templates/unknown.html", "templates/deletion.html", "templates/leaf.html")
}

// leafPolicy lets a page run nothing; its one form goes back to us.
const leafPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

const headerRobots = "X-Robots-Tag"

// followLink serves GET and HEAD /l/{code}.
func (s *Server) followLink(c echo.Context) error {
	id, home, err := s.home(c, s.Links)
	if errors.Is(err, delivery.ErrNone) {
		return s.leaf(c, http.StatusNotFound, "unknown.html", home)
	}
	if err != nil {
		return err
	}
	c.Response().Header().Set(headerRobots, "noindex, nofollow")
	to := "https://m.me/" + url.PathEscape(home.MMe)
	if home.ContactID == uuid.Nil { // given up long ago: the bot is still there
		return c.Redirect(http.StatusFound, to)
	}
	if byPerson(c.Request()) {
		s.Clicks.Note(id)
	}
	return c.Redirect(http.StatusFound, to+"?ref="+url.QueryEscape(c.Param("code")))
}

// home returns the delivery that a code was made for and where it belongs.
// A code that is none is as unknown as one whose delivery is gone.
func (s *Server) home(c echo.Context, coder link.Coder) (int64, delivery.Home, error) {
	id, ok := coder.Parse(c.Param("code"))
	if !ok {
		return 0, delivery.Home{}, delivery.ErrNone
	}
	home, err := s.Ledger.Home(c.Request().Context(), id)
	return id, home, err
}

// person is home for somebody who unsubscribes: it must be known who.
func (s *Server) person(c echo.Context) (delivery.Home, error) {
	_, home, err := s.home(c, s.Unsubscribes)
	if err == nil && home.ContactID == uuid.Nil {
		err = delivery.ErrNone
	}
	return home, err
}

// byPerson tells a tap from a program that fetches a preview of the link.
func byPerson(r *http.Request) bool {
	if r.Method == http.MethodHead {
		return false
	}
	for _, name := range []string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Moz"} {
		if v := strings.ToLower(r.Header.Get(name)); strings.Contains(v, "prefetch") || strings.Contains(v, "preview") {
			return false
		}
	}
	agent := strings.ToLower(r.UserAgent())
	for _, name := range previewers() {
		if strings.Contains(agent, name) {
			return false
		}
	}
	return true
}

// previewers are parts of the names of programs that fetch every link they see.
func previewers() []string {
	return []string{"facebookexternalhit", "facebookcatalog", "facebot", "whatsapp", "slackbot", "twitterbot", "telegrambot",
		"linkedinbot", "discordbot", "skypeuripreview", "viber", "bingpreview", "bingbot", "googlebot", "applebot", "google-safebrowsing"}
}

// showUnsubscribe serves GET /u/{code}. It changes nothing: mail programs and
// scanners open every link.
func (s *Server) showUnsubscribe(c echo.Context) error {
	home, err := s.person(c)
	if errors.Is(err, delivery.ErrNone) {
		return s.leaf(c, http.StatusNotFound, "unknown.html", home)
	}
	if err != nil {
		return err
	}
	return s.leaf(c, http.StatusOK, "unsubscribe.html", home)
}

// unsubscribe serves POST /u/{code}: the page's button, and the one click of
// mail programs.
func (s *Server) unsubscribe(c echo.Context) error {
	ctx := c.Request().Context()
	home, err := s.person(c)
	if errors.Is(err, delivery.ErrNone) {
		return s.leaf(c, http.StatusNotFound, "unknown.html", home)
	}
	if err != nil {
		return err
	}
	if err := s.OptOuts.Refuse(ctx, channel.Email, home.ContactID, contact.ReasonUnsubscribe); err != nil {
		return err
	}
	return s.leaf(c, http.StatusOK, "unsubscribed.html", home)
}

func (s *Server) leaf(c echo.Context, status int, name string, data any) error {
	var b bytes.Buffer
	if err := s.leaves.ExecuteTemplate(&b, name, data); err != nil {
		return err
	}
	h := c.Response().Header()
	h.Set(echo.HeaderContentSecurityPolicy, leafPolicy)
	h.Set(headerRobots, "noindex, nofollow")
	return c.HTMLBlob(status, b.Bytes())
}
