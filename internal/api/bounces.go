package api

import (
	"errors"
	"io"
	"mime"
	"net/http"

	"github.com/labstack/echo/v4"

	"beckon/internal/channel"
	"beckon/internal/channel/smtp"
	"beckon/internal/fault"
)

// receiveBounce serves POST /webhooks/smtp/bounces. What is stored is a signature
// made of the token, and not the token.
func (s *Server) receiveBounce(c echo.Context) error {
	if !s.mailsBySMTP() {
		return fault.New(fault.NotFound, "channel_absent", "No SMTP server is set up on this server.")
	}
	message, err := bounceIn(c.Request())
	if err != nil {
		return err
	}
	cb := smtp.Handed(s.PublicURL, bounceToken(c), message)
	if _, err := s.Inbox.Heed(c.Request().Context(), channel.Email, cb); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// mailsBySMTP reports whether an SMTP server sends the e-mails.
func (s *Server) mailsBySMTP() bool {
	_, ok := s.Inbox.Receivers[channel.Email].(*smtp.Receiver)
	return ok
}

// bounceToken is what the caller shows.
func bounceToken(c echo.Context) string {
	if _, password, ok := c.Request().BasicAuth(); ok {
		return password
	}
	return bearer(c)
}

// bounceIn reads the e-mail out of a request: its body, or a field of its form.
func bounceIn(req *http.Request) ([]byte, error) {
	kind, _, _ := mime.ParseMediaType(req.Header.Get(echo.HeaderContentType)) // it was checked
	if kind == "message/rfc822" {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, readError(err)
		}
		return body, nil
	}
	err := req.ParseMultipartForm(maxBody)
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, readError(err)
	}
	message := req.PostForm.Get("body-mime")
	if message == "" {
		return nil, fault.New(fault.Malformed, "malformed", "The form has no field body-mime with an e-mail in it.")
	}
	return []byte(message), nil
}
