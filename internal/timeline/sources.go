package timeline

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/google/uuid"
	"gorm.io/gorm"

	"beckon/internal/channel"
	"beckon/internal/event"
)

type source func(q *gorm.DB, p page) ([]Item, error)

// sources are those of every timeline. Their order is that of what happened at one
// moment, and stands in cursors: a new one comes last.
func (s *Store) sources() []source {
	return []source{events, deliveries, s.texts, consents, tokens, recurringTokens, optInRequests, captures}
}

// Ranks of the sources whose keys are numbers; those of the others are ids.
const (
	ofDeliveries = 2
	ofConsents   = 4
)

// possible reports whether a position is one that List may have returned.
func (p Position) possible() bool {
	if (p == Position{}) {
		return true
	}
	var err error
	if p.Rank == ofDeliveries || p.Rank == ofConsents {
		_, err = strconv.ParseInt(p.Key, 10, 64)
	} else {
		_, err = uuid.Parse(p.Key)
	}
	return err == nil && p.Rank >= 1 && p.At.Year() > 1 && p.At.Year() < 9999
}

// fields are what is known of an item: what is nil or empty is left out.
type fields map[string]any

func (f fields) known() map[string]any {
	for name, v := range f {
		switch v := v.(type) {
		case string:
			if v == "" {
				delete(f, name)
			}
		case *time.Time:
			if v == nil {
				delete(f, name)
			} else {
				f[name] = v.UTC()
			}
		}
	}
	return f
}

// events leaves out those for which something of its own stands in the timeline.
func events(q *gorm.DB, p page) ([]Item, error) {
	type row struct {
		ID                 uuid.UUID
		Type, Data         string
		PageID, CampaignID uuid.NullUUID
		DeliveryID         *int64
	}
	const sql = `e.id, e.type, e.data, e.page_id, e.campaign_id, e.delivery_id FROM events e WHERE e.contact_id = ?
		AND e.type NOT IN ('` + string(event.TokenGranted) + `', '` + string(event.SMSReceived) + `', '` + string(event.SMSReview) + `', '` +
		string(event.CaptureAnswered) + `', '` + string(event.CaptureConflict) + `')`
	return read(q, p, sql, "e.at", "e.id", func(r row) Item {
		it := Item{Type: r.Type, Page: r.PageID.UUID, Campaign: r.CampaignID.UUID, Data: map[string]any{}}
		if r.DeliveryID != nil {
			it.Delivery = *r.DeliveryID
		}
		_ = json.Unmarshal([]byte(r.Data), &it.Data) // it was written by this program
		if kind, is := it.Data["channel"].(string); is {
			it.Channel = kind
		}
		return it
	})
}

func deliveries(q *gorm.DB, p page) ([]Item, error) {
	type row struct {
		ID                                                                                                int64
		CampaignID                                                                                        uuid.UUID
		PageID                                                                                            uuid.NullUUID
		Lane                                                                                              channel.Lane
		State, Reason, Code                                                                               string
		SentAt, AcceptedAt, DeliveredAt, ReadAt, ClickedAt, ReturnedAt, RepliedAt, EscalatedAt, NotBefore *time.Time
	}
	const sql = `d.id, d.campaign_id, c.page_id, d.lane, d.state, d.reason, d.code, d.sent_at, d.accepted_at, d.delivered_at, d.read_at,
		d.clicked_at, d.returned_at, d.replied_at, d.escalated_at, d.not_before
		FROM deliveries d LEFT JOIN campaigns c ON c.id = d.campaign_id WHERE d.contact_id = ?`
	return read(q, p, sql, "d.created_at", "d.id", func(r row) Item {
		it := Item{Type: Delivery, Page: r.PageID.UUID, Campaign: r.CampaignID, Delivery: r.ID, Data: fields{
			"lane": string(r.Lane), "state": r.State, "reason": r.Reason, "code": r.Code, "sent_at": r.SentAt, "accepted_at": r.AcceptedAt,
			"delivered_at": r.DeliveredAt, "read_at": r.ReadAt, "clicked_at": r.ClickedAt, "returned_at": r.ReturnedAt, "replied_at": r.RepliedAt,
			"escalated_at": r.EscalatedAt, "not_before": r.NotBefore}.known()}
		if r.Lane != "" {
			it.Channel = string(r.Lane.Kind())
		}
		return it
	})
}

// texts shows the words of a text where they were kept, and can be opened.
func (s *Store) texts(q *gorm.DB, p page) ([]Item, error) {
	type row struct {
		ID          uuid.UUID
		Wish        string
		Attachments int
		Body        []byte
	}
	return read(q, p, "t.id, t.wish, t.attachments, t.body FROM texts t WHERE t.contact_id = ?", "t.at", "t.id", func(r row) Item {
		data := fields{"text_id": r.ID.String(), "wish": r.Wish}
		if r.Attachments > 0 {
			data["attachments"] = r.Attachments
		}
		if len(r.Body) > 0 {
			if words, err := s.words(r.ID, r.Body); err == nil {
				data["text"] = words
			}
		}
		return Item{Type: Text, Channel: string(channel.SMS), Data: data.known()}
	})
}

func consents(q *gorm.DB, p page) ([]Item, error) {
	type row struct {
		Channel, How, Status, Source, Evidence string
		SaidAt                                 *time.Time
	}
	return read(q, p, "c.channel, c.how, c.status, c.source, c.evidence, c.at AS said_at FROM consents c WHERE c.contact_id = ?", "c.noted_at", "c.id", func(r row) Item {
		return Item{Type: Consent, Channel: r.Channel, Data: fields{"how": r.How, "status": r.Status, "source": r.Source, "evidence": r.Evidence, "said_at": r.SaidAt}.known()}
	})
}

func tokens(q *gorm.DB, p page) ([]Item, error) {
	type row struct {
		ID                    uuid.UUID
		PageID                uuid.UUID
		Topic, Status, Source string
		ExpiresAt             *time.Time
	}
	return read(q, p, "t.id, t.page_id, t.topic, t.status, t.source, t.expires_at FROM tokens t WHERE t.contact_id = ?", "t.granted_at", "t.id", func(r row) Item {
		return Item{Type: Token, Channel: string(channel.Messenger), Page: r.PageID, Data: fields{
			"token_id": r.ID.String(), "topic": r.Topic, "status": r.Status, "source": r.Source, "expires_at": r.ExpiresAt}.known()}
	})
}

func recurringTokens(q *gorm.DB, p page) ([]Item, error) {
	type row struct {
		ID                    uuid.UUID
		PageID                uuid.UUID
		Topic, Status, Source string
		StatusAt, ExpiresAt   *time.Time
	}
	return read(q, p, "t.id, t.page_id, t.topic, t.status, t.source, t.status_at, t.expires_at FROM recurring_tokens t WHERE t.contact_id = ?", "t.granted_at", "t.id", func(r row) Item {
		return Item{Type: RecurringToken, Channel: string(channel.Messenger), Page: r.PageID, Data: fields{
			"token_id": r.ID.String(), "topic": r.Topic, "status": r.Status, "source": r.Source, "status_at": r.StatusAt, "expires_at": r.ExpiresAt}.known()}
	})
}

func optInRequests(q *gorm.DB, p page) ([]Item, error) {
	type row struct {
		ID                       uuid.UUID
		PageID                   uuid.UUID
		Topic, Kind, State, Code string
	}
	return read(q, p, "o.id, o.page_id, o.topic, o.kind, o.state, o.code FROM opt_in_requests o WHERE o.contact_id = ?", "o.asked_at", "o.id", func(r row) Item {
		return Item{Type: OptInRequest, Channel: string(channel.Messenger), Page: r.PageID, Data: fields{
			"opt_in_request_id": r.ID.String(), "topic": r.Topic, "kind": r.Kind, "state": r.State, "code": r.Code}.known()}
	})
}

func captures(q *gorm.DB, p page) ([]Item, error) {
	type row struct {
		ID                   uuid.UUID
		PageID               uuid.UUID
		Channel, State, Code string
	}
	return read(q, p, "c.id, c.page_id, c.channel, c.state, c.code FROM captures c WHERE c.contact_id = ?", "c.asked_at", "c.id", func(r row) Item {
		return Item{Type: Capture, Channel: string(channel.Messenger), Page: r.PageID, Data: fields{
			"capture_id": r.ID.String(), "address": r.Channel, "state": r.State, "code": r.Code}.known()}
	})
}
