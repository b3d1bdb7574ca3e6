package api

import (
	"cmp"
	"context"
	"encoding/hex"
	"io"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/contact"
)

// importSuppressions serves POST /v1/suppressions/import. The answer means that all
// of the body is stored.
func (s *Server) importSuppressions(c echo.Context) error {
	return s.receiveImport(c, contact.ImportOptions{Kind: contact.ImportSuppressions, Format: importFormat(c), DryRun: c.QueryParam("dry_run") == "true",
		Channel: channel.Kind(c.QueryParam("channel")), Reason: c.QueryParam("reason")})
}

// exportSuppressions serves GET /v1/suppressions/export.
func (s *Server) exportSuppressions(c echo.Context) error {
	f := contact.SuppressionFilter{Channel: channel.Kind(c.QueryParam("channel")), Reason: c.QueryParam("reason")}
	form := cmp.Or(exportForm(c.Request().Header.Get(echo.HeaderAccept)), formLines)
	return suppressionExport().stream(c, form, suppressionPages(c.Request().Context(), s.Contacts, f))
}

// WriteSuppressions writes all suppressions to a file, as CSV or as NDJSON.
func WriteSuppressions(ctx context.Context, w io.Writer, contacts *contact.Store, format contact.Format, f contact.SuppressionFilter) (lines int, err error) {
	form, next := formLines, suppressionPages(ctx, contacts, f)
	if format == contact.CSV {
		form = formCSV
	}
	for first := true; ; first = false {
		rows, err := next()
		if err != nil {
			return lines, err
		}
		if err := suppressionExport().write(w, form, first, rows); err != nil {
			return lines, err
		}
		lines += len(rows)
		if len(rows) < exportPage {
			return lines, nil
		}
	}
}

func suppressionPages(ctx context.Context, contacts *contact.Store, f contact.SuppressionFilter) func() ([]gen.SuppressionRow, error) {
	after := uuid.Nil
	return func() ([]gen.SuppressionRow, error) {
		rows, err := contacts.ExportSuppressions(ctx, f, after, exportPage)
		if len(rows) > 0 {
			after = rows[len(rows)-1].ID
		}
		return each(rows, suppressionRow), err
	}
}

func suppressionExport() export[gen.SuppressionRow] {
	return export[gen.SuppressionRow]{
		columns: []string{"id", "channel", "hash", "reason", "source", "created_at", "refused_at", "contact_id"},
		cells: func(r gen.SuppressionRow) []string {
			held := ""
			if r.ContactID != nil {
				held = r.ContactID.String()
			}
			return []string{r.ID.String(), string(r.Channel), r.Hash, string(r.Reason), inert(orZero(r.Source)), when(&r.CreatedAt), when(&r.RefusedAt), held}
		},
	}
}

func suppressionRow(x contact.HeldSuppression) gen.SuppressionRow {
	row := gen.SuppressionRow{ID: x.ID, Channel: gen.SuppressionChannel(x.Channel), Hash: hex.EncodeToString(x.Hash), Reason: gen.SuppressionWhy(x.Reason),
		Source: orNull(x.Source), CreatedAt: x.CreatedAt.UTC(), RefusedAt: x.RefusedAt.UTC()}
	if x.ContactID.Valid {
		row.ContactID = &x.ContactID.UUID
	}
	return row
}
