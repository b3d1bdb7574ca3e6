package delivery_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/channel"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
)

// sentAt makes a delivery in a campaign of its own that went out at a moment.
func (b *bundle) sentAt(who uuid.UUID, lane channel.Lane, at time.Time) int64 {
	return b.campaignTo([]uuid.UUID{who}, func(int) channel.Lane { return lane }, at)
}

func (b *bundle) replied(who uuid.UUID, at ...time.Time) (told []channel.Reaction) {
	var replies []delivery.Reply
	for _, x := range at {
		replies = append(replies, delivery.Reply{Contact: who, At: x})
	}
	b.tx(func(tx *db.Tx) (err error) { told, err = b.Replied(tx, replies); return err })
	return told
}

func (b *bundle) returned(id int64, at time.Time) (told []channel.Reaction) {
	b.tx(func(tx *db.Tx) (err error) {
		told, err = b.Returned(tx, []delivery.Seen{{Delivery: id, At: at}})
		return err
	})
	return told
}

// marks are when somebody returned and replied, in minutes before now; -1 for
// never.
type marks struct{ returned, replied int }

func (b *bundle) marked(ids ...int64) (out []marks) {
	minutes := func(at *time.Time) int {
		if at == nil {
			return -1
		}
		return int(b.now.Sub(*at).Minutes())
	}
	for _, id := range ids {
		d := b.get(id)
		out = append(out, marks{minutes(d.ReturnedAt), minutes(d.RepliedAt)})
	}
	return out
}

func TestAReplyAnswersWhatHadBroughtThePersonBackByThen(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		ago := func(minutes int) time.Time { return b.now.Add(-time.Duration(minutes) * time.Minute) }
		who := b.person("77")
		written, texted := b.sentAt(who, channel.Window, ago(60)), b.sentAt(who, channel.LaneSMS, ago(50))
		require.Empty(t, b.replied(who, ago(70)), "nothing was there to answer")
		require.Len(t, b.replied(who, ago(20)), 1)
		require.Equal(t, []marks{{-1, 20}, {-1, -1}}, b.marked(written, texted))

		require.Len(t, b.returned(texted, ago(30)), 1, "told of the return")
		require.Equal(t, []marks{{-1, -1}, {30, 20}}, b.marked(written, texted), "the reply came after it")
		require.Len(t, b.replied(who, ago(40)), 1)
		require.Empty(t, b.replied(who, ago(10)))
		require.Equal(t, []marks{{-1, 40}, {30, 20}}, b.marked(written, texted), "and this one before it")
		require.Empty(t, b.returned(texted, ago(10)), "a second return is no news")
		require.Empty(t, b.returned(texted, ago(45)), "nor is an earlier one")
		require.Equal(t, []marks{{-1, -1}, {45, 40}}, b.marked(written, texted))
	})
}

func TestAReplyThatIsForgottenKeepsItsMark(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d)
		who := b.person("77")
		written, texted := b.sentAt(who, channel.Window, b.now.Add(-4*time.Hour)), b.sentAt(who, channel.LaneSMS, b.now.Add(-3*time.Hour))
		b.replied(who, b.now.Add(-time.Hour), b.now)
		require.NoError(t, b.ForgetReplies(t.Context(), b.now))
		require.Equal(t, 1, b.count("replies"))
		b.returned(texted, b.now.Add(-2*time.Hour))
		require.Equal(t, []marks{{-1, 60}, {120, 0}}, b.marked(written, texted))
	})
}

func (b *bundle) count(from string) (n int) {
	require.NoError(b.t, b.d.Read(b.ctx()).Raw("SELECT COUNT(*) FROM "+from).Scan(&n).Error)
	return n
}

// act is a reply, or the return by a delivery: in minutes before now.
type act struct {
	link   int // by which delivery; -1 is a reply
	before int
}

// TestRepliesAndReturnsAgreeWithTheRuleInAnyOrder compares what comes of acts in
// any order, one of them twice, with the rule that Replied states.
func TestRepliesAndReturnsAgreeWithTheRuleInAnyOrder(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, r := setup(t, d), rand.New(rand.NewPCG(1, 2))
		const people, longest = 150, 8
		sentBefore := []int{600, 480, 360}
		who, lanes, acts := b.people(people), make([][]channel.Lane, people), make([][]act, people)
		for i := range who {
			for range sentBefore {
				lanes[i] = append(lanes[i], []channel.Lane{channel.Window, channel.LaneSMS, channel.LaneEmail}[r.IntN(3)])
			}
			for range 1 + r.IntN(longest-1) {
				acts[i] = append(acts[i], act{r.IntN(len(sentBefore)+1) - 1, r.IntN(700)})
			}
		}
		first := make([]int64, len(sentBefore))
		for n, before := range sentBefore {
			first[n] = b.campaignTo(who, func(i int) channel.Lane { return lanes[i][n] }, b.now.Add(-time.Duration(before)*time.Minute))
		}
		told := make([][]act, people)
		for i := range acts {
			told[i] = append(slices.Clone(acts[i]), acts[i][0])
			r.Shuffle(len(told[i]), func(k, j int) { told[i][k], told[i][j] = told[i][j], told[i][k] })
		}
		for round := range longest {
			var seen []delivery.Seen
			var replies []delivery.Reply
			for i := range told {
				if round >= len(told[i]) {
					continue
				}
				a := told[i][round]
				if at := b.now.Add(-time.Duration(a.before) * time.Minute); a.link < 0 {
					replies = append(replies, delivery.Reply{Contact: who[i], At: at})
				} else {
					seen = append(seen, delivery.Seen{Delivery: first[a.link] + int64(i), At: at})
				}
			}
			b.tx(func(tx *db.Tx) error {
				_, err := b.Returned(tx, seen)
				_, err2 := b.Replied(tx, replies)
				return errors.Join(err, err2)
			})
		}
		for i := range who {
			want := byTheRule(sentBefore, lanes[i], acts[i])
			require.Equal(t, want, b.marked(first[0]+int64(i), first[1]+int64(i), first[2]+int64(i)), "%v %v", lanes[i], told[i])
		}
	})
}

// people makes contacts that Messenger knows by their numbers.
func (b *bundle) people(n int) (out []uuid.UUID) {
	var contacts, addresses [][]any
	for i := range n {
		out = append(out, uuid.Must(uuid.NewV7()))
		contacts, addresses = append(contacts, []any{out[i], b.now, b.now}), append(addresses, []any{b.page, fmt.Sprint(i), out[i], b.now})
	}
	b.tx(func(tx *db.Tx) error {
		return errors.Join(tx.Copy("contacts", []string{"id", "created_at", "updated_at"}, contacts),
			tx.Copy("messenger_addresses", []string{"page_id", "psid", "contact_id", "created_at"}, addresses))
	})
	return out
}

// campaignTo sends something to everybody at a moment.
func (b *bundle) campaignTo(who []uuid.UUID, lane func(i int) channel.Lane, at time.Time) (first int64) {
	was, campaign := b.now, b.campaign
	defer func() { b.now, b.campaign = was, campaign }()
	b.now, b.campaign = at, uuid.Must(uuid.NewV7())
	places := make([]delivery.Place, len(who))
	for i := range who {
		places[i] = delivery.Place{Contact: who[i], Lane: lane(i)}
	}
	b.tx(func(tx *db.Tx) error {
		err := tx.Exec(`INSERT INTO campaigns (id, name, page_id, topic, audience, route, content, state, created_at, updated_at)
			VALUES (?, 'c', ?, 'unsorted', '{}', '[]', '{}', 'running', ?, ?)`, b.campaign, b.page, b.now, b.now).Error
		if err == nil {
			first, err = b.Write(tx, b.campaign, places)
		}
		return err
	})
	for _, l := range channel.Lanes() {
		var out []delivery.Settlement
		for _, c := range b.claim(delivery.Batch{CampaignID: b.campaign, Lane: l, FirstID: first, LastID: first + int64(len(who)) - 1}, 1) {
			out = append(out, accepted(c, l, "m_1"))
		}
		b.settle(out...)
	}
	return first
}

// byTheRule are the marks that acts lead to.
func byTheRule(sentBefore []int, lanes []channel.Lane, acts []act) []marks {
	out := slices.Repeat([]marks{{-1, -1}}, len(lanes))
	for _, a := range acts {
		if a.link >= 0 {
			out[a.link].returned = max(out[a.link].returned, a.before)
		}
	}
	for _, a := range acts {
		newest := -1
		for i := range lanes {
			if a.link < 0 && sentBefore[i] >= a.before && (lanes[i] == channel.Window || out[i].returned >= a.before) {
				newest = i
			}
		}
		if newest >= 0 {
			out[newest].replied = max(out[newest].replied, a.before)
		}
	}
	return out
}

// word is what Messenger says about a delivery, so many seconds after now.
type word struct{ kind, after int }

// TestReceiptsInAnyOrderLeaveTheSameRow tells deliveries of receipts and
// watermarks in one order and their twins in another, one of them twice.
func TestReceiptsInAnyOrderLeaveTheSameRow(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b, r := setup(t, d), rand.New(rand.NewPCG(1, 2))
		const pairs, longest = 150, 6
		first := b.campaignTo(b.people(2*pairs), func(int) channel.Lane { return channel.Window }, b.now)
		b.tx(func(tx *db.Tx) error { // of a third nobody knows whether they were taken
			return tx.Exec("UPDATE deliveries SET state = 'unknown', accepted_at = NULL, provider_id = '' WHERE id % 3 = 0").Error
		})
		words := make([][]word, 2*pairs)
		for i := range pairs {
			for range 1 + r.IntN(longest-1) {
				words[i] = append(words[i], word{r.IntN(5), r.IntN(105) - 5})
			}
			twin := append(slices.Clone(words[i]), words[i][0])
			r.Shuffle(len(twin), func(k, j int) { twin[k], twin[j] = twin[j], twin[k] })
			words[pairs+i] = twin
		}
		for round := range longest {
			var receipts []delivery.Receipt
			var watermarks []delivery.Watermark
			for i := range words {
				if round < len(words[i]) {
					r, w := words[i][round].about(b, first+int64(i), fmt.Sprint(i))
					receipts, watermarks = append(receipts, r...), append(watermarks, w...)
				}
			}
			b.mark(receipts...)
			b.upTo(watermarks...)
		}
		for i := range int64(pairs) {
			one, twin := b.get(first+i), b.get(first+pairs+i)
			twin.ID, twin.ContactID = one.ID, one.ContactID
			require.Equal(t, one, twin, "%v %v", words[i], words[pairs+i])
		}
	})
}

func (w word) about(b *bundle, id int64, psid string) ([]delivery.Receipt, []delivery.Watermark) {
	at := b.now.Add(time.Duration(w.after) * time.Second)
	if w.kind >= 3 {
		return nil, []delivery.Watermark{{PSID: psid, At: at, Read: w.kind == 4}}
	}
	kind := []channel.EventKind{channel.EventEcho, channel.EventDelivered, channel.EventRead}[w.kind]
	return []delivery.Receipt{{Delivery: id, Channel: channel.Messenger, Kind: kind, ProviderID: "m_1", At: at}}, nil
}
