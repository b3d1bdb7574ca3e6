package api

import (
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"beckon/internal/channel"
	"beckon/internal/fault"
)

// verifyMessenger serves GET /webhooks/messenger: Meta's check of the address.
func (s *Server) verifyMessenger(c echo.Context) error {
	if s.MetaVerify == nil {
		return fault.New(fault.NotFound, "channel_absent", "Messenger is not set up on this server.")
	}
	challenge, err := s.MetaVerify(c.QueryParam("hub.mode"), c.QueryParam("hub.verify_token"), c.QueryParam("hub.challenge"))
	if err != nil {
		return err
	}
	return c.String(http.StatusOK, challenge)
}

// receiveMessenger serves POST /webhooks/messenger.
func (s *Server) receiveMessenger(c echo.Context) error {
	if err := s.receive(c, channel.Messenger); err != nil {
		return err
	}
	return c.String(http.StatusOK, "EVENT_RECEIVED")
}

// receiveTwilio serves POST /webhooks/twilio/status/{delivery}.
func (s *Server) receiveTwilio(c echo.Context) error {
	if err := s.receive(c, channel.SMS); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// receiveSendGrid serves POST /webhooks/sendgrid.
func (s *Server) receiveSendGrid(c echo.Context) error {
	if s.mailsBySMTP() {
		return fault.New(fault.NotFound, "channel_absent", "SendGrid is not set up on this server: its e-mails go out by SMTP.")
	}
	if _, err := s.heed(c, channel.Email); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// receive stores a callback as it came.
func (s *Server) receive(c echo.Context, kind channel.Kind) error {
	cb, err := s.callback(c, kind)
	if err != nil {
		return err
	}
	return s.Inbox.Accept(c.Request().Context(), kind, cb)
}

// heed is receive for callbacks in which people may refuse: that holds before they
// are answered.
func (s *Server) heed(c echo.Context, kind channel.Kind) ([]channel.Event, error) {
	cb, err := s.callback(c, kind)
	if err != nil {
		return nil, err
	}
	return s.Inbox.Heed(c.Request().Context(), kind, cb)
}

// callback reads a callback. The signature covers the public URL byte for byte, so
// it is never taken apart and put together again.
func (s *Server) callback(c echo.Context, kind channel.Kind) (channel.Callback, error) {
	req := c.Request()
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return channel.Callback{}, readError(err)
	}
	cb := channel.Callback{URL: s.PublicURL + req.RequestURI, Header: map[string]string{"Content-Type": req.Header.Get("Content-Type")}, Body: body}
	if receiver := s.Inbox.Receivers[kind]; receiver != nil {
		for _, name := range receiver.Headers() {
			cb.Header[name] = req.Header.Get(name)
		}
	}
	return cb, nil
}
