# make test   everything CI runs: formatting, vet, staticcheck, the tests with the race detector
# make test-ceph  the part of it about Ceph, on a real cluster that it starts
# make bench  the benchmarks beside their peers, as ratios; those of Ceph where it is installed
# make bench-ceph  only those of Ceph, on a real cluster that they start
# make ceph-up a Ceph cluster on this machine to try crowbar volume against, until interrupted
# make demo   the main job on a simulated rack

GO ?= go
STATICCHECK = $(GO) -C $(CURDIR)/internal/tools tool -n staticcheck

.PHONY: test test-ceph tools fmt vet staticcheck unit nocgo bench bench-ceph ceph-up demo

test: tools fmt vet staticcheck nocgo unit test-ceph

# The race detector needs cgo, so a C compiler. On Debian as root it is installed; elsewhere
# what is missing is named.
tools:
	@.ci/install gcc=gcc,libc6-dev

fmt:
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not gofmt-clean: $$unformatted"; exit 1; }

# Modules of their own.
NESTED = internal/bench internal/bench/bmclib

vet:
	$(GO) vet ./...
	set -e; for module in $(NESTED); do $(GO) -C $$module vet ./...; done

staticcheck:
	"$$($(STATICCHECK))" ./...
	set -e; for module in $(NESTED); do (cd $$module && "$$($(STATICCHECK))" ./...); done

nocgo:
	CGO_ENABLED=0 $(GO) build ./...

# The longest package takes 3 minutes on 2 idle cores, and 5 on busy ones.
unit:
	$(GO) test -race -shuffle=on -timeout 20m ./...
	$(GO) -C internal/bench test ./...

# What needs librbd is behind the tag ceph; go-ceph wants to know an old librbd by its release.
CEPH_TAGS ?= ceph,pacific

CEPH_NEEDS = gcc=gcc,libc6-dev /usr/include/rbd/librbd.h=librbd-dev,librados-dev \
	ceph-mon=ceph-mon ceph-mgr=ceph-mgr ceph-osd=ceph-osd rbd=ceph-common

test-ceph:
	@.ci/install $(CEPH_NEEDS)
	$(GO) vet -tags $(CEPH_TAGS) ./storage/rbd/...
	$(GO) -C internal/bench vet -tags $(CEPH_TAGS) ./...
	"$$($(STATICCHECK))" -tags $(CEPH_TAGS) ./storage/rbd/...
	cd internal/bench && "$$($(STATICCHECK))" -tags $(CEPH_TAGS) ./...
	CROWBAR_TEST_CEPH=require $(GO) test -race -shuffle=on -timeout 20m -tags $(CEPH_TAGS) ./storage/rbd/... ./internal/cephtest/...
	CROWBAR_TEST_CEPH=require $(GO) test -race -tags $(CEPH_TAGS) -run Ceph ./internal/cli

CEPH_CONFIG ?= ceph-volumes.json

ceph-up:
	@.ci/install $(CEPH_NEEDS)
	CROWBAR_CEPH_UP=$(abspath $(CEPH_CONFIG)) $(GO) test -count=1 -timeout 0 -v -run TestUp ./internal/cephtest

# What cannot be measured here the program says; Debian has Cinder's driver in python3-cinder, sushy
# in python3-sushy.
bench:
	cd internal/bench && $(GO) run $(if $(wildcard /usr/include/rbd/librbd.h),-tags $(CEPH_TAGS)) .

bench-ceph:
	@.ci/install $(CEPH_NEEDS)
	cd internal/bench && $(GO) run -tags $(CEPH_TAGS) . -only '^rbd-'

demo:
	$(GO) run ./cmd/crowbar demo
