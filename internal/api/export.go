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

// export is a form that deliveries are streamed in.
type export struct {
	mediaType string
	begin     func(w io.Writer) error
	rows      func(w io.Writer, rows []gen.Delivery) error
}

// exportOf returns the form that the caller prefers over a page of JSON, or
// nil. Of those named, the first counts.
func exportOf(accept string) *export {
	for part := range strings.SplitSeq(accept, ",") {
		mediaType, _, err := mime.ParseMediaType(part)
		switch {
		case err != nil:
		case mediaType == "application/x-ndjson":
			return &export{mediaType, func(io.Writer) error { return nil }, writeLines}
		case mediaType == "text/csv":
			return &export{mediaType + "; charset=utf-8", beginCSV, writeCSV}
		case mediaType == echo.MIMEApplicationJSON, mediaType == "*/*":
			return nil
		}
	}
	return nil
}

// exportDeliveries streams pages until there are no more. An error after the
// first breaks the connection off, so that nobody takes a part for the whole.
func (s *Server) exportDeliveries(c echo.Context, f delivery.Filter, as *export) error {
	ctx, res := c.Request().Context(), c.Response()
	f.Limit = exportPage
	for {
		rows, err := s.Ledger.List(ctx, f)
		if err != nil {
			return err
		}
		if !res.Committed {
			res.Header().Set(echo.HeaderContentType, as.mediaType)
			res.WriteHeader(http.StatusOK)
			if err := as.begin(res); err != nil {
				return err
			}
		}
		if err := as.rows(res, each(rows, deliveryAnswer)); err != nil {
			return err
		}
		res.Flush()
		if len(rows) < exportPage {
			return nil
		}
		f.After = rows[len(rows)-1].ID
	}
}

func writeLines(w io.Writer, rows []gen.Delivery) error {
	enc := json.NewEncoder(w)
	for _, r := range rows {
		if err := enc.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

func beginCSV(w io.Writer) error {
	_, err := io.WriteString(w, "id,contact_id,lane,state,reason,code,created_at,sent_at,accepted_at,delivered_at,read_at,clicked_at,returned_at,replied_at,escalated_at\n")
	return err
}

func writeCSV(w io.Writer, rows []gen.Delivery) error {
	out := csv.NewWriter(w)
	for _, r := range rows {
		cells := []string{strconv.FormatInt(r.ID, 10), r.ContactID.String(), orZero(r.Lane), string(r.State), inert(orZero(r.Reason)), inert(orZero(r.Code)), when(&r.CreatedAt)}
		for _, t := range []*time.Time{r.SentAt, r.AcceptedAt, r.DeliveredAt, r.ReadAt, r.ClickedAt, r.ReturnedAt, r.RepliedAt, r.EscalatedAt} {
			cells = append(cells, when(t))
		}
		if err := out.Write(cells); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
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
