# Tools come from the Go module proxy, pinned here; nothing but Go, and Docker for the integration tests, is needed.
GOLANGCI_LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOTESTSUM     = go run gotest.tools/gotestsum@v1.13.0
GOVULNCHECK   = go run golang.org/x/vuln/cmd/govulncheck@v1.9.0
VULNDB        = https://vuln.go.dev

TAGS    = integration,mutants,compose,jdbc
P       ?= 2
KILLS   ?= 60
HISTORIES ?= 100000
SEED    ?= 0
IMAGE   ?= millrace:dev
FUZZTIME ?= 30s
# One line a package, then the failures again, what was skipped, and one closing line.
# A test that fails is run once more, and both runs are told: one that passes then is a fault to be found, but does
# not stop others. No second run after a data race, a panic (as of a broken promise), a failed build or four failures.
TESTSUM = $(GOTESTSUM) --format standard-quiet --packages ./... --rerun-fails=1 --rerun-fails-max-failures=3 \
	--rerun-fails-abort-on-data-race

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: check
check: fmt-check tidy-check vet lint race vuln ## all that must pass before a commit: format, go.mod, vet, lint, tests without Docker with the race detector, known vulnerabilities

.PHONY: test
test: ## all tests: unit, embedded servers and, where there is Docker, real Kafka and MySQL (P=2 packages at once)
	$(TESTSUM) -- -tags integration -p $(P) -timeout 45m

.PHONY: race
race: ## the tests that need no Docker, with the race detector
	$(TESTSUM) -- -race -p $(P) -timeout 20m

.PHONY: vet
vet: ## go vet, of the files behind build tags too
	go vet ./...
	go vet -tags $(TAGS) ./...

.PHONY: lint
lint: ## golangci-lint; .golangci.yaml gives the reasons
	$(GOLANGCI_LINT) run --allow-parallel-runners ./...

.PHONY: fmt
fmt: ## format the code
	gofmt -w $$(git ls-files '*.go')

.PHONY: fmt-check
fmt-check:
	@files=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$files" ]; then echo "not formatted (make fmt):"; echo "$$files"; exit 1; fi

.PHONY: tidy-check
tidy-check:
	go mod tidy -diff

.PHONY: vuln
vuln: ## known vulnerabilities of what is linked, if their database can be reached
	@if curl -fsS -m 10 -o /dev/null $(VULNDB)/index/db.json 2>/dev/null; then \
		$(GOVULNCHECK) ./...; \
	else \
		echo "govulncheck: not run, its database $(VULNDB) cannot be reached from here"; \
	fi

.PHONY: demo
demo: ## run the demonstration, on embedded servers
	go run ./cmd/millrace demo

.PHONY: screens
screens: ## draw docs/demo.svg and docs/init.svg, for README.md, from what the program prints
	go run ./docs/screens

.PHONY: build
build: ## the four binaries, in bin/
	CGO_ENABLED=0 go build -trimpath -o bin/ ./cmd/...

.PHONY: bench
bench: ## every stage and the whole against the limit measured in the same run, on real servers; BENCH='-only sink -runs 5'
	docker compose -p millrace-bench -f bench/docker-compose.yml up -d
	go run ./bench $(BENCH); status=$$?; docker compose -p millrace-bench -f bench/docker-compose.yml down -v; exit $$status

.PHONY: chaos
chaos: ## the kill tests with KILLS=60 kills, the broker and mysqld among them; SEED=0 draws a seed and prints it
	go test -tags integration -timeout 12h -count=1 -v -run '^(TestKill|TestKillShapes|TestSwapUnderKills)$$' ./e2e -kill-servers -kills $(KILLS) -seed $(SEED)

.PHONY: histories
histories: ## HISTORIES=100000 random histories of a stream, its redos, lines and swaps, against a plain model
	go test -timeout 12h -count=1 -v -run '^TestHistories$$' ./sink -histories $(HISTORIES)

.PHONY: forge
forge: ## the test against a Git forge: builds Gitea, which takes minutes, and keeps it for make test
	MILLRACE_BUILD_FORGE=1 go test -tags integration -timeout 30m -count=1 -v -run '^TestGitForge$$' ./e2e/foreign

.PHONY: jdbc
jdbc: ## the test of swaps under the eyes of a Java program, with a JDK and Maven, which fetches its driver and pool
	go test -tags integration,jdbc -timeout 30m -count=1 -v -run '^TestSwapReadByJDBC$$' ./e2e

.PHONY: faults
faults: ## the test of a MySQL that is read-only, full, locked, without a table or rights; SEED=0 draws a seed and prints it
	go test -tags integration -timeout 15m -count=1 -v -run '^TestDatabaseFaults$$' ./e2e -seed $(SEED)

.PHONY: mutants
mutants: ## kill and zombie tests with one mechanism after the other edited out (go build -overlay): each must turn red
	go test -tags integration,mutants -timeout 60m -count=1 -v -run '^(TestMutants|TestFencingMutant)$$' ./e2e -seed $(SEED)
	go test -tags mutants -timeout 40m -count=1 -v -run '^(TestRedoMutants|TestDecisionsMutants|TestSwapsMutants|TestRepairsMutants)$$' ./e2e/mutants

.PHONY: fuzz
fuzz: ## every fuzz test for FUZZTIME=30s
	@for pkg in $$(go list ./...); do \
		for f in $$(go test -list '^Fuzz' $$pkg | grep '^Fuzz'); do \
			go test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg || exit 1; \
		done; \
	done

.PHONY: image
image: ## a container image with the four binaries
	docker build -t $(IMAGE) .

.PHONY: compose-test
compose-test: ## docker compose up: compare the table with the API, kill one process of each stage, scale, compare again
	go test -tags compose -timeout 30m -count=1 -v ./e2e/compose
