package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/db"
	"beckon/internal/queue"
	"beckon/internal/simulator"
)

// asProgram makes this test program the program itself, so that a test can
// start and kill one without building another. TestProgram is no test.
const asProgram = "BECKON_TEST_AS_PROGRAM"

func TestProgram(t *testing.T) {
	if os.Getenv(asProgram) == "" {
		t.SkipNow()
	}
	os.Args = []string{"beckon", "serve"}
	main()
}

// process starts the program as a process of its own.
func (w *world) process(t *testing.T) *exec.Cmd {
	t.Helper()
	before := len(w.logs.lines(t, "serving"))
	cmd := exec.Command(os.Args[0], "-test.run=^TestProgram$") // killed by hand
	cmd.Env = append(slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "BECKON_") }), asProgram+"=1")
	cmd.Env = append(cmd.Env, w.settings...)
	cmd.Stderr = w.logs
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { kill(cmd) })
	w.served(t, before)
	return cmd
}

func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // it may be dead already,
	_ = cmd.Wait()         // and dies of a signal
}

// Set to let the clock run by itself where tests turn it: a dead node's jobs
// are then taken over when their time has come, within a minute.
const inRealTime = "BECKON_TEST_REAL_TIME"

// leftBehind makes the jobs of a killed program old enough to be taken over, and
// says how many there are.
func leftBehind(t *testing.T, o db.Options) (jobs int64) {
	t.Helper()
	d, err := db.Open(t.Context(), o)
	require.NoError(t, err)
	defer d.Close()
	age := queue.RescueAfter
	if os.Getenv(inRealTime) != "" {
		age = 0
	} else {
		t.Logf("the killed program's jobs are made older by hand; set %s=1 to wait for them instead", inRealTime)
	}
	require.NoError(t, d.Transact(t.Context(), func(tx *db.Tx) error {
		res := tx.Exec("UPDATE river_job SET attempted_at = ? WHERE state = 'running'", time.Now().UTC().Add(-age))
		jobs = res.RowsAffected
		return res.Error
	}))
	return jobs
}

func TestKilledInTheMiddleNobodyIsLostAndNobodyWrittenToTwice(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, database string) {
		w := newWorld(t, database, func(c *simulator.Config) { c.Receipts = simulator.Receipts{Retries: 100} }) // receipts wait for the program
		w.settings = append(w.settings, "BECKON_PARALLEL=1")
		c, err := readConfig(w.environ)
		require.NoError(t, err)
		program := w.process(t)
		w.open(t)
		people := crowd{window: 680, oneTime: 760, sms: 60, email: 450, nobody: 50}
		require.Equal(t, people.size(), w.imported(t, people.file(w)).Created)
		w.chat(t, people)
		for _, p := range simulator.Providers() {
			w.sim.SetFaults(p, simulator.Faults{Latency: 5 * time.Millisecond})
		}
		campaign := w.campaign(t, "window", "one_time", "sms", "email")
		sent := 0
		for range 2 {
			require.Eventually(t, func() bool { return len(w.sentTo()) >= sent+50 }, 2*time.Minute, time.Millisecond)
			kill(program)
			sent = len(w.sentTo())
			t.Logf("killed when %d of 1950 had been sent", sent)
			killed, jobs, before := time.Now(), leftBehind(t, c.database()), w.takenOver(t)
			program = w.process(t)
			eventually(t, func(c *assert.CollectT) { require.Equal(c, before+jobs, w.takenOver(c)) })
			require.Less(t, time.Since(killed), time.Minute)
		}
		w.everybodyAccounted(t, campaign)
		w.logs.holdsNone(t, w.hidden)
	})
}

// takenOver is how many jobs of dead nodes have been taken over so far.
func (w *world) takenOver(t require.TestingT) (jobs int64) {
	for _, line := range w.logs.lines(t, "jobs of a dead node are taken over") {
		jobs += int64(line["jobs"].(float64))
	}
	return jobs
}

// everybodyAccounted waits for the end of a campaign of 2,000 of whom 50 cannot
// be reached: everybody was tried, what was sent is delivered, once, and only
// what never left is unknown.
func (w *world) everybodyAccounted(t *testing.T, campaign string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		r := w.report(c, campaign)
		require.Equal(c, "finished", r.State)
		require.Equal(c, 1950, r.count("delivered")+r.count("unknown"), r.progress())
		require.Equal(c, len(w.sentTo()), r.count("delivered"), r.progress())
	}, 4*time.Minute, 500*time.Millisecond)
	r := w.report(t, campaign)
	t.Log(r.progress())
	require.Equal(t, [4]int{2000, 1440, 510, 50}, [4]int{r.Audience, r.Messenger.Total, r.LinkBack.Total, r.Unreachable.Total})
	sent := w.sentTo()
	for to, n := range sent {
		require.Equal(t, 1, n, to)
	}
	require.Equal(t, w.addressed(t, campaign, "delivered"), sent)
	contacts := map[string]bool{}
	for _, d := range w.deliveries(t, campaign) {
		require.False(t, contacts[d.ContactID], "a contact has two deliveries")
		contacts[d.ContactID] = true
	}
	require.Len(t, contacts, 2000)
}
