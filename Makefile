# What a developer types. `make help` lists it.

SHELL       := /bin/bash
GO          ?= go
TESTFLAGS   ?= -short -parallel 4
DEMOFLAGS   ?=
FUZZTIME    ?= 3s
BENCHTIME   ?= 1s
BUILDER     ?= docker build

# The packages whose tests take long begin first, and one more than there are cores at
# a time: much of it is waiting for servers.
PACKAGES = -p $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )) ./loader ./internal/cli ./internal/localpg ./...

# Programs that a debugger does not read link in two thirds of the time.
LDFLAGS = -ldflags=-w

# The output of what failed, a line a package, and at the end what was skipped and why.
GOTESTSUM = $(GO) tool gotestsum --format pkgname-and-test-fails --format-icons text --format-hide-empty-pkg --jsonfile bin/tests.jsonl

# PG=17 runs it all on that version of PostgreSQL; without it SHARDLOAD_PG_BIN names the
# directory of a server's programs, or it is the first that is found.
ifneq ($(PG),)
SHARDLOAD_PG_BIN := $(shell scripts/ensure-postgres $(PG))
ifeq ($(SHARDLOAD_PG_BIN),)
$(error PostgreSQL $(PG) is not here)
endif
export SHARDLOAD_PG_BIN
endif

.DEFAULT_GOAL := help

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build ./bin/shardload
	$(GO) build -buildvcs=auto -o bin/ ./cmd/shardload

demo: build postgres ## load a million rows into a private cluster and show how it went (DEMOFLAGS=--ads=…)
	./bin/shardload demo $(DEMOFLAGS)

test: postgres ## run the tests, and say at the end what was skipped and why (PG=17: on that version)
	@mkdir -p bin
	$(GOTESTSUM) -- $(LDFLAGS) -timeout 40m $(TESTFLAGS) $(PACKAGES)

test-all: postgres ## run each case of each test, on each route
	$(MAKE) test TESTFLAGS=

race: postgres ## run the tests under the race detector
	@mkdir -p bin
	$(GOTESTSUM) -- -race -timeout 40m $(TESTFLAGS) $(PACKAGES)

slowest: ## list the tests of the last make test, or race, that took longest
	@$(GO) tool gotestsum tool slowest --num 30 --jsonfile bin/tests.jsonl

# Not asked of gosec: that no path comes from outside (G304: a loader reads what it is told
# to), modes (G301, G302: the umask decides about a user's data), and what Go 1.22 has made
# impossible (G601).
lint: ## gofumpt, go vet, staticcheck, errcheck, unparam, gosec (go.mod pins them)
	@unformatted=$$($(GO) tool gofumpt -l .) && { [ -z "$$unformatted" ] || { echo "go tool gofumpt -w would change:"; echo "$$unformatted"; exit 1; }; }
	$(GO) mod tidy -diff
	$(GO) vet ./...
	$(MAKE) --no-print-directory --output-sync=target -j 2 lint-security lint-style

# gosec takes as long as all others together, on one core.
lint-security:
	$(GO) tool gosec -quiet -exclude=G301,G302,G304,G601 ./...

lint-style:
	$(GO) tool staticcheck ./...
	$(GO) tool errcheck -ignoretests ./...
	$(GO) tool unparam ./...

licenses: ## write the licences of what is linked into the program anew
	$(GO) test ./internal/notices -update

fuzz: ## fuzz each target for FUZZTIME (3s)
	GO=$(GO) scripts/fuzz $(FUZZTIME)

bench: postgres ## run the Go benchmarks (BENCHTIME=1s)
	$(GO) test -run '^$$' -bench . -benchtime $(BENCHTIME) ./...

dist: ## make archives, .deb, .rpm, checksums and SBOMs of this commit in ./dist
	scripts/dist

image: ## make the container image shardload with BUILDER (docker build)
	scripts/image-root bin/image
	CGO_ENABLED=0 GOOS=linux $(GO) build -trimpath -buildvcs=auto -ldflags '-s -w' -o bin/image/usr/bin/ ./cmd/shardload
	$(BUILDER) -f Containerfile -t shardload .

clean: ## remove what the other targets made
	rm -rf bin dist

# Not listed: the targets that need servers ask for it.
postgres:
	@scripts/ensure-postgres

.PHONY: help build demo test test-all race slowest lint lint-security lint-style licenses fuzz bench dist image clean postgres
