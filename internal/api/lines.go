package api

import (
	"context"

	"beckon/internal/api/gen"
	"beckon/internal/line"
)

// ListLines serves GET /v1/lines.
func (s *Server) ListLines(ctx context.Context, r gen.ListLinesRequestObject) (gen.ListLinesResponseObject, error) {
	data, next, err := listed(r.Params.Cursor, r.Params.Limit,
		func(after string, n int) ([]line.Line, error) { return s.Lines.List(ctx, after, n) },
		func(l line.Line) string { return l.Sender }, senderAnswer)
	return gen.ListLines200JSONResponse{Data: data, NextCursor: next}, err
}

// ResumeLine serves POST /v1/lines/{sender}/resume.
func (s *Server) ResumeLine(ctx context.Context, r gen.ResumeLineRequestObject) (gen.ResumeLineResponseObject, error) {
	l, err := s.Lines.Resume(ctx, r.Sender)
	return gen.ResumeLine200JSONResponse(senderAnswer(l)), err
}

func senderAnswer(l line.Line) gen.Line {
	out := gen.Line{Sender: l.Sender, State: gen.LineStateOpen, Share: l.Share, SlowUntil: l.SlowUntil, RestUntil: l.RestUntil}
	if l.Pace > 0 {
		out.Pace = &l.Pace
	}
	switch {
	case l.StoppedAt != nil:
		stop := stoppedAnswer(l)
		out.State, out.Stop = gen.LineStateStopped, &gen.LineStop{Code: stop.Code, Detail: stop.Detail, Since: stop.Since, RetryAt: stop.RetryAt}
	case l.RestUntil != nil:
		out.State = gen.LineStateResting
	case l.Share < 100:
		out.State = gen.LineStateSlowed
	}
	return out
}
