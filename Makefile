# make test   everything CI runs: formatting, vet, staticcheck, the tests with the race detector
# make bench  the benchmarks beside their peers, as ratios
# make demo   the main job on a simulated rack

GO ?= go
STATICCHECK = $(GO) -C internal/tools tool -n staticcheck

.PHONY: test tools fmt vet staticcheck unit nocgo bench demo

test: tools fmt vet staticcheck nocgo unit

# The race detector needs cgo, so a C compiler. On Debian as root it is installed; elsewhere
# what is missing is named.
tools:
	@.ci/install gcc=gcc,libc6-dev

fmt:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt-clean: $$unformatted"; exit 1; }

vet:
	$(GO) vet ./...
	cd internal/bench && $(GO) vet ./...

staticcheck:
	"$$($(STATICCHECK))" ./...

nocgo:
	CGO_ENABLED=0 $(GO) build ./...

unit:
	$(GO) test -race -shuffle=on ./...
	cd internal/bench && $(GO) test ./...

bench:
	cd internal/bench && $(GO) run .

demo:
	$(GO) run ./cmd/crowbar demo
