// Package mirror keeps SendGrid's suppression lists and our suppressions alike:
// whoever stands on SendGrid's gets no mail from us, and whoever refuses ours can
// be put onto SendGrid's.
package mirror

import (
	"context"
	"log/slog"
	"time"

	"beckon/internal/channel/sendgrid"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/queue"
)

// Source is the source of suppressions that come from SendGrid's lists.
const Source = "sendgrid"

// Parts are what a Service needs.
type Parts struct {
	DB        *db.DB
	Queue     *queue.Queue
	Contacts  *contact.Store
	Account   *sendgrid.Account // nil without SendGrid: nothing is done then
	Name      string            // of the account, a keyed hash: with another one all begins anew
	Pull      bool              // take SendGrid's lists over
	Groups    []string          // numbers of unsubscribe groups that are taken over too
	WriteBack bool              // put who refuses our mail onto SendGrid's global list
	Log       *slog.Logger
	Now       func() time.Time
}

// Service takes SendGrid's lists over when the program starts and every night, and
// writes our own back if that is wanted. Any number of nodes may have one: what
// one has done, no other does again.
type Service struct {
	Parts
	begun time.Time
}

// pullJob takes over the lists whose time has come.
type pullJob struct{}

// Kind names the job.
func (pullJob) Kind() string { return "mirror.pull" }

// pushJob writes back.
type pushJob struct{}

// Kind names the job.
func (pushJob) Kind() string { return "mirror.push" }

// How often it is looked whether something is to be done.
const (
	pullEvery = time.Hour // which tries again, too, what failed
	pushEvery = 10 * time.Minute
)

// New registers the service's jobs on the queue.
func New(p Parts) *Service {
	s := &Service{Parts: p, begun: p.Now()}
	if p.Account != nil && p.Pull {
		queue.Keep(p.Queue, pullEvery, pullJob{}, s.pull)
	}
	if p.Account != nil && p.WriteBack {
		queue.Keep(p.Queue, pushEvery, pushJob{}, s.push)
	}
	return s
}

// lists are those that are taken over. SendGrid's blocks are not among them: what
// was blocked once may arrive the next time.
func (s *Service) lists() []sendgrid.List {
	out := []sendgrid.List{sendgrid.Unsubscribes, sendgrid.SpamReports, sendgrid.Bounces, sendgrid.Invalid}
	for _, id := range s.Groups {
		out = append(out, sendgrid.Group(id))
	}
	return out
}

// reason is why whoever stands on a list is suppressed.
func reason(l sendgrid.List) string {
	switch l {
	case sendgrid.Bounces, sendgrid.Invalid:
		return contact.ReasonBounce
	case sendgrid.SpamReports:
		return contact.ReasonComplaint
	}
	return contact.ReasonUnsubscribe
}

// backList is where it stands how far writing back is.
const backList sendgrid.List = "write-back"

// Status says how it goes with one list.
type Status struct {
	List       string     // SendGrid's name, "group/" with a number, or "write-back"
	FinishedAt *time.Time // of the last good run; nil when there was none
	Seen       int64      // how many it went through
	Added      int64      // how many of them were new
	Problem    string     // what keeps it from going on; "" when nothing does
	ProblemAt  *time.Time
}

// Statuses returns how it goes with each list that is kept alike, also before its
// first run.
func (s *Service) Statuses(ctx context.Context) ([]Status, error) {
	rows, err := s.read(ctx)
	if err != nil {
		return nil, err
	}
	var names []sendgrid.List
	if s.Account != nil && s.Pull {
		names = s.lists()
	}
	if s.Account != nil && s.WriteBack {
		names = append(names, backList)
	}
	out := make([]Status, len(names))
	for i, name := range names {
		out[i] = rows[string(name)].status(s.Name)
		out[i].List = string(name)
	}
	return out, nil
}
