# What a developer needs, each one command. `make` lists them.
GO ?= go
LINT = $(GO) tool -modfile=tools/lint/go.mod golangci-lint
# The embedded database is pure Go; only the race detector needs a C compiler.
export CGO_ENABLED ?= 0

# SQLite is C turned into Go: what the race detector could find there is not ours,
# and it would take most of the time.
UNWATCHED = modernc.org/...=-race=false -d=checkptr=0

.DEFAULT_GOAL := help
.PHONY: help screens demo build test lint tidy generate check bench scale chaos fuzz oracle order postgres

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

demo: ## see a campaign go out, against stand-in providers
	$(GO) run ./cmd/beckon demo

build: ## make the program: ./beckon
	$(GO) build -trimpath -ldflags='-s -w' -o beckon ./cmd/beckon

test: postgres ## run every test on both databases, with the race detector
	CGO_ENABLED=1 $(GO) run ./internal/db/dbtest/withpostgres $(GO) test -race -gcflags='$(UNWATCHED)' -timeout 15m ./...

postgres: # the tests need the server programs of PostgreSQL and PgBouncer
	@sh .ci/postgres

EVENTS ?= 10000
order: postgres ## shuffle and repeat a day of webhook events, on both databases: the same rows
	$(GO) run ./internal/db/dbtest/withpostgres $(GO) test -count=1 -timeout 30m -v -run TestEveryOrderOfEvents ./internal/webhook -events $(EVENTS)

lint: ## check the code's style
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { echo 'gofmt would change:'; gofmt -l $$(git ls-files '*.go'); exit 1; }
	$(LINT) run

tidy: ## bring go.mod in order
	$(GO) mod tidy

generate: ## make the generated code again
	$(GO) generate ./...

check: ## is everything generated and tidy that should be?
	$(GO) mod tidy -diff
	$(GO) generate ./...
	git diff --exit-code -- '*.go'

bench: postgres ## measure imports, planning and sending, on both databases
	$(GO) build -o ./bin/beckon ./cmd/beckon
	$(GO) build -o ./bin/bench ./cmd/bench
	$(GO) run ./internal/db/dbtest/withpostgres -durable ./bin/bench -beckon ./bin/beckon $(BENCH)
	@$(GO) run ./internal/db/dbtest/withpostgres $(GO) test -count=1 -v -run TestABatchCostsAFixedNumberOfStatements ./internal/dispatch | grep 'statements per batch'

scale: postgres ## measure what a message costs beside ten million others, for docs/scaling.md
	$(GO) build -o ./bin/beckon ./cmd/beckon
	$(GO) build -o ./bin/bench ./cmd/bench
	$(GO) run ./internal/db/dbtest/withpostgres -durable ./bin/bench -beckon ./bin/beckon -limit 60m -rows 10000000 $(SCALE)

chaos: postgres ## kill nodes, stop the database, fill the disk; count who got what
	$(GO) build -o ./bin/beckon ./cmd/beckon
	$(GO) build -o ./bin/chaos ./cmd/chaos
	$(GO) run ./internal/db/dbtest/withpostgres -durable ./bin/chaos -beckon ./bin/beckon $(CHAOS)

oracle: ## compare our count of SMS segments with Twilio's own calculator (needs Node.js)
	@GO='$(GO)' sh .ci/oracle $(ORACLE)

screens: ## take pictures of e-mails and public pages, in ./screens (needs Chromium)
	$(GO) test -tags screens -count=1 -run '^TestScreens$$' ./cmd/beckon -screens '$(CURDIR)/screens'
	@echo 'Look at screens/index.html'

fuzz: ## try what strangers may write, a minute on each target (FUZZ=10s: shorter)
	@GO='$(GO)' sh .ci/fuzz $(FUZZ)
