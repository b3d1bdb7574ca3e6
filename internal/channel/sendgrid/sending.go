package sendgrid

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"beckon/internal/channel"
	"beckon/internal/channel/email"
)

// maxRounds bounds how often a request is repeated without the recipients that
// SendGrid refused.
const maxRounds = 20

// maxSubstitutions is what SendGrid takes as substitutions for one recipient,
// in bytes of all keys and values.
const maxSubstitutions = 10_000

// sending is one Send under way.
type sending struct {
	client  *Client
	batch   *channel.Batch
	results []channel.Result
	stopped bool
}

// run sorts the messages by how they can go, and sends them.
func (s *sending) run(ctx context.Context) {
	var together []int
	var requests []request
	for i := range s.batch.Messages {
		m := &s.batch.Messages[i]
		switch {
		case len(m.Fill) != len(s.batch.Mail.Holes):
			s.results[i] = channel.Result{Outcome: channel.Refused, Detail: "the values do not fit the holes of the mail"}
		case !writable(email.Headers(s.batch, m, s.client.domain)):
			s.results[i] = channel.Result{Outcome: channel.Refused, Detail: "a header of the mail has letters that no header can have, or too many"}
		case substitutionSize(s.batch.Mail.Holes, m.Fill) > maxSubstitutions, nested(s.batch.Mail.Holes, m.Fill):
			requests = append(requests, request{at: []int{i}, alone: true})
		default:
			together = append(together, i)
		}
	}
	for part := range slices.Chunk(together, maxBatch) {
		requests = append(requests, request{at: part})
	}
	slices.SortFunc(requests, func(a, b request) int { return a.at[0] - b.at[0] })
	for _, r := range requests {
		mail := s.batch.Mail
		if r.alone {
			mail = email.Fill(mail, s.batch.Messages[r.at[0]].Fill)
		}
		s.send(ctx, mail, r.at)
	}
}

// request is for the messages at the given places, or for one alone whose
// values are written into the mail.
type request struct {
	at    []int
	alone bool
}

// send hands over the messages at the given places until SendGrid takes or
// refuses them all.
func (s *sending) send(ctx context.Context, m channel.Mail, at []int) {
	for range maxRounds {
		switch {
		case len(at) == 0:
			return
		case s.stopped || !s.batch.Await(ctx, at[0]):
			s.hold(ctx, at)
			return
		}
		if at = s.spare(at); len(at) == 0 {
			return
		}
		a := s.client.post(ctx, s.client.body(s.batch, m, at))
		wrong := a.named(len(at))
		if len(wrong) == 0 {
			s.finish(ctx, m, at, a)
			return
		}
		at = s.leaveOut(at, wrong)
	}
	s.settle(at, channel.Result{Outcome: channel.TryLater, Detail: "not sent: too many recipients of the request are wrong"})
}

// finish settles an answer that blames nobody in particular.
func (s *sending) finish(ctx context.Context, m channel.Mail, at []int, a answer) {
	if a.status == http.StatusRequestEntityTooLarge && len(at) > 1 {
		half := len(at) / 2
		s.send(ctx, m, at[:half])
		s.send(ctx, m, at[half:])
		return
	}
	r := a.result()
	s.stopped = r.Outcome == channel.StopTheLine
	s.settle(at, r)
}

// hold settles what is not handed over; nothing after it is either.
func (s *sending) hold(ctx context.Context, at []int) {
	s.stopped = true
	if ctx.Err() != nil {
		s.settle(at, cancelled)
		return
	}
	s.settle(at, held)
}

// spare settles those who refused in the meantime and returns the others.
func (s *sending) spare(at []int) []int {
	var rest []int
	for _, i := range at {
		if s.batch.Silent(i) {
			s.results[i] = channel.LeftOut()
			continue
		}
		rest = append(rest, i)
	}
	return rest
}

func (s *sending) settle(at []int, r channel.Result) {
	for _, i := range at {
		s.results[i] = r
	}
}

// leaveOut settles the recipients that are wrong and returns the others.
func (s *sending) leaveOut(at []int, wrong map[int]channel.Result) []int {
	var rest []int
	for place, i := range at {
		if r, ok := wrong[place]; ok {
			s.results[i] = r
			continue
		}
		rest = append(rest, i)
	}
	return rest
}

func substitutionSize(holes, fill []string) int {
	n := 0
	for i := range holes {
		n += len(holes[i]) + len(fill[i])
	}
	return n
}

// nested reports whether a value looks like a hole itself: SendGrid fills those
// too, several times over.
func nested(holes, fill []string) bool {
	for _, value := range fill {
		for _, hole := range holes {
			if strings.Contains(value, hole) {
				return true
			}
		}
	}
	return false
}

// maxHeader is how long a line of a mail's head may be (RFC 5322, 2.1.1).
const maxHeader = 998

// writable reports whether headers are lines of printable ASCII: one that is not
// would make SendGrid refuse the whole request, or be read as two.
func writable(headers []email.Header) bool {
	for _, h := range headers {
		if len(h.Name)+len(": ")+len(h.Value) > maxHeader || strings.ContainsFunc(h.Value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return false
		}
	}
	return true
}
