package api

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/labstack/echo/v4"
	"gorm.io/gorm/clause"

	"beckon/internal/db"
	"beckon/internal/fault"
	"beckon/internal/queue"
	"beckon/internal/seal"
)

const (
	headerIdempotency = "Idempotency-Key"
	headerReplayed    = "Idempotency-Replayed"
	answersKept       = 24 * time.Hour
	// A call that is at work longer than this died with its node.
	callAbandoned = 2 * time.Minute
)

// Idempotency keeps the answers to calls that carry an Idempotency-Key. The
// bodies are sealed.
type Idempotency struct {
	db  *db.DB
	box *seal.Box
	now func() time.Time
}

// NewIdempotency returns the answers kept in d.
func NewIdempotency(d *db.DB, box *seal.Box, now func() time.Time) *Idempotency {
	return &Idempotency{db: d, box: box, now: now}
}

// answer is a row: one call, and what was answered once it is done.
type answer struct {
	KeyID     uuid.UUID
	Key       string
	Operation string
	BodyHash  []byte
	Status    int // 0 while the call is at work
	Body      []byte
	CreatedAt time.Time
}

// TableName is the table of answers.
func (answer) TableName() string { return "idempotency_keys" }

func (a answer) boundTo() string {
	return "idempotency " + a.KeyID.String() + " " + a.Operation + " " + a.Key
}

// Purge deletes answers that are older than a day.
func (i *Idempotency) Purge(ctx context.Context) error {
	err := i.db.Transact(ctx, func(tx *db.Tx) error {
		return tx.Where("created_at < ?", i.time().Add(-answersKept)).Delete(&answer{}).Error
	})
	if err != nil {
		return fmt.Errorf("purge idempotency keys: %w", err)
	}
	return nil
}

// PurgeJob deletes old answers.
type PurgeJob struct{}

// Kind names the job.
func (PurgeJob) Kind() string { return "idempotency.purge" }

// Register adds the hourly job that purges. The queue must not be open yet.
func (i *Idempotency) Register(q *queue.Queue) {
	queue.Keep(q, time.Hour, PurgeJob{}, i.Purge)
}

func (i *Idempotency) time() time.Time { return i.now().UTC().Truncate(time.Microsecond) }

// claim writes the call down. It returns nil when the call is ours to make,
// else the call that was made before.
func (i *Idempotency) claim(ctx context.Context, a answer) (before *answer, err error) {
	err = i.db.Transact(ctx, func(tx *db.Tx) error {
		before = nil
		r := tx.Clauses(clause.OnConflict{DoNothing: true}).Create(&a)
		if r.Error != nil || r.RowsAffected == 1 {
			return r.Error
		}
		var old answer
		if err := tx.Where("key_id = ? AND key = ? AND operation = ?", a.KeyID, a.Key, a.Operation).Take(&old).Error; err != nil {
			return err
		}
		if !i.over(old) {
			before = &old
			return nil
		}
		return take(tx, a, old)
	})
	if err != nil {
		return nil, fmt.Errorf("claim the idempotency key: %w", err)
	}
	return before, nil
}

// over reports whether a row no longer stands for anything.
func (i *Idempotency) over(a answer) bool {
	age := i.now().Sub(a.CreatedAt)
	return age > answersKept || a.Status == 0 && age > callAbandoned
}

func take(tx *db.Tx, a, old answer) error {
	r := tx.Model(&answer{}).
		Where("key_id = ? AND key = ? AND operation = ? AND created_at = ?", a.KeyID, a.Key, a.Operation, old.CreatedAt).
		Updates(map[string]any{"body_hash": a.BodyHash, "status": 0, "body": nil, "created_at": a.CreatedAt})
	if r.Error == nil && r.RowsAffected == 0 {
		return errInProgress() // another took it first
	}
	return r.Error
}

func errInProgress() error {
	return fault.New(fault.Conflict, "idempotency_in_progress", "The first call with this Idempotency-Key is still at work.")
}

// settle keeps what was answered.
func (i *Idempotency) settle(ctx context.Context, a answer, status int, body []byte) error {
	sealed, err := i.box.Seal(string(body), a.boundTo())
	if err != nil {
		return err
	}
	return i.db.Transact(ctx, func(tx *db.Tx) error {
		return tx.Model(&answer{}).
			Where("key_id = ? AND key = ? AND operation = ? AND created_at = ?", a.KeyID, a.Key, a.Operation, a.CreatedAt).
			Updates(map[string]any{"status": status, "body": sealed}).Error
	})
}

// release forgets a call that came to nothing, so that it can be made again.
func (i *Idempotency) release(ctx context.Context, a answer) error {
	return i.db.Transact(ctx, func(tx *db.Tx) error {
		return tx.Where("key_id = ? AND key = ? AND operation = ? AND created_at = ?", a.KeyID, a.Key, a.Operation, a.CreatedAt).
			Delete(&answer{}).Error
	})
}

// replay gives the first answer again, if the call is the same.
func (i *Idempotency) replay(c echo.Context, a, before answer) error {
	if !bytes.Equal(a.BodyHash, before.BodyHash) {
		return fault.New(fault.Conflict, "idempotency_mismatch", "This Idempotency-Key was used for another request.")
	}
	if before.Status == 0 {
		return errInProgress()
	}
	body, err := i.box.Open(before.Body, before.boundTo())
	if err != nil {
		return err
	}
	c.Response().Header().Set(headerReplayed, "true")
	return c.Blob(before.Status, echo.MIMEApplicationJSON, []byte(body))
}

// once makes a call with an Idempotency-Key happen once, where the
// specification offers it.
func (i *Idempotency) once(contract *Contract, log *slog.Logger) echo.MiddlewareFunc {
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			op, key := contract.find(c), c.Request().Header.Get(headerIdempotency)
			if op == nil || key == "" || !op.takes(headerIdempotency) {
				return next(c)
			}
			a := i.call(c, op, key)
			before, err := i.claim(c.Request().Context(), a)
			if err != nil {
				return err
			}
			if before != nil {
				return i.replay(c, a, *before)
			}
			return i.perform(c, a, next, log)
		}
	}
}

// call describes the request; where it goes is hashed with its body.
func (i *Idempotency) call(c echo.Context, op *operation, key string) answer {
	caller, _ := c.Get(callerKey).(Key)
	body, _ := c.Get(bodyKey).([]byte)
	said := c.Request().URL.RequestURI() + "\n" + string(body)
	return answer{KeyID: caller.ID, Key: key, Operation: op.id, BodyHash: i.box.Hash("idempotency", said), CreatedAt: i.time()}
}

// perform makes the call and keeps a good answer before it is sent; any other
// leaves no trace. It does not depend on the caller staying.
func (i *Idempotency) perform(c echo.Context, a answer, next echo.HandlerFunc, log *slog.Logger) error {
	ctx, kept := context.WithoutCancel(c.Request().Context()), false
	defer func() {
		if kept {
			return
		}
		if err := i.release(ctx, a); err != nil {
			log.WarnContext(ctx, "idempotency key not released", "error", err)
		}
	}()
	held, err := hold(c, next)
	if err != nil {
		return err
	}
	if held.status < http.StatusBadRequest {
		if err := i.settle(ctx, a, held.status, held.body.Bytes()); err != nil {
			log.WarnContext(ctx, "answer not kept", "error", err)
		} else {
			kept = true
		}
	}
	return held.send()
}

// hold runs the handler and holds its answer back; if it fails, even by a
// panic, nothing has been answered yet.
func hold(c echo.Context, next echo.HandlerFunc) (held *heldAnswer, err error) {
	res := c.Response()
	held = &heldAnswer{ResponseWriter: res.Writer}
	res.Writer = held
	ok := false
	defer func() {
		res.Writer = held.ResponseWriter
		if !ok {
			res.Committed, res.Size = false, 0
		}
	}()
	err = next(c)
	ok = err == nil
	return held, err
}

// heldAnswer holds an answer back until it is kept.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

// WriteHeader notes the status.
func (h *heldAnswer) WriteHeader(status int) { h.status = status }

// Write keeps the bytes.
func (h *heldAnswer) Write(p []byte) (int, error) { return h.body.Write(p) }

func (h *heldAnswer) send() error {
	h.ResponseWriter.WriteHeader(h.status)
	_, err := h.ResponseWriter.Write(h.body.Bytes())
	return err
}
