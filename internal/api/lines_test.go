package api

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"beckon/internal/api/gen"
	"beckon/internal/channel"
	"beckon/internal/db"
)

// stopSMS sends a campaign whose text messages meet a sender that must stop.
func (s *service) stopSMS() gen.Campaign {
	s.t.Helper()
	town := s.newTown()
	s.carriers[channel.SMS].outcome = func(channel.Message) channel.Result {
		return channel.Result{Outcome: channel.StopTheLine, Code: "20003", Detail: "bad credentials"}
	}
	c := s.newCampaign(town.page, "")
	ask[gen.Campaign](s, 202, "POST", "/v1/campaigns/"+c.ID.String()+"/start", "")
	require.NoError(s.t, s.queue.Drain(s.t.Context(), time.Now()))
	s.carriers[channel.SMS].outcome = nil
	return c
}

func TestAStoppedSenderIsResumedByOneCall(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		c := s.stopSMS()
		texts := func() map[string]int64 {
			return ask[gen.Report](s, 200, "GET", "/v1/campaigns/"+c.ID.String()+"/report", "").Lanes["sms"].States
		}
		tried := len(s.carriers[channel.SMS].sent)
		s.clock.Pass(time.Hour)
		s.work()
		require.Len(t, s.carriers[channel.SMS].sent, tried, "nothing more is burned")
		require.EqualValues(t, 2, texts()["pending"])
		list := ask[gen.LineList](s, 200, "GET", "/v1/lines?limit=200", "").Data
		require.Equal(t, gen.LineStateStopped, list[2].State)
		require.Equal(t, "bad credentials", list[2].Stop.Detail)
		require.Nil(t, list[2].Stop.RetryAt)
		require.Equal(t, gen.LineStateOpen, list[1].State)

		l := ask[gen.Line](s, 200, "POST", "/v1/lines/sms/resume", "")
		require.Equal(t, gen.LineStateOpen, l.State)
		require.Nil(t, l.Stop)
		require.Equal(t, l, ask[gen.Line](s, 200, "POST", "/v1/lines/sms/resume", ""), "again changes nothing")
		require.NoError(t, s.queue.Drain(t.Context(), time.Now().Add(2*time.Hour)))
		require.EqualValues(t, 2, texts()["accepted"])
		require.Empty(t, ask[gen.Report](s, 200, "GET", "/v1/campaigns/"+c.ID.String()+"/report", "").Stopped)
	})
}

func TestResumingASenderThatIsNotThere(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		for _, sender := range []string{"fax", "messenger:" + uuid.NewString(), "messenger:x", "%00"} {
			w := s.do(call{Method: http.MethodPost, Path: "/v1/lines/" + sender + "/resume"})
			require.Contains(t, []int{400, 404}, w.Code, "%s: %s", sender, w.Body)
		}
	})
}

func TestANewAccessTokenResumesThePage(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		p := s.newTown().page
		name := channel.Window.Line(p.ID.String())
		require.NoError(t, s.db.Transact(t.Context(), func(tx *db.Tx) error {
			return s.parts.Lines.Note(tx, channel.Grant{Line: name}, uuid.Nil, channel.Tally{Tried: 1, Stop: &channel.Result{Code: "190", Detail: "not valid"}})
		}))
		state := func() gen.LineState { return ask[gen.LineList](s, 200, "GET", "/v1/lines", "").Data[1].State }
		require.Equal(t, gen.LineStateStopped, state())
		ask[gen.Page](s, 200, "PATCH", "/v1/pages/"+p.ID.String(), `{"access_token":"EAAB-fresh"}`)
		require.Equal(t, gen.LineStateOpen, state())
		s.clock.Pass(time.Minute)
		events := ask[gen.EventList](s, 200, "GET", "/v1/events?type=line.resumed", "").Data
		require.Len(t, events, 1)
		require.Equal(t, p.ID, *events[0].PageID)
		require.Equal(t, map[string]any{"sender": name, "by": "token"}, events[0].Data)
	})
}

func TestEventsArePulledInOrderByCursor(t *testing.T) {
	t.Parallel()
	eachService(t, func(t *testing.T, s *service) {
		require.Nil(t, ask[gen.EventList](s, 200, "GET", "/v1/events", "").NextCursor)
		c := s.stopSMS()
		s.clock.Pass(time.Second)
		ask[gen.Line](s, 200, "POST", "/v1/lines/sms/resume", "")
		require.Empty(t, ask[gen.EventList](s, 200, "GET", "/v1/events?type=line.stopped", "").Data, "it may not be the first yet")
		s.clock.Pass(11 * time.Second)
		stopped := ask[gen.EventList](s, 200, "GET", "/v1/events?type=line.stopped", "")
		require.Len(t, stopped.Data, 1)
		require.Equal(t, c.ID, *stopped.Data[0].CampaignID)
		require.Equal(t, map[string]any{"sender": "sms", "code": "20003", "detail": "bad credentials"}, stopped.Data[0].Data)
		after := "/v1/events?type=line.resumed&limit=1&cursor=" + *stopped.NextCursor
		resumed := ask[gen.EventList](s, 200, "GET", after, "")
		require.Len(t, resumed.Data, 1)
		end := ask[gen.EventList](s, 200, "GET", "/v1/events?type=line.resumed&cursor="+*resumed.NextCursor, "")
		require.Empty(t, end.Data)
		require.Equal(t, resumed.NextCursor, end.NextCursor, "there to go on from")
		s.refused(422, "invalid_fields", call{Method: "GET", Path: "/v1/events?type=nothing"})
		s.refused(422, "invalid_fields", call{Method: "GET", Path: "/v1/events?cursor=MXt9"})
	})
}
