# What a developer types. `make help` lists it.

SHELL       := /bin/bash
GO          ?= go
TESTFLAGS   ?=
DEMOFLAGS   ?=
FUZZTIME    ?= 3s
BENCHTIME   ?= 1s

# The packages whose tests take long begin first, and one more than there are cores at
# a time: much of it is waiting for servers.
PACKAGES = -p $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) ./loader ./internal/cli ./internal/localpg ./...

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build ./bin/shardload
	$(GO) build -trimpath -o bin/ ./cmd/shardload

demo: build postgres ## load a million rows into a private cluster and show how it went (DEMOFLAGS=--ads=…)
	./bin/shardload demo $(DEMOFLAGS)

test: postgres ## run the tests, and say at the end what was skipped and why (TESTFLAGS=-short)
	$(GO) run ./internal/gotest -timeout 20m $(TESTFLAGS) $(PACKAGES)

race: postgres ## run the tests under the race detector (TESTFLAGS=-short)
	$(GO) run ./internal/gotest -race -timeout 20m $(TESTFLAGS) $(PACKAGES)

lint: ## gofmt, go vet, staticcheck (go.mod pins it)
	@unformatted=$$(gofmt -l .) && { [ -z "$$unformatted" ] || { echo "gofmt -w would change:"; echo "$$unformatted"; exit 1; }; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

fuzz: ## fuzz each target for FUZZTIME (3s)
	GO=$(GO) scripts/fuzz $(FUZZTIME)

bench: postgres ## run the Go benchmarks (BENCHTIME=1s)
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) ./...

clean: ## remove what the other targets made
	rm -rf bin dist

# Not listed: the targets that need servers ask for it.
postgres:
	@scripts/ensure-postgres

.PHONY: help build demo test race lint fuzz bench clean postgres
