package mirror_test

import (
	"context"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel/sendgrid"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/event"
	"beckon/internal/mirror"
	"beckon/internal/queue"
	"beckon/internal/simulator"
)

func TestWhoeverStandsOnAListGetsNoMail(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.Service = b.node(func(p *mirror.Parts) { p.Groups = []string{"17"} })
		on := map[string]string{"unsubscribes": contact.ReasonUnsubscribe, "spam_reports": contact.ReasonComplaint, "bounces": contact.ReasonBounce,
			"invalid_emails": contact.ReasonBounce, "group/17": contact.ReasonUnsubscribe}
		for list := range on {
			b.sim.Suppress(list, simulator.Suppressed{Email: list[:3] + "@hidden.example", Created: noon.Add(-time.Hour)})
		}
		b.sim.Suppress("blocks", simulator.Suppressed{Email: "blocked@hidden.example", Created: noon.Add(-time.Hour)})
		b.sim.Suppress("group/18", simulator.Suppressed{Email: "other@hidden.example", Created: noon.Add(-time.Hour)})
		b.pull()
		for list, reason := range on {
			require.True(t, b.silent(list[:3]+"@hidden.example"), list)
			require.Equal(t, mirror.Status{List: list, FinishedAt: &noon, Seen: 1, Added: 1}, utc(b.of(list)))
			require.Positive(t, b.count("suppressions WHERE reason = ? AND source = 'sendgrid' AND refused_at = ?", reason, noon.Add(-time.Hour)), list)
		}
		require.False(t, b.silent("blocked@hidden.example"), "it may arrive the next time")
		require.False(t, b.silent("other@hidden.example"), "a group that nobody named")
		require.Equal(t, 5, b.count("suppressions"))
	})
}

func utc(s mirror.Status) mirror.Status {
	if s.FinishedAt != nil {
		at := s.FinishedAt.UTC()
		s.FinishedAt = &at
	}
	return s
}

func TestALongListIsTakenOverPageByPageAndToldOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.sim.Suppress("bounces", crowd(1201, noon.Add(-time.Minute))...)
		b.pull()
		require.Equal(t, 1201, b.count("suppressions"))
		require.Equal(t, 3+3, b.sim.ListCalls(), "three pages, and one of each other list")
		b.pull()
		require.Equal(t, 6, b.sim.ListCalls(), "it is done for today")
		b.pass(time.Minute)
		events, err := event.NewStore(d, b.now).List(t.Context(), [16]byte{}, 10, event.Filter{Type: event.SuppressionsSynced})
		require.NoError(t, err)
		require.Len(t, events, 1)
		require.Equal(t, map[string]any{"list": "bounces", "seen": 1201.0, "added": 1201.0}, events[0].Data)
	})
}

// A run of the next night asks for what is new, with a day's overlap; once a week
// the whole is read, which finds who was missed.
func TestEveryNightWhatIsNewAndEveryWeekTheWhole(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		var from []string
		b.seen = func(r *http.Request) {
			if r.URL.Path == "/sendgrid/v3/suppression/bounces" {
				from = append(from, r.URL.Query().Get("start_time"))
			}
		}
		b.pull()
		b.pass(12 * time.Hour)
		b.pull()
		require.Equal(t, []string{""}, from, "not by day")
		b.sim.Suppress("bounces", simulator.Suppressed{Email: "old@hidden.example", Created: noon.Add(-48 * time.Hour)},
			simulator.Suppressed{Email: "late@hidden.example", Created: noon.Add(-23 * time.Hour)})
		b.pass(12 * time.Hour)
		b.pull()
		require.Len(t, from, 2)
		require.Equal(t, stamp(noon.Add(-24*time.Hour)), from[1])
		require.True(t, b.silent("late@hidden.example"))
		require.False(t, b.silent("old@hidden.example"))
		for range 6 {
			b.pass(24 * time.Hour)
			b.pull()
		}
		require.Equal(t, "", from[len(from)-1])
		require.True(t, b.silent("old@hidden.example"))
	})
}

func stamp(at time.Time) string { return strconv.FormatInt(at.Unix(), 10) }

func TestEachStartOfTheProgramLooksAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.pull()
		b.pass(time.Minute)
		b.sim.Suppress("bounces", crowd(1, b.now())...)
		b.pull()
		require.False(t, b.silent(address(0)))
		b.Service = b.node(nil)
		b.pull()
		require.True(t, b.silent(address(0)))
	})
}

// A run that ends early, for whatever reason, goes on at the page where it ended.
func TestARunGoesOnWhereItEnded(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.sim.Suppress("unsubscribes", crowd(1700, noon.Add(-time.Minute))...)
		ctx, stop := context.WithCancel(t.Context())
		var asked []string
		b.seen = func(r *http.Request) {
			if r.URL.Path == "/sendgrid/v3/suppression/unsubscribes" {
				if asked = append(asked, offset(r)); len(asked) == 3 {
					stop()
				}
			}
		}
		require.Error(t, b.PullNow(ctx))
		require.Equal(t, 1000, b.count("suppressions"))
		require.Nil(t, b.of("unsubscribes").FinishedAt)
		b.pass(3 * time.Hour)
		b.Service = b.node(nil) // on another node
		b.pull()
		require.Equal(t, []string{"0", "500", "1000", "1000", "1500"}, asked)
		require.Equal(t, 1700, b.count("suppressions"))
		require.Equal(t, []int64{1700, 1700}, []int64{b.of("unsubscribes").Seen, b.of("unsubscribes").Added})
	})
}

func TestTwoNodesDoNotDoTheSameWorkTwice(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.sim.Suppress("unsubscribes", crowd(1700, noon.Add(-time.Minute))...)
		other, met := b.node(nil), false
		b.seen = func(r *http.Request) {
			if offset(r) == "500" && !met { // while one reads its second page, another comes and does all
				met = true
				require.NoError(t, other.PullNow(context.WithoutCancel(t.Context())))
			}
		}
		b.pull()
		require.True(t, met)
		require.Equal(t, 1700, b.count("suppressions"))
		require.Equal(t, []int64{1700, 1700}, []int64{b.of("unsubscribes").Seen, b.of("unsubscribes").Added})
		require.Empty(t, b.of("unsubscribes").Problem)
		require.Equal(t, 4+1+3, b.sim.ListCalls(), "one page was asked for twice; the other lists are done by one of both")
	})
}

func TestNodesThatStartTogetherTakeEachEntryOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.sim.Suppress("unsubscribes", crowd(1200, noon.Add(-time.Minute))...)
		b.sim.Suppress("bounces", crowd(700, noon.Add(-time.Minute))...)
		var wg sync.WaitGroup
		for _, node := range []*mirror.Service{b.Service, b.node(nil), b.node(nil)} {
			wg.Go(func() { assert.NoError(t, node.PullNow(t.Context())) })
		}
		wg.Wait()
		b.pull() // whoever was late has left the rest to the others
		require.Equal(t, 1900, b.count("suppressions"))
		for list, n := range map[string]int64{"unsubscribes": 1200, "bounces": 700, "invalid_emails": 0} {
			require.NotNil(t, b.of(list).FinishedAt)
			require.Equal(t, []int64{n, n}, []int64{b.of(list).Seen, b.of(list).Added}, list)
		}
	})
}

func TestTooManyCallsAreWaitedOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.sim.Suppress("unsubscribes", crowd(3, noon)...)
		b.sim.RefuseLists(1, http.StatusTooManyRequests, 40*time.Second)
		err := b.PullNow(t.Context())
		require.True(t, queue.IsLater(err))
		require.Equal(t, queue.Later(40*time.Second).Error(), err.Error())
		require.Zero(t, b.count("suppressions"))
		other := b.node(writingBack)
		b.pass(39 * time.Second)
		require.NoError(t, other.PullNow(t.Context()))
		require.NoError(t, other.PushNow(t.Context()))
		require.Equal(t, 1, b.sim.ListCalls(), "no other node calls meanwhile, for no other list")
		b.pass(time.Second)
		b.pull()
		require.Equal(t, 3, b.count("suppressions"))
	})
}

// What SendGrid refuses is written down and tried again at the next look; the
// other lists go on.
func TestAListThatIsRefusedHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.sim.Suppress("unsubscribes", crowd(2, noon)...)
		b.sim.Suppress("bounces", simulator.Suppressed{Email: "gone@hidden.example", Created: noon})
		for _, status := range []int{http.StatusForbidden, http.StatusInternalServerError} {
			b.sim.RefuseLists(1, status, 0)
			b.pull()
			require.Contains(t, b.of("unsubscribes").Problem, strconv.Itoa(status))
			require.Nil(t, b.of("unsubscribes").FinishedAt)
			require.True(t, b.silent("gone@hidden.example"))
		}
		b.pass(time.Hour)
		b.pull()
		require.Empty(t, b.of("unsubscribes").Problem)
		require.True(t, b.silent(address(1)))
	})
}

func TestAnotherAccountBeginsAnew(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.sim.Suppress("unsubscribes", crowd(2, noon.Add(-72*time.Hour))...)
		b.pull()
		b.Service = b.node(func(p *mirror.Parts) { p.Name = "two" })
		require.Nil(t, b.of("unsubscribes").FinishedAt)
		b.pull()
		require.Equal(t, []int64{2, 0}, []int64{b.of("unsubscribes").Seen, b.of("unsubscribes").Added})
		require.Equal(t, 2, b.count("mirrored"))
		require.Equal(t, 2, b.count("mirrored WHERE account = 'two'"))
	})
}

// What was lifted here is not brought back by a list that still has it, and who
// agreed after they had refused has agreed.
func TestAListBringsNothingBackThatIsOver(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		id := b.known(address(0), noon.Add(-time.Hour))
		b.sim.Suppress("unsubscribes", crowd(1, noon.Add(-48*time.Hour))...)
		b.pull()
		require.True(t, b.silent(address(0)), "SendGrid would not send it")
		c, err := b.Get(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, contact.Subscribed, c.EmailConsent.Status, "they agreed later than they refused")
		b.pass(time.Hour)
		b.lift(address(0), contact.ReasonUnsubscribe)
		for range 8 {
			b.pass(24 * time.Hour)
			b.pull()
			require.False(t, b.silent(address(0)))
		}
		b.sim.Unsuppress("unsubscribes", address(0))
		b.sim.Suppress("unsubscribes", crowd(1, b.now())...) // they refuse anew
		b.pass(24 * time.Hour)
		b.pull()
		require.True(t, b.silent(address(0)))
	})
}

func TestOddEntriesAreLeftOut(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		b.sim.Suppress("invalid_emails", simulator.Suppressed{Created: noon}, simulator.Suppressed{Email: strings.Repeat("x", 5000), Created: noon}, simulator.Suppressed{Email: "no address", Created: noon},
			simulator.Suppressed{Email: "Mixed@Hidden.Example", Created: noon})
		b.pull()
		require.Equal(t, 2, b.count("suppressions"))
		require.True(t, b.silent("mixed@hidden.example"))
		require.True(t, b.silent("no address"))
		require.EqualValues(t, 4, b.of(string(sendgrid.Invalid)).Seen)
	})
}
