package api

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/labstack/echo/v4"

	"beckon/internal/budget"
	"beckon/internal/campaign"
	"beckon/internal/capture"
	"beckon/internal/channel"
	"beckon/internal/contact"
	"beckon/internal/db"
	"beckon/internal/delivery"
	"beckon/internal/dispatch"
	"beckon/internal/event"
	"beckon/internal/health"
	"beckon/internal/line"
	"beckon/internal/link"
	"beckon/internal/loop"
	"beckon/internal/optout"
	"beckon/internal/page"
	"beckon/internal/privacy"
	"beckon/internal/seal"
	"beckon/internal/selftest"
	"beckon/internal/thread"
	"beckon/internal/timeline"
	"beckon/internal/token"
	"beckon/internal/utility"
	"beckon/internal/webhook"
)

// Parts is what the HTTP face stands on.
type Parts struct {
	Contract    *Contract // of openapi.yaml
	DB          *db.DB
	Box         *seal.Box
	Keys        *Keys
	Answers     *Idempotency // nil makes one over DB and Box, which nobody purges
	Log         *slog.Logger
	Now         func() time.Time
	ImportLimit int64 // the largest import body, in bytes

	Contacts  *contact.Store
	Pages     *page.Store
	Health    *health.Service
	Tokens    *token.Store
	Recurring *token.Recurring
	Templates *utility.Service
	OptIns    *token.Service
	SelfTests *selftest.Service
	Campaigns *campaign.Service
	Engine    *dispatch.Engine
	Ledger    *delivery.Store
	Lines     *line.Store
	Budgets   *budget.Store
	Events    *event.Store
	Loop      *loop.Loop
	Captures  *capture.Service
	Inbox     *webhook.Inbox
	OptOuts   *optout.Service
	Timelines *timeline.Store
	Threads   *thread.Service
	Privacy   *privacy.Service
	Clicks    *delivery.Clicks

	Links, Unsubscribes link.Coder
	// MetaVerify answers Meta's check of the webhook address; nil without
	// Messenger.
	MetaVerify func(mode, token, challenge string) (string, error)
	// Upload has Meta keep a file for a Page; nil without Messenger.
	Upload    func(ctx context.Context, page channel.Page, kind, address string) (id string, r channel.Result)
	SMSHelp   string // what who texts HELP is answered; "" leaves it to Twilio
	PublicURL string // where providers call us, without a slash at the end
	// Waiting says in a sentence what the program waits for before it is ready;
	// "" is nothing. It may be nil.
	Waiting func() string
}

// router returns Echo with everything that holds for all operations, and those
// that need no domain.
func router(p Parts, contract *Contract) *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.Binder = binder{}
	e.HTTPErrorHandler = problems(p.Log)
	e.Use(
		requestIDs(),
		accessLog(p.Log),
		recoverPanics(),
		headers(),
		exactPaths(),
		limitBodies(contract, p.ImportLimit),
		authorize(contract, p.Keys),
		contentTypes(contract),
		validate(contract),
		p.Answers.once(contract, p.Log),
	)
	probes(e, p.DB, p.Waiting)
	e.GET("/openapi.yaml", func(c echo.Context) error {
		return c.Blob(http.StatusOK, "application/yaml", p.Contract.text)
	})
	docs(e)
	return e
}
