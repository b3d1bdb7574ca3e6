package api

import (
	"encoding/csv"
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"beckon/internal/api/gen"
	"beckon/internal/delivery"
)

// exportPage is how many rows of an export are read at once.
const exportPage = 1000

// The forms of an export.
const (
	formLines = "application/x-ndjson"
	formCSV   = "text/csv"
)

// exportForm returns the form that the caller prefers over a page of JSON, or "".
// Of those named, the first counts.
func exportForm(accept string) string {
	for part := range strings.SplitSeq(accept, ",") {
		mediaType, _, err := mime.ParseMediaType(part)
		switch {
		case err != nil:
		case mediaType == formLines, mediaType == formCSV:
			return mediaType
		case mediaType == echo.MIMEApplicationJSON, mediaType == "*/*":
			return ""
		}
	}
	return ""
}

// export is how rows are written: as JSON, one a line, or as cells of columns.
type export[R any] struct {
	columns []string
	cells   func(R) []string
}

// stream answers with pages until there is a short one. An error after the first
// breaks the connection off, so that nobody takes a part for the whole.
func (x export[R]) stream(c echo.Context, form string, next func() ([]R, error)) error {
	res := c.Response()
	for {
		rows, err := next()
		if err != nil {
			return err
		}
		first := !res.Committed
		if first {
			res.Header().Set(echo.HeaderContentType, map[string]string{formLines: formLines, formCSV: formCSV + "; charset=utf-8"}[form])
			res.WriteHeader(http.StatusOK)
		}
		if err := x.write(res, form, first, rows); err != nil {
			return err
		}
		res.Flush()
		if len(rows) < exportPage {
			return nil
		}
	}
}

// write writes rows, after the line of names where they are the first of a CSV file.
func (x export[R]) write(w io.Writer, form string, first bool, rows []R) error {
	if form == formLines {
		enc := json.NewEncoder(w)
		for _, r := range rows {
			if err := enc.Encode(r); err != nil {
				return err
			}
		}
		return nil
	}
	out := csv.NewWriter(w)
	if first {
		if err := out.Write(x.columns); err != nil {
			return err
		}
	}
	for _, r := range rows {
		if err := out.Write(x.cells(r)); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

func deliveryExport() export[gen.Delivery] {
	return export[gen.Delivery]{
		columns: strings.Split("id,contact_id,lane,state,reason,code,created_at,sent_at,accepted_at,delivered_at,read_at,clicked_at,returned_at,replied_at,escalated_at", ","),
		cells: func(r gen.Delivery) []string {
			cells := []string{strconv.FormatInt(r.ID, 10), r.ContactID.String(), orZero(r.Lane), string(r.State), inert(orZero(r.Reason)), inert(orZero(r.Code)), when(&r.CreatedAt)}
			for _, t := range []*time.Time{r.SentAt, r.AcceptedAt, r.DeliveredAt, r.ReadAt, r.ClickedAt, r.ReturnedAt, r.RepliedAt, r.EscalatedAt} {
				cells = append(cells, when(t))
			}
			return cells
		},
	}
}

// exportDeliveries streams all deliveries that fit a filter.
func (s *Server) exportDeliveries(c echo.Context, f delivery.Filter, form string) error {
	f.Limit = exportPage
	return deliveryExport().stream(c, form, func() ([]gen.Delivery, error) {
		rows, err := s.Ledger.List(c.Request().Context(), f)
		if len(rows) > 0 {
			f.After = rows[len(rows)-1].ID
		}
		return each(rows, deliveryAnswer), err
	})
}

func when(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// inert keeps a spreadsheet from reading a cell as a formula.
func inert(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
