// Package utility keeps the utility templates of Pages: what Meta approved of, so
// that a campaign which is declared transactional may be sent without any
// permission of the person's.
package utility

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/content"
	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// The statuses that Beckon gives; all others are Meta's words in lower case, of
// which channel.TemplateApproved is the one that counts.
const (
	Unknown = "unknown" // it may or may not have come to Meta
	Deleted = "deleted" // it is not in the Page's list any more
)

// Template is a utility template of a Page. Name and language together make it
// the one; Meta lets nobody change it.
type Template struct {
	ID         uuid.UUID `gorm:"primaryKey"`
	PageID     uuid.UUID
	GraphID    string // "" until Meta gave one
	Name       string
	Language   string
	Category   string
	Status     string
	Reason     string    // why it was refused, in Meta's words
	Components string    // JSON, in Meta's form
	StatusAt   time.Time // when Meta said the status
	CreatedAt  time.Time
	UpdatedAt  time.Time
}

// TableName is the table that it is a row of.
func (Template) TableName() string { return "message_templates" }

// Form is what a message by the template has to fill in.
func (t Template) Form() (content.Form, error) { return content.ReadForm([]byte(t.Components)) }

// Graph knows templates. Any outcome but Accepted says that there is no answer.
type Graph interface {
	Templates(ctx context.Context, page channel.Page, after string) (list []channel.Template, next string, r channel.Result)
	CreateTemplate(ctx context.Context, page channel.Page, t channel.Template) (channel.Template, channel.Result)
}

// Pages opens what is needed to speak on behalf of a Page.
type Pages interface {
	Sender(ctx context.Context, id uuid.UUID) (channel.Page, error)
}

// Parts are what a Service needs.
type Parts struct {
	DB    *db.DB
	Queue *queue.Queue
	Pages Pages
	Graph Graph // nil when Messenger is not set up
	Now   func() time.Time
}

// Service keeps templates. It is safe for use by many goroutines.
type Service struct{ Parts }

const (
	syncQueue    = "sync"
	refreshEvery = time.Hour
)

// New returns a service with its jobs on the queue.
func New(p Parts) *Service {
	s := &Service{p}
	p.Queue.Lane(syncQueue, 1)
	queue.Handle(p.Queue, 0, s.syncPage)
	queue.Keep(p.Queue, refreshEvery, refreshJob{}, s.refresh)
	return s
}

func (s *Service) moment() time.Time { return s.Now().UTC().Truncate(time.Microsecond) }

var (
	errAbsent = fault.New(fault.Unavailable, "channel_absent", "Messenger is not set up.")
	errTaken  = fault.New(fault.Conflict, "template_taken", "The page has a message template of this name in this language.").
			With(fault.Field{Pointer: "/name", Code: "template_taken", Detail: "The page has a message template of this name in this language."})
)

// List returns up to limit templates of a Page, newest first: those after the
// template with the id after, or the first ones when after is uuid.Nil.
func (s *Service) List(ctx context.Context, pageID, after uuid.UUID, limit int) ([]Template, error) {
	q := s.DB.Read(ctx).Where("page_id = ?", pageID).Order("id DESC").Limit(limit)
	if after != uuid.Nil {
		q = q.Where("id < ?", after)
	}
	var list []Template
	if err := q.Find(&list).Error; err != nil {
		return nil, fmt.Errorf("list message templates: %w", err)
	}
	return list, nil
}

func (s *Service) named(ctx context.Context, pageID uuid.UUID, name, language string) (t Template, found bool, err error) {
	var list []Template
	err = s.DB.Read(ctx).Where("page_id = ? AND name = ? AND language = ?", pageID, name, language).Find(&list).Error
	if err != nil || len(list) == 0 {
		return t, false, err
	}
	return list[0], true, nil
}

// Create gives Meta a new template to look at, which takes seconds mostly, and
// returns it with the status that it has then. When nobody knows whether Meta
// has it the status is Unknown until the Page's list is read. A refusal is an
// Invalid fault with the code refused_by_graph; graph_unavailable means that it
// was not taken and can be tried again.
func (s *Service) Create(ctx context.Context, pageID uuid.UUID, d Draft) (Template, error) {
	if err := d.check(); err != nil {
		return Template{}, err
	}
	page, err := s.sender(ctx, pageID)
	if err != nil {
		return Template{}, err
	}
	old, found, err := s.named(ctx, pageID, d.Name, d.Language)
	if err != nil {
		return Template{}, fmt.Errorf("look for a message template: %w", err)
	}
	if found && old.Status != Deleted {
		return Template{}, errTaken
	}
	asked := s.moment()
	made, r := s.Graph.CreateTemplate(ctx, page, d.template())
	if r.Outcome == channel.Unknown {
		made.Status = Unknown
	} else if err := refusal(r); err != nil {
		return Template{}, err
	}
	ctx = context.WithoutCancel(ctx) // Meta has it, or may have it
	err = s.DB.Transact(ctx, func(tx *db.Tx) error {
		if err := s.write(tx, pageID, asked, []channel.Template{made}); err != nil || made.Status != Unknown {
			return err
		}
		return s.Queue.Insert(ctx, tx, queue.Order{Args: syncJob{pageID}, Queue: syncQueue, At: asked.Add(afterDoubt)})
	})
	if err != nil {
		return Template{}, fmt.Errorf("create a message template: %w", err)
	}
	out, _, err := s.named(ctx, pageID, d.Name, d.Language)
	return out, err
}

// afterDoubt is how long after a lost answer the list is read.
const afterDoubt = 10 * time.Second

func (s *Service) sender(ctx context.Context, pageID uuid.UUID) (channel.Page, error) {
	if s.Graph == nil {
		return channel.Page{}, errAbsent
	}
	return s.Pages.Sender(ctx, pageID)
}

// refusal is what an answer that is none means for who asked.
func refusal(r channel.Result) error {
	switch r.Outcome {
	case channel.Accepted:
		return nil
	case channel.TryLater, channel.Unknown:
		return fault.New(fault.Unavailable, "graph_unavailable", "Meta cannot be asked now, try again later.")
	}
	return fault.New(fault.Invalid, "refused_by_graph", "Meta refuses this (code %s): %s.", r.Code, r.Detail)
}
