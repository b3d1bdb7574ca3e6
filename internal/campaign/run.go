package campaign

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/event"
	"beckon/internal/fault"
	"beckon/internal/queue"
)

// PlanJob plans a campaign: it decides for each contact of the audience and
// writes the deliveries.
type PlanJob struct {
	Campaign uuid.UUID `json:"campaign"`
}

// Kind names the job.
func (PlanJob) Kind() string { return "campaign.plan" }

// BeginJob sets a scheduled campaign running when its time has come.
type BeginJob struct {
	Campaign uuid.UUID `json:"campaign"`
}

// Kind names the job.
func (BeginJob) Kind() string { return "campaign.begin" }

// EndJob gives up what is left of a campaign: at its deadline, or when it was
// cancelled.
type EndJob struct {
	Campaign uuid.UUID `json:"campaign"`
}

// Kind names the job.
func (EndJob) Kind() string { return "campaign.end" }

// Start freezes a draft and sets it running, in one transaction with the job
// that plans it; one whose start lies ahead is scheduled, with the job that
// begins it then.
func (s *Service) Start(ctx context.Context, id uuid.UUID) (Campaign, error) {
	c, err := s.Get(ctx, id)
	if err != nil {
		return c, err
	}
	if c.State != Draft {
		return c, fault.New(fault.Conflict, "wrong_state", "A campaign that is %s cannot be started.", c.State)
	}
	def, err := s.ready(c)
	if err != nil {
		return c, err
	}
	err = s.db.Transact(ctx, func(tx *db.Tx) error { return s.start(ctx, tx, c, def) })
	if err != nil {
		return c, fmt.Errorf("start a campaign: %w", err)
	}
	return s.Get(ctx, id)
}

// ready compiles a draft that can be started now.
func (s *Service) ready(c Campaign) (*Definition, error) {
	def, err := s.Define(c)
	if err != nil {
		return nil, err
	}
	var fields []fault.Field
	for _, w := range s.absent(def) {
		fields = append(fields, fault.Field{Pointer: w.Pointer, Code: w.Code, Detail: w.Detail})
	}
	if len(fields) > 0 {
		return nil, fault.New(fault.Conflict, "channel_absent", "The route has lanes whose channel is not set up on this server: set it up, or take them out of the route.").With(fields...)
	}
	if lacks := def.unfitMail(); len(lacks) > 0 {
		return nil, fault.New(fault.Conflict, "email_incomplete", "An e-mail must say who sends it, where they can be found and how to refuse it: add what is missing, or take email out of the route.").With(lacks...)
	}
	if def.Over(s.set.Now()) {
		return nil, fault.New(fault.Conflict, "deadline_passed", "The campaign's deadline has passed: set a later one, or none.").
			With(fault.Field{Pointer: "/ends_at", Code: "deadline_passed", Detail: "Must be in the future."})
	}
	return def, nil
}

// unfitMail is what an e-mail on the route must say and does not.
func (d *Definition) unfitMail() (out []fault.Field) {
	if !slices.Contains(d.Route, channel.LaneEmail) {
		return nil
	}
	for _, w := range d.Warnings {
		if w.Stops() {
			out = append(out, fault.Field{Pointer: w.Pointer, Code: w.Code, Detail: w.Detail})
		}
	}
	return out
}

func (s *Service) start(ctx context.Context, tx *db.Tx, c Campaign, def *Definition) error {
	now := s.set.Now()
	res := tx.Exec("UPDATE campaigns SET state = ?, updated_at = ? WHERE id = ? AND state = ? AND updated_at = ?", Scheduled, now, c.ID, Draft, c.UpdatedAt)
	if res.Error != nil {
		return res.Error
	}
	if res.RowsAffected == 0 {
		return errChanged
	}
	if err := s.openBudget(tx, &c); err != nil {
		return err
	}
	if !def.EndsAt.IsZero() {
		if err := s.queue.Insert(ctx, tx, queue.Order{Args: EndJob{c.ID}, At: def.EndsAt}); err != nil {
			return err
		}
	}
	if begins := def.Begins(); begins.After(now) {
		return s.queue.Insert(ctx, tx, queue.Order{Args: BeginJob{c.ID}, At: begins})
	}
	return s.begin(ctx, tx, c.ID)
}

// Begin sets a scheduled campaign running; one in any other state stays as it is.
func (s *Service) Begin(ctx context.Context, id uuid.UUID) error {
	if err := s.db.Transact(ctx, func(tx *db.Tx) error { return s.begin(ctx, tx, id) }); err != nil {
		return fmt.Errorf("begin a campaign: %w", err)
	}
	return nil
}

// Who is in the audience is fixed here: contacts made later are not.
func (s *Service) begin(ctx context.Context, tx *db.Tx, id uuid.UUID) error {
	var last []uuid.UUID
	if err := tx.Raw("SELECT id FROM contacts ORDER BY id DESC LIMIT 1").Scan(&last).Error; err != nil {
		return err
	}
	until := uuid.Nil
	if len(last) == 1 {
		until = last[0]
	}
	now := s.set.Now()
	res := tx.Exec("UPDATE campaigns SET state = ?, started_at = ?, planned_until = ?, updated_at = ? WHERE id = ? AND state = ?",
		Running, now, until, now, id, Scheduled)
	if res.Error != nil || res.RowsAffected == 0 {
		return res.Error
	}
	if err := s.addEscalation(tx, id); err != nil {
		return err
	}
	if err := tell(tx, event.CampaignStarted, id, now); err != nil {
		return err
	}
	return s.queue.Insert(ctx, tx, queue.Order{Args: PlanJob{id}})
}

// EndPause lets a paused campaign go on to its end when its deadline has
// passed: nothing of it is sent any more, and all of it is accounted for.
func (s *Service) EndPause(ctx context.Context, id uuid.UUID) error {
	err := s.db.Transact(ctx, func(tx *db.Tx) error {
		now := s.set.Now()
		res := tx.Exec("UPDATE campaigns SET state = ?, updated_at = ? WHERE id = ? AND state = ? AND ends_at <= ?", Running, now, id, Paused, now)
		if res.Error != nil || res.RowsAffected == 0 {
			return res.Error
		}
		if err := s.follow(tx, id, Running, []State{Paused}); err != nil {
			return err
		}
		return s.queue.Insert(ctx, tx, queue.Order{Args: PlanJob{id}})
	})
	if err != nil {
		return fmt.Errorf("end a campaign's pause: %w", err)
	}
	return nil
}

// Planned saves how far planning has come, in the transaction that writes the
// deliveries. It is false when another run was there first: that transaction
// must be given up.
func (s *Service) Planned(tx *db.Tx, id uuid.UUID, from *uuid.UUID, to uuid.UUID, done bool) (bool, error) {
	var end *time.Time
	if done {
		now := s.set.Now()
		end = &now
	}
	q := tx.Model(&Campaign{}).Where("id = ? AND state = ? AND planned_at IS NULL", id, Running)
	if from == nil {
		q = q.Where("planned_to IS NULL")
	} else {
		q = q.Where("planned_to = ?", *from)
	}
	res := q.UpdateColumns(map[string]any{"planned_to": to, "planned_at": end})
	if res.Error != nil {
		return false, fmt.Errorf("save the plan's progress: %w", res.Error)
	}
	return res.RowsAffected == 1, nil
}

// FinishIfDone ends a campaign that is planned and has no open batch. To be
// called after a commit that may have closed the last one.
func (s *Service) FinishIfDone(ctx context.Context, id uuid.UUID) (bool, error) {
	finished := false
	err := s.db.Transact(ctx, func(tx *db.Tx) error {
		now := s.set.Now()
		res := tx.Exec(`UPDATE campaigns SET state = ?, finished_at = ?, updated_at = ? WHERE id = ? AND state = ? AND planned_at IS NOT NULL
			AND NOT EXISTS (SELECT 1 FROM batches b WHERE b.campaign_id = campaigns.id AND b.finished_at IS NULL)`, Finished, now, now, id, Running)
		if finished = res.RowsAffected == 1; !finished {
			return res.Error
		}
		if err := s.follow(tx, id, Finished, []State{Running}); err != nil {
			return err
		}
		return s.tellEnd(tx, id, now)
	})
	if err != nil {
		return false, fmt.Errorf("finish a campaign: %w", err)
	}
	return finished, nil
}

// tellEnd tells that a campaign has finished; of a test nobody needs to hear.
func (s *Service) tellEnd(tx *db.Tx, id uuid.UUID, now time.Time) error {
	var test bool
	if err := tx.Raw("SELECT test_of IS NOT NULL FROM campaigns WHERE id = ?", id).Scan(&test).Error; err != nil || test {
		return err
	}
	return tell(tx, event.CampaignFinished, id, now)
}

// Definition returns a campaign that has left draft, compiled. Content, route
// and audience are frozen by then, so it is compiled once and kept.
func (s *Service) Definition(ctx context.Context, id uuid.UUID) (*Definition, error) {
	if def := s.cache.get(id); def != nil {
		return def, nil
	}
	c, err := s.Get(ctx, id)
	if err != nil {
		return nil, err
	}
	def, err := s.Define(c)
	if err != nil {
		return nil, fmt.Errorf("compile campaign %s: %w", id, err)
	}
	if c.State != Draft {
		s.cache.put(def)
	}
	return def, nil
}

// keptDefinitions bounds the memory that compiled campaigns take.
const keptDefinitions = 64

type definitions struct {
	mu   sync.Mutex
	byID map[uuid.UUID]*Definition
}

func newDefinitions() *definitions { return &definitions{byID: map[uuid.UUID]*Definition{}} }

func (d *definitions) get(id uuid.UUID) *Definition {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.byID[id]
}

func (d *definitions) put(def *Definition) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.byID) >= keptDefinitions {
		clear(d.byID)
	}
	d.byID[def.ID] = def
}
