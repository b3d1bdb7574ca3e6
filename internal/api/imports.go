package api

import (
	"mime"
	"net/http"
	"strings"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"beckon/internal/api/gen"
	"beckon/internal/contact"
	"beckon/internal/fault"
)

// importContacts serves POST /v1/contacts/import. The answer means that all of
// the body is stored.
func (s *Server) importContacts(c echo.Context) error { return s.receiveImport(c, importOptions(c)) }

func (s *Server) receiveImport(c echo.Context, o contact.ImportOptions) error {
	imp, err := s.Contacts.Receive(c.Request().Context(), c.Request().Body, o)
	if fault.Is(err, fault.Invalid) {
		return inQuery(err)
	}
	if err != nil {
		return err
	}
	c.Response().Header().Set(echo.HeaderLocation, "/v1/imports/"+imp.ID.String())
	return s.showImport(c, http.StatusAccepted, imp)
}

// importOptions reads a query that was checked.
func importOptions(c echo.Context) contact.ImportOptions {
	o := contact.ImportOptions{Format: importFormat(c), DryRun: c.QueryParam("dry_run") == "true",
		ConsentSource: c.QueryParam("consent_source"), ConsentEvidence: c.QueryParam("consent_evidence"),
		ConsentSMS: c.QueryParam("consent_sms"), ConsentEmail: c.QueryParam("consent_email"), Topic: c.QueryParam("topic")}
	if id, err := uuid.Parse(c.QueryParam("page_id")); err == nil {
		o.PageID = id
	}
	return o
}

func importFormat(c echo.Context) contact.Format {
	if mediaType, _, _ := mime.ParseMediaType(c.Request().Header.Get(echo.HeaderContentType)); strings.EqualFold(mediaType, "text/csv") {
		return contact.CSV
	}
	return contact.NDJSON
}

// firstRefusals is how many refused lines an import tells without being asked.
const firstRefusals = 50

// getImport serves GET /v1/imports/{id}.
func (s *Server) getImport(c echo.Context) error {
	imp, err := s.Contacts.Import(c.Request().Context(), idOf(c))
	if err != nil {
		return err
	}
	return s.showImport(c, http.StatusOK, imp)
}

// showImport answers with an import and its first refused lines. A small file
// may be done before the answer to its upload is written.
func (s *Server) showImport(c echo.Context, status int, imp contact.Import) error {
	lines, _, err := s.Contacts.Refusals(c.Request().Context(), imp.ID, 0, firstRefusals)
	if err != nil {
		return err
	}
	return c.JSON(status, importAnswer(imp, lines))
}

// listImportLines serves GET /v1/imports/{id}/lines.
func (s *Server) listImportLines(c echo.Context) error {
	ctx, from := c.Request().Context(), pageOf(c)
	var after int64
	if err := readCursor(from.cursor, &after); err != nil {
		return err
	}
	imp, err := s.Contacts.Import(ctx, idOf(c))
	if err != nil {
		return err
	}
	lines, last, err := s.Contacts.Refusals(ctx, imp.ID, after, limitOf(from.limit))
	if err != nil {
		return err
	}
	next, err := cursorAfter(last)
	if err != nil {
		return err
	}
	return c.JSON(http.StatusOK, gen.ImportLineList{Data: each(lines, lineAnswer), NextCursor: next})
}

func importAnswer(i contact.Import, lines []contact.Refusal) gen.Import {
	return gen.Import{ID: i.ID, Kind: gen.ImportKind(i.Kind), State: gen.ImportState(i.State), DryRun: i.DryRun, Lines: i.Lines, Created: i.Created, Updated: i.Updated,
		Refused: i.Refused, RefusedLines: each(lines, lineAnswer), Problem: orNull(i.Problem), CreatedAt: i.CreatedAt, FinishedAt: i.FinishedAt}
}

func lineAnswer(r contact.Refusal) gen.ImportLine {
	return gen.ImportLine{Line: r.Line, Errors: fieldErrors(r.Fields)}
}
