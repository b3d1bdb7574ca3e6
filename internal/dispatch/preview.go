package dispatch

import (
	"context"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"beckon/internal/campaign"
	"beckon/internal/channel"
	"beckon/internal/route"
)

// Preview is the split a campaign would make now, without sending. Messenger,
// LinkBack and Unreachable add up to Audience.
type Preview struct {
	Audience    int
	Messenger   int
	LinkBack    int
	Unreachable int
	Lanes       map[channel.Lane]int
	Reasons     map[route.Reason]int // of the unreachable
	SMS         SMSCost              // what the SMS lane would be billed for
	Unsayable   map[channel.Lane]int // people on a lane for whom its content cannot be rendered
	Held        Held
	Sample      campaign.Sample // one person of the audience; empty without people, as the next two
	LongestName campaign.Sample // somebody with the longest first name there is, and nothing else known
	Nameless    campaign.Sample // somebody of whom nothing is known
	longest     string
}

// SMSCost counts the texts of a preview, after they were rendered.
type SMSCost struct {
	Texts
	Longest   int              // segments of the longest
	Unicode   int              // texts outside the SMS alphabet
	Countries map[string]Texts // by where the number belongs; "" is nowhere
}

// Texts are a number of text messages and the segments that they take.
type Texts struct{ Messages, Segments int }

func (t *Texts) add(segments int) { t.Messages, t.Segments = t.Messages+1, t.Segments+segments }

func (c *SMSCost) add(country, text string, segments int) {
	c.Texts.add(segments)
	c.Longest = max(c.Longest, segments)
	if strings.ContainsFunc(text, func(r rune) bool { return channel.Septets(r) == 0 }) {
		c.Unicode++
	}
	of := c.Countries[country]
	of.add(segments)
	c.Countries[country] = of
}

// Held counts those who are not written to as soon as the campaign starts, for
// it is not the time where they are.
type Held struct {
	Total       int
	First, Last time.Time // when the first and the last of them are
	Late        int       // those for whom the deadline comes before that
}

func (h *Held) add(at, deadline time.Time) {
	if at.IsZero() {
		return
	}
	h.Total++
	if h.First.IsZero() || at.Before(h.First) {
		h.First = at
	}
	if at.After(h.Last) {
		h.Last = at
	}
	if !deadline.IsZero() && !at.Before(deadline) {
		h.Late++
	}
}

// exampleCode stands where a personal code will: as long as a real one.
const exampleCode = int64(1)

// Preview decides for everybody in the audience and renders what costs money.
func (e *Engine) Preview(ctx context.Context, c campaign.Campaign) (Preview, error) {
	out := Preview{Lanes: map[channel.Lane]int{}, Reasons: map[route.Reason]int{}, Unsayable: map[channel.Lane]int{}, SMS: SMSCost{Countries: map[string]Texts{}}}
	def, err := e.Campaigns.Define(c)
	if err != nil {
		return out, err
	}
	s, err := e.scopeOf(e.db.Read(ctx), def)
	if err != nil {
		return out, err
	}
	page, err := e.Pages.Sender(ctx, def.PageID)
	if err != nil {
		return out, err
	}
	where, args := def.Where("c", s.now, e.AskAgain)
	for after := uuid.Nil; ; {
		crowd, err := s.crowd(e.db.Read(ctx), audienceOf{where, args, after, uuid.Max, e.size.Page, true})
		if err != nil {
			return out, err
		}
		if len(crowd) == 0 {
			e.worst(&out, def, page.Name)
			return out, nil
		}
		after = crowd[len(crowd)-1].id
		if err := e.previewPage(ctx, &out, def, s, page.Name, crowd); err != nil {
			return out, err
		}
	}
}

func (e *Engine) previewPage(ctx context.Context, out *Preview, def *campaign.Definition, s scope, page string, crowd []person) error {
	start, opens := s.now, openings{}
	if begins := def.Begins(); begins.After(start) {
		start = begins
	}
	for i := range crowd {
		p := &crowd[i]
		d := route.Decide(p.reach, def.Route, s.now)
		r := p.who
		r.Delivery, r.To, r.Link, r.Unsubscribe = exampleCode, p.to(d.Lane), e.Link(exampleCode), e.Unsubscribe(exampleCode)
		if out.Audience == 0 {
			out.Sample = def.Sample(page, r)
		}
		out.Audience++
		if utf8.RuneCountInString(r.FirstName) > utf8.RuneCountInString(out.longest) {
			out.longest = r.FirstName
		}
		switch d.Lane.Kind() {
		case channel.Messenger:
			out.Messenger++
		case "":
			out.Unreachable++
			out.Reasons[d.Why()]++
			continue
		default:
			out.LinkBack++
		}
		out.Lanes[d.Lane]++
		out.Held.add(opens.of(def, d.Lane, start, p.zone), def.EndsAt)
		e.cost(out, def, page, d.Lane, r)
	}
	return ctx.Err()
}

// worst renders what the texts may come to.
func (e *Engine) worst(out *Preview, def *campaign.Definition, page string) {
	if out.Audience == 0 {
		return
	}
	r := campaign.Recipient{Delivery: exampleCode, Link: e.Link(exampleCode), Unsubscribe: e.Unsubscribe(exampleCode)}
	out.Nameless = def.Sample(page, r)
	r.FirstName = out.longest
	out.LongestName = def.Sample(page, r)
}

// cost renders a text message and counts its parts: they depend on the name in it.
func (e *Engine) cost(out *Preview, def *campaign.Definition, page string, lane channel.Lane, r campaign.Recipient) {
	b, refused := def.Compose(lane, page, []campaign.Recipient{r})
	if len(refused) > 0 {
		out.Unsayable[lane]++
		return
	}
	if lane == channel.LaneSMS {
		text := string(b.Messages[0].Body)
		out.SMS.add(e.Country(r.To), text, e.Segments(text))
	}
}
