package utility

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/event"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// syncJob reads the templates of a Page.
type syncJob struct {
	Page uuid.UUID `json:"page"`
}

// Kind names the job.
func (syncJob) Kind() string { return "utility.sync" }

// refreshJob reads those of all Pages that have any.
type refreshJob struct{}

// Kind names the job.
func (refreshJob) Kind() string { return "utility.refresh" }

const (
	mostParts = 40          // of a list: far more templates than a Page may have
	tryAgain  = time.Minute // after an answer that was none
)

// Sync reads the Page's list of templates from Meta. Those that are not in it
// any more are Deleted from then on. Errors are those of Create.
func (s *Service) Sync(ctx context.Context, pageID uuid.UUID) error {
	page, err := s.sender(ctx, pageID)
	if err != nil {
		return err
	}
	asked := s.moment()
	var all []channel.Template
	after := ""
	for range mostParts {
		list, next, r := s.Graph.Templates(ctx, page, after)
		if err := refusal(r); err != nil {
			return err
		}
		all = append(all, list...)
		if after = next; after == "" {
			break
		}
	}
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := s.write(tx, pageID, asked, all); err != nil || after != "" {
			return err
		}
		return s.missing(tx, pageID, asked, all)
	})
	if err != nil {
		return fmt.Errorf("keep message templates: %w", err)
	}
	return nil
}

// write keeps templates as Meta showed them at a moment: a status that is newer
// stays.
func (s *Service) write(tx *db.Tx, pageID uuid.UUID, at time.Time, list []channel.Template) error {
	now := s.moment()
	var rows []Template
	for _, t := range slices.Backward(list) { // Meta lists the newest first
		same := func(o Template) bool { return o.Name == t.Name && o.Language == t.Language }
		if t.Name == "" || t.Language == "" || len(t.Components) == 0 || slices.ContainsFunc(rows, same) {
			continue
		}
		rows = append(rows, Template{ID: uuid.Must(uuid.NewV7()), PageID: pageID, GraphID: t.GraphID, Name: t.Name, Language: t.Language,
			Category: t.Category, Status: cmp.Or(t.Status, Unknown), Components: string(t.Components), StatusAt: at, CreatedAt: now, UpdatedAt: now})
	}
	if len(rows) == 0 {
		return nil
	}
	newer := func(column, or string) clause.Assignment {
		return clause.Assignment{Column: clause.Column{Name: column},
			Value: gorm.Expr("CASE WHEN excluded.status_at > message_templates.status_at THEN excluded." + column + " ELSE " + or + " END")}
	}
	return tx.Clauses(clause.OnConflict{Columns: []clause.Column{{Name: "page_id"}, {Name: "name"}, {Name: "language"}}, DoUpdates: clause.Set{
		newer("status", "message_templates.status"),
		{Column: clause.Column{Name: "reason"}, Value: gorm.Expr("CASE WHEN excluded.status_at > message_templates.status_at AND excluded.status <> message_templates.status THEN '' ELSE message_templates.reason END")},
		newer("graph_id", "message_templates.graph_id"),
		newer("category", "message_templates.category"),
		newer("components", "message_templates.components"),
		newer("updated_at", "message_templates.updated_at"),
		newer("status_at", "message_templates.status_at"),
	}}).Create(&rows).Error
}

// missing marks what is not in the Page's list.
func (s *Service) missing(tx *db.Tx, pageID uuid.UUID, at time.Time, list []channel.Template) error {
	names, tongues := make([]string, len(list)), make([]string, len(list))
	for i, t := range list {
		names[i], tongues[i] = t.Name, t.Language
	}
	return tx.Exec(`UPDATE message_templates SET status = ?, reason = '', status_at = ?, updated_at = ? WHERE page_id = ? AND status <> ? AND status_at < ?
		AND NOT EXISTS (SELECT 1 FROM ? WHERE v.name = message_templates.name AND v.language = message_templates.language)`,
		Deleted, at, s.moment(), pageID, Deleted, at, tx.Values("v", db.Texts("name", names), db.Texts("language", tongues))).Error
}

func (s *Service) syncPage(ctx context.Context, job queue.Job[syncJob]) error {
	err := s.Sync(ctx, job.Args.Page)
	switch {
	case fault.HasCode(err, "graph_unavailable"):
		return queue.Later(tryAgain)
	case fault.Is(err, fault.NotFound), fault.HasCode(err, "refused_by_graph"), fault.HasCode(err, "channel_absent"):
		return nil // nothing that another run could mend
	}
	return err
}

func (s *Service) refresh(ctx context.Context) error {
	if s.Graph == nil {
		return nil
	}
	var pages []uuid.UUID
	if err := s.DB.Read(ctx).Raw("SELECT DISTINCT page_id FROM message_templates ORDER BY page_id").Scan(&pages).Error; err != nil {
		return fmt.Errorf("find pages with message templates: %w", err)
	}
	var errs []error
	for _, id := range pages {
		if err := s.Sync(ctx, id); fault.Is(err, fault.Internal) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// Hear notes what Meta says of templates. It can be told twice and in any order.
// Of one that is not known the Page's list is read.
func (s *Service) Hear(ctx context.Context, tx *db.Tx, h channel.Heard) error {
	news := newest(h.Events)
	if len(news) == 0 {
		return nil
	}
	var changed []Template
	var known int
	names, tongues, statuses, reasons, at := columns(news)
	words := tx.Values("v", db.Texts("name", names), db.Texts("language", tongues), db.Texts("status", statuses), db.Texts("reason", reasons), db.Times("at", at))
	err := tx.WithContext(ctx).Raw(`UPDATE message_templates SET status = v.status, reason = v.reason, status_at = v.at, updated_at = ?
		FROM ? WHERE message_templates.page_id = ? AND message_templates.name = v.name AND message_templates.language = v.language AND message_templates.status_at < v.at
		RETURNING message_templates.name, message_templates.language, message_templates.status`, s.moment(), words, h.Page).Scan(&changed).Error
	if err == nil {
		err = tx.WithContext(ctx).Raw("SELECT COUNT(*) FROM message_templates t JOIN ? ON v.name = t.name AND v.language = t.language WHERE t.page_id = ?", words, h.Page).Row().Scan(&known)
	}
	if err != nil {
		return fmt.Errorf("note message templates: %w", err)
	}
	if err := s.tell(tx, h.Page, changed); err != nil || len(changed) == 0 && known == len(news) {
		return err
	}
	return s.Queue.Insert(ctx, tx, queue.Order{Args: syncJob{h.Page}, Queue: syncQueue})
}

func (s *Service) tell(tx *db.Tx, page uuid.UUID, changed []Template) error {
	events := make([]event.Event, len(changed))
	for i, t := range changed {
		events[i] = event.Event{Type: event.TemplateChanged, At: s.moment(), Page: page, Data: map[string]any{"template": t.Name, "language": t.Language, "status": t.Status}}
	}
	return event.Add(tx, events...)
}

// newest leaves the last word on each template.
func newest(events []channel.Event) []channel.Event {
	var out []channel.Event
	for _, ev := range events {
		if ev.Kind != channel.EventTemplate || ev.Template == "" || ev.Language == "" || ev.Status == "" {
			continue
		}
		at := slices.IndexFunc(out, func(o channel.Event) bool { return o.Template == ev.Template && o.Language == ev.Language })
		switch {
		case at < 0:
			out = append(out, ev)
		case ev.At.After(out[at].At) || ev.At.Equal(out[at].At) && ev.Status > out[at].Status:
			out[at] = ev
		}
	}
	return out
}

func columns(news []channel.Event) (names, tongues, statuses, reasons []string, at []time.Time) {
	for _, ev := range news {
		names, tongues, statuses = append(names, ev.Template), append(tongues, ev.Language), append(statuses, ev.Status)
		reasons, at = append(reasons, ev.Reason), append(at, ev.At.UTC().Truncate(time.Microsecond))
	}
	return names, tongues, statuses, reasons, at
}
