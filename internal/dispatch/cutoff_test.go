package dispatch_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/simulator"
)

// A node that dies after its last commit, and before it could end the campaign,
// leaves a job that finds its batch worked off.
func TestACampaignEndsThoughTheNodeDiedRightAfterItsLastBatch(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		b.make(human{email: "new"})
		c := b.draft(nil)
		b.sendOut(c)
		b.tx(func(tx *db.Tx) error {
			if err := tx.Exec("UPDATE campaigns SET state = 'running', finished_at = NULL").Error; err != nil {
				return err
			}
			return tx.Exec("UPDATE river_job SET state = 'available', finalized_at = NULL WHERE kind = 'dispatch.send'").Error
		})
		b.drain()
		require.Equal(t, campaign.Finished, b.state(c))
	})
}

// lostCommit lets the second transaction of a run be committed while its answer
// is lost: what it claimed is sending, and the run does not know of it.
type lostCommit struct {
	dispatch.Lines
	leases int
	fail   bool
}

var errLost = errors.New("connection lost")

func (l *lostCommit) Lease(tx *db.Tx, name string, want int) (channel.Grant, error) {
	if l.leases++; l.leases == 2 {
		l.fail = true
		return channel.Grant{}, errLost
	}
	return l.Lines.Lease(tx, name, want)
}

func (l *lostCommit) Note(tx *db.Tx, g channel.Grant, c uuid.UUID, t channel.Tally) error {
	if l.fail {
		l.fail = false
		err := tx.Exec(`UPDATE deliveries SET state = 'sending', attempt = attempt + 1, sent_at = created_at,
			job_id = (SELECT MAX(job_id) FROM deliveries WHERE state = 'sending') WHERE state = 'pending' AND id IN (SELECT MIN(id) FROM deliveries WHERE state = 'pending')`).Error
		if err != nil {
			return err
		}
	}
	return l.Lines.Note(tx, g, c, t)
}

func TestWhatALostCommitHadClaimedIsNotSendingForEver(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{size: dispatch.Sizes{Page: 200, Batch: 200, Parallel: 1}})
		for range 150 { // more than one chunk
			b.make(human{email: "new"})
		}
		b.engine.Lines = &lostCommit{Lines: b.lines}
		c := b.draft(nil)
		b.start(c)
		for range 20 {
			b.drain()
			b.advance(10 * time.Second)
		}
		require.Equal(t, map[delivery.State]int{delivery.Accepted: 149, delivery.Unknown: 1}, b.report(c).LinkBack.States)
		require.Equal(t, campaign.Finished, b.state(c))
	})
}

// Two runs of one job overlapped, the one gave the job back as one to be
// continued, and then the other died: no run is told that one was cut off.
func TestWhatAnOverlappingRunLeftIsNotSendingForEver(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		b.make(human{email: "new"})
		b.make(human{email: "new"})
		b.sim.SetFaults(simulator.SendGrid, simulator.Faults{ThrottleRate: 1})
		c := b.draft(nil)
		b.start(c)
		b.drain()
		b.sim.SetFaults(simulator.SendGrid, simulator.Faults{})
		b.tx(func(tx *db.Tx) error {
			return tx.Exec(`UPDATE deliveries SET state = 'sending', attempt = 1, sent_at = ?, job_id = (SELECT id FROM river_job WHERE kind = 'dispatch.send')
				WHERE id = (SELECT MIN(id) FROM deliveries)`, b.now()).Error
		})
		states := func() map[delivery.State]int { return b.report(c).LinkBack.States }
		for range 3 {
			b.advance(10 * time.Second)
			b.resumed()
			b.drain()
		}
		require.Equal(t, map[delivery.State]int{delivery.Accepted: 1, delivery.Sending: 1}, states(), "it may be alive")
		for range 3 {
			b.advance(10 * time.Second)
			b.drain()
		}
		require.Equal(t, map[delivery.State]int{delivery.Accepted: 1, delivery.Unknown: 1}, states())
		require.Equal(t, campaign.Finished, b.state(c))
	})
}

// Retention takes batches of a campaign that is long over; their jobs may be
// held until some morning.
func TestAJobWhoseBatchIsGivenUpHasNothingToDo(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		b.make(human{email: "new"})
		b.sendOut(b.draft(nil))
		b.tx(func(tx *db.Tx) error {
			if err := tx.Exec("DELETE FROM batches").Error; err != nil {
				return err
			}
			return tx.Exec("UPDATE river_job SET state = 'available', finalized_at = NULL WHERE kind = 'dispatch.send'").Error
		})
		b.drain()
		var open int
		require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM river_job WHERE state <> 'completed'").Row().Scan(&open))
		require.Zero(t, open)
	})
}
