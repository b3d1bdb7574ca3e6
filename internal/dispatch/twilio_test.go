package dispatch_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/channel/sms"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/db/dbtest"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/event"
	"beckon/internal/route"
	"beckon/internal/simulator"
)

// meaning is what follows from one of Twilio's codes.
type meaning struct {
	codes      []int
	outcome    channel.Outcome
	suppressed string        // the reason, when the phone is
	consent    string        // of the person, to SMS
	wait       time.Duration // until the text is tried again
	untilDay   bool          // wait is until midnight in California
	slowed     bool          // the sender slows down
	stopped    bool          // the sender stops
	missed     bool          // the number did not work this time, which is counted
}

// meanings is every code of Twilio's that asks for something.
func meanings() []meaning {
	const yes, no = contact.Subscribed, contact.Unsubscribed
	return []meaning{
		{codes: []int{21610, 30640, 63014, 63033}, outcome: channel.OptedOut, suppressed: contact.ReasonStop, consent: no},
		{codes: []int{21211, 21214, 21217, 21614, 21635, 30005, 30006}, outcome: channel.Gone, suppressed: contact.ReasonUndeliverable, consent: yes},
		{codes: []int{14103, 21408, 21602, 21604, 21609, 21612, 21617, 21658, 30007, 30045, 90007, 31999}, outcome: channel.Refused, consent: yes},
		{codes: []int{30003, 30004}, outcome: channel.Refused, consent: yes, missed: true},
		{codes: []int{20429}, outcome: channel.TryLater, consent: yes, wait: 5 * time.Second, slowed: true},
		{codes: []int{30022, 63017, 63018}, outcome: channel.TryLater, consent: yes, wait: time.Minute, slowed: true},
		{codes: []int{21611, 30001}, outcome: channel.TryLater, consent: yes, wait: 10 * time.Minute, slowed: true},
		{codes: []int{60728, 63038}, outcome: channel.TryLater, consent: yes, wait: time.Hour, slowed: true},
		{codes: []int{30023, 30027}, outcome: channel.TryLater, consent: yes, untilDay: true},
		{codes: []int{14107, 30017, 30410, 30500}, outcome: channel.TryLater, consent: yes, wait: time.Minute},
		{codes: []int{30450}, outcome: channel.TryLater, consent: yes, wait: 30 * time.Minute},
		{codes: []int{30610}, outcome: channel.TryLater, consent: yes, wait: time.Hour},
		{codes: []int{30036}, outcome: channel.TryLater, consent: yes, wait: 5 * time.Second},
		{codes: []int{30008}, outcome: channel.TryLater, consent: yes, wait: 5 * time.Minute},
		{codes: []int{20003, 20404, 21212, 21222, 21224, 21603, 21606, 21608, 21659, 21660, 21661, 21701, 21703, 21705,
			30002, 30018, 30024, 30032, 30033, 30034, 30035}, outcome: channel.StopTheLine, consent: yes, stopped: true},
	}
}

// definite reports whether the person goes on to the next lane.
func (m meaning) definite() bool {
	return m.outcome != channel.TryLater && m.outcome != channel.StopTheLine
}

func (b *bundle) both() made { return b.make(human{phone: "new", email: "new"}) }

func bySMS(p *campaign.Patch) { p.Route = &[]channel.Lane{channel.LaneSMS, channel.LaneEmail} }

// means checks everything that follows from a code for one person; at is when it
// was told, and tries how many are on record for it.
func (b *bundle) means(m meaning, code int, c campaign.Campaign, who made, at time.Time) {
	b.t.Helper()
	got, attempts := b.of(c, who)
	if m.definite() {
		require.Equal(b.t, [2]string{"email", "accepted"}, [2]string{string(got.Lane), string(got.State)}, "%d: the next lane", code)
		require.Equal(b.t, []channel.Outcome{m.outcome, channel.Accepted}, outcomes(attempts), "%d", code)
		require.Equal(b.t, strconv.Itoa(code), attempts[0].Code)
	} else {
		require.Equal(b.t, [2]string{"sms", "pending"}, [2]string{string(got.Lane), string(got.State)}, "%d: it waits", code)
		until := at.Add(m.wait)
		if m.untilDay {
			pacific, err := time.LoadLocation("America/Los_Angeles")
			require.NoError(b.t, err)
			y, mo, d := at.In(pacific).Date()
			until = time.Date(y, mo, d+1, 0, 0, 0, 0, pacific)
		}
		if m.outcome == channel.TryLater {
			require.WithinDuration(b.t, until, *got.NotBefore, 2*time.Second, "%d: until then", code)
		}
	}
	var reasons []string
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT s.reason FROM suppressions s JOIN contacts c ON c.phone_hash = s.hash AND s.channel = 'sms' WHERE c.id = ?", who.id).Scan(&reasons).Error)
	want := []string(nil)
	if m.suppressed != "" {
		want = []string{m.suppressed}
	}
	require.Equal(b.t, want, reasons, "%d: suppression", code)
	var misses int64
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT COUNT(*) FROM misses m JOIN contacts c ON c.phone_hash = m.hash AND m.channel = 'sms' WHERE c.id = ?", who.id).Scan(&misses).Error)
	require.Equal(b.t, m.missed, misses == 1, "%d: a miss, told once or twice", code)
	person, err := b.contacts.Get(b.t.Context(), who.id)
	require.NoError(b.t, err)
	require.Equal(b.t, m.consent, person.SMSConsent.Status, "%d: consent", code)
	b.smsLine(m, code)
}

// smsLine checks whether the sender is stopped or slowed, and makes it well again.
func (b *bundle) smsLine(m meaning, code int) {
	b.t.Helper()
	stopped, err := b.lines.Stopped(b.t.Context(), "sms")
	require.NoError(b.t, err)
	require.Equal(b.t, m.stopped, len(stopped) == 1, "%d: stopped", code)
	if m.stopped {
		require.Equal(b.t, strconv.Itoa(code), stopped[0].Code)
	}
	var slowed int64
	require.NoError(b.t, b.d.Read(b.t.Context()).Raw("SELECT COUNT(*) FROM lines WHERE sender = 'sms' AND share < 100").Scan(&slowed).Error)
	require.Equal(b.t, m.slowed, slowed == 1, "%d: slowed", code)
	b.resumed()
}

// callback has Twilio's word about a message heard as the program hears it.
func (b *bundle) callback(c campaign.Campaign, who made, status string, code int, from string) error {
	b.t.Helper()
	texts := b.sim.Texts(who.phone)
	return b.word(c, who, texts[len(texts)-1].SID, status, code, from)
}

func (b *bundle) word(c campaign.Campaign, who made, sid, status string, code int, from string) error {
	b.t.Helper()
	row, _ := b.of(c, who)
	r, err := sms.NewReceiver(sms.Settings{AuthToken: twilioAuth, Now: b.now})
	require.NoError(b.t, err)
	form := url.Values{"MessageSid": {sid}, "MessageStatus": {status}, "From": {from}, "To": {who.phone}}
	if code != 0 {
		form.Set("ErrorCode", strconv.Itoa(code))
	}
	events, err := r.Events(channel.Callback{URL: fmt.Sprintf("https://go.example.com/webhooks/twilio/status/%d", row.ID), Body: []byte(form.Encode())})
	require.NoError(b.t, err)
	if e := events[0]; e.Kind == channel.EventFailed {
		return b.engine.Late(b.t.Context(), channel.SMS, []dispatch.Word{{Delivery: e.Delivery, Address: e.Address, At: e.At, Result: e.Failure()}})
	}
	return b.d.Transact(b.t.Context(), func(tx *db.Tx) error {
		return b.ledger.Mark(tx, []delivery.Receipt{{Delivery: events[0].Delivery, Channel: channel.SMS, Kind: events[0].Kind, ProviderID: sid, At: b.now()}})
	})
}

const longCode = "+15005550006"

func TestEveryCodeOfTwilioHasItsEffectByCallback(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		people := map[int]made{}
		for _, m := range meanings() {
			for _, code := range m.codes {
				people[code] = b.both()
			}
		}
		c := b.draft(bySMS)
		b.sendOut(c)
		for _, m := range meanings() {
			for _, code := range m.codes {
				require.NoError(t, b.callback(c, people[code], "undelivered", code, longCode))
				require.NoError(t, b.callback(c, people[code], "failed", code, longCode), "once more changes nothing")
				require.NoError(t, b.callback(c, people[code], "failed", 0, longCode), "nor without the code")
				require.NoError(t, b.callback(c, people[code], "sent", 0, longCode), "nor what comes too late")
				at := b.now()
				if m.definite() {
					b.drain()
				}
				b.means(m, code, c, people[code], at)
			}
		}
		b.onceEach()
	})
}

func TestEveryCodeOfTwilioHasItsEffectAtOnce(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		people := map[int]made{}
		for _, m := range meanings() {
			for _, code := range m.codes {
				if code < 30000 && m.definite() {
					people[code] = b.both()
					if code == 21408 { // it closes the country for all
						people[code] = b.make(human{phone: "+4915112345678", email: "new"})
					}
					b.sim.Refuse(simulator.Twilio, people[code].phone, strconv.Itoa(code))
				}
			}
		}
		all := b.draft(bySMS)
		b.sendOut(all)
		for _, m := range meanings() {
			for _, code := range m.codes {
				if who, ok := people[code]; ok {
					b.means(m, code, all, who, b.now())
				}
			}
		}
		who := b.both()
		for _, m := range meanings() {
			for _, code := range m.codes {
				if code >= 30000 || m.definite() {
					continue
				}
				b.sim.Refuse(simulator.Twilio, who.phone, strconv.Itoa(code))
				c := b.draft(func(p *campaign.Patch) {
					bySMS(p)
					p.Audience = json.RawMessage(fmt.Sprintf(`{"field": "external_id", "op": "eq", "value": "x%d"}`, b.count))
				})
				b.start(c)
				b.drain()
				b.means(m, code, c, who, b.now())
				_, err := b.campaigns.Cancel(t.Context(), c.ID)
				require.NoError(t, err)
				b.drain()
			}
		}
		require.Empty(t, b.sim.Texts(who.phone))
	})
}

// Carriers tell of a STOP to a toll-free number by a code that means less elsewhere.
func TestBlockedIsAnOptOutOfATollFreeSender(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		who := b.both()
		c := b.draft(bySMS)
		b.sendOut(c)
		require.NoError(t, b.callback(c, who, "undelivered", 30004, "+18445550100"))
		b.drain()
		b.means(meaning{outcome: channel.OptedOut, suppressed: contact.ReasonStop, consent: contact.Unsubscribed}, 30004, c, who, b.now())
	})
}

// A text that was taken and failed for a passing reason was a try, and each may be
// billed: after some the person goes on to the next lane.
func TestWhatFailsAgainAndAgainIsNotTriedForEver(t *testing.T) {
	t.Parallel()
	for code, tries := range map[int]int{30008: 2, 30001: 3, 30500: 3, 30036: 3} {
		t.Run(strconv.Itoa(code), func(t *testing.T) {
			t.Parallel()
			dbtest.Each(t, func(t *testing.T, d *db.DB) {
				b := setup(t, d, options{})
				who := b.both()
				c := b.draft(bySMS)
				b.sendOut(c)
				var sids []string
				for n := 1; n <= tries; n++ {
					texts := b.sim.Texts(who.phone)
					require.Len(t, texts, n)
					sids = append(sids, texts[n-1].SID)
					for _, sid := range sids { // the words about earlier ones come again
						require.NoError(t, b.word(c, who, sid, "undelivered", code, longCode))
						require.NoError(t, b.word(c, who, sid, "sent", 0, longCode))
					}
					b.resumed()
					b.advance(11 * time.Minute)
					b.drain()
				}
				got, attempts := b.of(c, who)
				require.Equal(t, [2]string{"email", "accepted"}, [2]string{string(got.Lane), string(got.State)})
				require.Len(t, attempts, tries+1)
				for n, a := range attempts[:tries] {
					want := channel.TryLater
					if n == tries-1 {
						want = channel.Refused
					}
					require.Equal(t, [3]string{string(want), strconv.Itoa(code), sids[n]}, [3]string{string(a.Outcome), a.Code, a.ProviderID})
				}
				require.Len(t, b.sim.Texts(who.phone), tries)
			})
		})
	}
}

// A word about the first text says nothing about the second, whose answer was lost.
func TestALateWordAboutAnEarlierTextIsNotAboutTheLast(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		who := b.both()
		c := b.draft(bySMS)
		b.sendOut(c)
		first := b.sim.Texts(who.phone)[0].SID
		require.NoError(t, b.word(c, who, first, "undelivered", 30500, longCode))
		b.sim.SetFaults(simulator.Twilio, simulator.Faults{LostAnswerRate: 1})
		b.advance(2 * time.Minute)
		b.drain()
		for _, status := range []string{"sent", "undelivered", "failed"} {
			require.NoError(t, b.word(c, who, first, status, 30500, longCode))
			got, _ := b.of(c, who)
			require.Equal(t, [2]string{"unknown", ""}, [2]string{string(got.State), got.ProviderID}, status)
		}
		second := b.sim.Texts(who.phone)[1].SID
		require.NoError(t, b.word(c, who, second, "delivered", 0, longCode))
		got, _ := b.of(c, who)
		require.Equal(t, [2]string{"delivered", second}, [2]string{string(got.State), got.ProviderID})
		b.drain()
		require.Empty(t, b.sim.Mail(who.email))
	})
}

// The account may not send to a country: one call finds that out, and everybody
// else there goes on without one, until a person has looked after it.
func TestOneRefusalClosesACountryForTheCampaign(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{size: dispatch.Sizes{Page: 200, Batch: 200, Parallel: 1}})
		german := func(h human) made {
			b.count++
			h.phone = fmt.Sprintf("+4915112%06d", b.count)
			b.sim.Refuse(simulator.Twilio, h.phone, "21408")
			return b.make(h)
		}
		var abroad []made
		for range 140 {
			abroad = append(abroad, german(human{email: "new"}))
		}
		lonely := german(human{})
		home := b.both()
		c := b.draft(bySMS)
		r := b.sendOut(c)
		burned := b.sim.Counts()[simulator.Twilio].Refused["21408"]
		require.Positive(t, burned)
		require.LessOrEqual(t, burned, int64(32), "no more than were under way at once")
		require.Len(t, b.sim.Texts(home.phone), 1, "other countries go on")
		for _, who := range abroad {
			require.Len(t, b.sim.Mail(who.email), 1)
		}
		require.Equal(t, map[route.Reason]int{route.CountryClosed: 1}, r.Reasons)
		got, _ := b.of(c, lonely)
		require.Equal(t, string(route.CountryClosed), got.Reason)
		told := b.happened(event.CountryClosed)
		require.Len(t, told, 1)
		require.Equal(t, c.ID, told[0].Campaign)
		require.Equal(t, map[string]any{"country": "DE", "code": "21408"}, told[0].Data)
		stopped, err := b.lines.Stopped(t.Context(), "sms")
		require.NoError(t, err)
		require.Empty(t, stopped, "the sender is well")
		b.onceEach()
	})
}

func TestAResumedCampaignTriesClosedCountriesAgain(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		c := b.draft(bySMS)
		b.start(c)
		closed := func() (n int64) {
			require.NoError(t, d.Read(t.Context()).Raw("SELECT COUNT(*) FROM closed_countries WHERE campaign_id = ?", c.ID).Scan(&n).Error)
			return n
		}
		for range 2 {
			b.tx(func(tx *db.Tx) error {
				return b.campaigns.CloseCountries(tx, c.ID, []string{"FR", "DE", "FR"}, "21408")
			})
			require.EqualValues(t, 2, closed())
		}
		require.Len(t, b.happened(event.CountryClosed), 2)
		_, err := b.campaigns.Pause(t.Context(), c.ID)
		require.NoError(t, err)
		require.EqualValues(t, 2, closed())
		_, err = b.campaigns.Resume(t.Context(), c.ID)
		require.NoError(t, err)
		require.Zero(t, closed())
	})
}

// Carriers take a campaign's texts for unwanted ones: a person has to look at it.
func TestACampaignWhoseTextsAreFilteredIsPaused(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{size: dispatch.Sizes{Page: 500, Batch: 300, Parallel: 1}})
		people := make([]made, 100)
		for i := range people {
			people[i] = b.both()
		}
		c := b.draft(bySMS)
		b.start(c)
		b.drain()
		b.tx(func(tx *db.Tx) error { // somebody still waits
			return tx.Exec("UPDATE campaigns SET state = 'running', finished_at = NULL WHERE id = ?", c.ID).Error
		})
		for _, who := range people[:19] {
			require.NoError(t, b.callback(c, who, "undelivered", 30007, longCode))
			require.NoError(t, b.callback(c, who, "undelivered", 30007, longCode), "told twice, it counts once")
		}
		require.Equal(t, campaign.Running, b.state(c), "few say nothing")
		require.NoError(t, b.callback(c, people[19], "undelivered", 30007, longCode))
		require.Equal(t, campaign.Paused, b.state(c))
		told := b.happened(event.CampaignPaused)
		require.Len(t, told, 1)
		require.Equal(t, map[string]any{"reason": "filtered", "filtered": 20.0, "texts": 100.0}, told[0].Data)

		_, err := b.campaigns.Resume(t.Context(), c.ID)
		require.NoError(t, err)
		require.NoError(t, b.callback(c, people[20], "undelivered", 30007, longCode))
		require.Equal(t, campaign.Running, b.state(c), "the person has decided")
		for _, who := range people[21:40] {
			require.NoError(t, b.callback(c, who, "undelivered", 30007, longCode))
		}
		require.Equal(t, campaign.Paused, b.state(c), "but it goes on and on")
	})
}

func TestSomeFilteredTextsAmongManyPauseNothing(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		b := setup(t, d, options{})
		c := b.draft(bySMS)
		b.start(c)
		places := make([]delivery.Place, 400)
		for i := range places {
			places[i] = delivery.Place{Contact: uuid.New(), Lane: channel.LaneSMS}
		}
		b.tx(func(tx *db.Tx) error {
			if _, err := b.ledger.Write(tx, c.ID, places); err != nil {
				return err
			}
			return tx.Exec("UPDATE deliveries SET state = 'accepted' WHERE campaign_id = ?", c.ID).Error
		})
		b.tx(func(tx *db.Tx) error { return b.campaigns.Filtered(tx, c.ID, 39) })
		require.Equal(t, campaign.Running, b.state(c))
	})
}
