package api

import (
	"html/template"
	"net/http"

	"github.com/labstack/echo/v4"

	"beckon/internal/api/gen"
)

// Server answers the operations of the specification: one file per resource.
type Server struct {
	Parts
	leaves *template.Template // what people see who follow a link
}

// New returns the handler of the whole HTTP API.
func New(p Parts) (http.Handler, error) {
	if p.Answers == nil {
		p.Answers = NewIdempotency(p.DB, p.Box, p.Now)
	}
	leaves, err := readLeaves()
	if err != nil {
		return nil, err
	}
	s, e := &Server{p, leaves}, router(p, p.Contract)
	gen.RegisterHandlers(e, gen.NewStrictHandler(s, nil))
	s.byHand(e)
	return e, nil
}

// byHand routes what the generated code cannot: streams, raw bodies and
// redirects.
func (s *Server) byHand(e *echo.Echo) {
	e.POST("/v1/contacts/import", s.importContacts)
	e.GET("/v1/imports/:id", s.getImport)
	e.GET("/v1/imports/:id/lines", s.listImportLines)
	e.POST("/v1/suppressions/import", s.importSuppressions)
	e.GET("/v1/suppressions/export", s.exportSuppressions)
	e.GET("/v1/campaigns/:id/deliveries", s.listDeliveries)
	e.GET("/webhooks/messenger", s.verifyMessenger)
	e.POST("/webhooks/messenger", s.receiveMessenger)
	e.POST("/webhooks/twilio/status/:delivery", s.receiveTwilio)
	e.POST("/webhooks/twilio/inbound", s.receiveText)
	e.POST("/webhooks/sendgrid", s.receiveSendGrid)
	e.POST("/webhooks/smtp/bounces", s.receiveBounce)
	e.POST("/webhooks/facebook/data-deletion", s.requestDeletion)
	e.GET("/deletion/:code", s.showDeletion)
	e.GET("/l/:code", s.followLink)
	e.HEAD("/l/:code", s.followLink)
	e.GET("/u/:code", s.showUnsubscribe)
	e.POST("/u/:code", s.unsubscribe)
}
