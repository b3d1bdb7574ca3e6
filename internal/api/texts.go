package api

import (
	"encoding/xml"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"beckon/internal/channel"
)

// twiml is what Twilio is told to do about a text: to send another, or nothing.
type twiml struct {
	XMLName xml.Name `xml:"Response"`
	Message string   `xml:"Message,omitempty"`
}

// receiveText serves POST /webhooks/twilio/inbound. Twilio confirms keywords by
// itself: an answer of ours would be a second one.
func (s *Server) receiveText(c echo.Context) error {
	events, err := s.heed(c, channel.SMS)
	if err != nil {
		return err
	}
	var answer twiml
	if slices.ContainsFunc(events, asksForHelp) {
		answer.Message = s.SMSHelp
	}
	text, err := xml.Marshal(answer)
	if err != nil {
		return err
	}
	return c.Blob(http.StatusOK, "text/xml; charset=utf-8", append([]byte(`<?xml version="1.0" encoding="UTF-8"?>`), text...))
}

func asksForHelp(ev channel.Event) bool {
	return ev.Kind == channel.EventHelp && ev.Status != channel.StatusAnswered
}
