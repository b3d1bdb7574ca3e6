package bounce

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/event"
)

// Mailbox providers want fewer than one complaint in a thousand mails (Gmail's
// and Yahoo's rules for senders). A few people who err are no rate.
const (
	mailsPerComplaint = 1000
	leastComplaints   = 3
)

// weighEvery is how long after a complaint a campaign's rate is looked at: then
// once for all that came, for its mails have to be counted.
const weighEvery = time.Minute

// weighJob looks at the rates of complaints.
type weighJob struct{}

// Kind names the job.
func (weighJob) Kind() string { return "bounce.weigh" }

// note writes complaints down, each once. Those about deliveries that are given up
// have nothing to be weighed against.
func (s *Service) note(tx *db.Tx, events []channel.Event) error {
	if len(events) == 0 {
		return nil
	}
	ids, at := make([]int64, len(events)), make([]time.Time, len(events))
	for i, ev := range events {
		ids[i], at[i] = ev.Delivery, ev.At
	}
	err := tx.Exec(`INSERT INTO complaints (delivery_id, campaign_id, at) SELECT d.id, d.campaign_id, v.at FROM ? JOIN deliveries d ON d.id = v.id
		WHERE TRUE ON CONFLICT (delivery_id) DO NOTHING`, tx.Values("v", db.Int64s("id", ids), db.Times("at", at))).Error
	if err != nil {
		return fmt.Errorf("note complaints: %w", err)
	}
	return nil
}

// rate is how many of a campaign's e-mails were called spam.
type rate struct {
	CampaignID         uuid.UUID
	Complaints, Emails int
}

func (r rate) tooHigh() bool {
	return r.Complaints >= leastComplaints && r.Complaints*mailsPerComplaint > r.Emails
}

// Weigh tells, once for each campaign, that too many of its e-mails were called
// spam: the event campaign.complaints.
func (s *Service) Weigh(ctx context.Context) error {
	return s.DB.Transact(ctx, func(tx *db.Tx) error {
		var fresh []uuid.UUID // marked first: what comes while mails are counted is for the next time
		if err := tx.Raw("UPDATE complaints SET weighed = TRUE WHERE NOT weighed RETURNING campaign_id").Scan(&fresh).Error; err != nil || len(fresh) == 0 {
			return wrapped(err)
		}
		var rates []rate
		err := tx.Raw(`SELECT c.campaign_id, COUNT(*) AS complaints,
				(SELECT COUNT(*) FROM deliveries d WHERE d.campaign_id = c.campaign_id AND d.lane = 'email' AND d.accepted_at IS NOT NULL) AS emails
			FROM complaints c JOIN campaigns k ON k.id = c.campaign_id AND k.complained_at IS NULL
			WHERE c.campaign_id IN (SELECT v.id FROM ?) GROUP BY c.campaign_id`, tx.Values("v", db.UUIDs("id", fresh))).Scan(&rates).Error
		if err != nil {
			return wrapped(err)
		}
		return s.alarm(ctx, tx, rates)
	})
}

func wrapped(err error) error {
	if err != nil {
		return fmt.Errorf("count complaints: %w", err)
	}
	return nil
}

func (s *Service) alarm(ctx context.Context, tx *db.Tx, rates []rate) error {
	now := s.Now()
	var told []event.Event
	var ids []uuid.UUID
	for _, r := range rates {
		if r.tooHigh() {
			s.Log.WarnContext(ctx, "many people call a campaign's e-mails spam", "campaign_id", r.CampaignID, "complaints", r.Complaints, "emails", r.Emails)
			ids = append(ids, r.CampaignID)
			told = append(told, event.Event{Type: event.CampaignComplaints, At: now, Campaign: r.CampaignID,
				Data: map[string]any{"complaints": r.Complaints, "emails": r.Emails}})
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if err := tx.Exec("UPDATE campaigns SET complained_at = ? WHERE id IN ?", now, ids).Error; err != nil {
		return fmt.Errorf("note that there were complaints: %w", err)
	}
	return event.Add(tx, told...)
}
