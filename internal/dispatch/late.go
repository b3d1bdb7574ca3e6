package dispatch

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/delivery"
)

// Word is a provider's late word about a message it had taken: it did not
// arrive after all.
type Word struct {
	Delivery int64
	Address  string         // where it had gone, or "" where the word does not say
	At       time.Time      // when it happened; zero is now
	Result   channel.Result // Outcome says what to do next; ProviderID names the message, when the word does
}

// ErrInFlight says that a word came before the answer of the call it is about;
// it is to be heard again a little later.
var ErrInFlight = errors.New("a delivery is still being sent")

// Late acts on late refusals: the delivery goes on to its next lane. Words about
// deliveries that have moved on since, and about another message than the one
// on record, are without effect, so hearing a word twice changes nothing.
func (e *Engine) Late(ctx context.Context, kind channel.Kind, words []Word) error {
	if len(words) == 0 {
		return nil
	}
	defs, err := e.definitionsOf(ctx, words)
	if err != nil {
		return err
	}
	return e.late(ctx, kind, words, defs)
}

func (e *Engine) definitionsOf(ctx context.Context, words []Word) (map[uuid.UUID]*campaign.Definition, error) {
	ids := make([]int64, len(words))
	for i, w := range words {
		ids[i] = w.Delivery
	}
	var campaigns []uuid.UUID
	if err := e.db.Read(ctx).Raw("SELECT DISTINCT campaign_id FROM deliveries WHERE id IN ?", ids).Scan(&campaigns).Error; err != nil {
		return nil, fmt.Errorf("find campaigns of deliveries: %w", err)
	}
	defs := map[uuid.UUID]*campaign.Definition{}
	for _, id := range campaigns {
		def, err := e.Campaigns.Definition(ctx, id)
		if err != nil {
			return nil, err
		}
		defs[id] = def
	}
	return defs, nil
}

func (e *Engine) late(ctx context.Context, kind channel.Kind, words []Word, defs map[uuid.UUID]*campaign.Definition) error {
	ids, byID := make([]int64, len(words)), map[int64]Word{}
	for i, w := range words {
		ids[i], byID[w.Delivery] = w.Delivery, w
	}
	return e.db.Transact(ctx, func(tx *db.Tx) error {
		opens, err := e.Ledger.Opens(tx, kind, ids)
		if err != nil {
			return err
		}
		muddled, err := e.muddled(tx, kind, opens)
		if err != nil {
			return err
		}
		former, err := e.former(tx, opens)
		if err != nil {
			return err
		}
		byCampaign := map[uuid.UUID][]settled{}
		for _, o := range opens {
			if o.State == delivery.Sending {
				return ErrInFlight
			}
			word := byID[o.Delivery]
			result := word.Result
			if muddled[o.Delivery] || former[o.Delivery][result.ProviderID] || !sameMessage(result.ProviderID, o.ProviderID) {
				continue
			}
			if o.ProviderID != "" {
				result.ProviderID = o.ProviderID
			}
			byCampaign[o.CampaignID] = append(byCampaign[o.CampaignID], settled{Try: o.Try, contact: o.ContactID, address: word.Address, at: word.At, result: result, late: true})
		}
		return e.settleLate(ctx, tx, byCampaign, defs)
	})
}

// sameMessage reports whether a word about one message can be about the one on
// record. SendGrid goes on behind the id that it gave at first; either may be
// missing.
func sameMessage(told, known string) bool {
	return strings.HasPrefix(told, known) || strings.HasPrefix(known, told)
}

// muddled are the deliveries that a person had sent again and whose second
// answer was lost like the first: a word of failure may be about either try, so
// it is about none.
func (e *Engine) muddled(tx *db.Tx, kind channel.Kind, opens []delivery.Open) (map[int64]bool, error) {
	var again []int64
	for _, o := range opens {
		if o.N > 1 {
			again = append(again, o.Delivery)
		}
	}
	if len(again) == 0 {
		return map[int64]bool{}, nil
	}
	return e.Ledger.Muddled(tx, kind, again)
}

// former are the messages of tries before the one on record, by delivery: a word
// about one of them says nothing of the last.
func (e *Engine) former(tx *db.Tx, opens []delivery.Open) (map[int64]map[string]bool, error) {
	var again []int64
	for _, o := range opens {
		if o.N > 1 {
			again = append(again, o.Delivery)
		}
	}
	if len(again) == 0 {
		return map[int64]map[string]bool{}, nil
	}
	return e.Ledger.Former(tx, again)
}

// slow has a sender slow down when late words say that it goes too fast.
func (e *Engine) slow(tx *db.Tx, def *campaign.Definition, outcomes []settled) error {
	var t channel.Tally
	for _, o := range outcomes {
		if o.result.Outcome == channel.TryLater && o.result.Throttled {
			t.Throttled, t.RetryAfter = true, max(t.RetryAfter, o.result.RetryAfter)
		}
	}
	if !t.Throttled {
		return nil
	}
	return e.Lines.Note(tx, channel.Grant{Line: outcomes[0].Lane.Line(def.PageID.String())}, def.ID, t)
}

func (e *Engine) settleLate(ctx context.Context, tx *db.Tx, byCampaign map[uuid.UUID][]settled, defs map[uuid.UUID]*campaign.Definition) error {
	for id, outcomes := range byCampaign {
		def := defs[id]
		if err := e.slow(tx, def, outcomes); err != nil {
			return err
		}
		s, err := e.scopeOf(tx.DB, def)
		if err != nil {
			return err
		}
		if err := e.settle(ctx, tx, def, s, outcomes); err != nil {
			return err
		}
	}
	return nil
}
