# rl-run, a container launcher for users without root. "make help" lists the targets.

PREFIX   ?= /usr/local
FUZZTIME ?= 60s
VERSION  ?= $(or $(shell git describe --tags --always --dirty 2>/dev/null),development)

# The other names of rl-run, links to it: one binary that looks at the name it was called by.
LINKS := rl-unshare rl-exec rl-ps rl-logs rl-stop rl-kill rl-wait rl-inspect rl-rm rl-net rl-doctor

# All programs are static: they run on any distribution, and a container's start pays for no dynamic linker.
export CGO_ENABLED := 0
GO      := scripts/bootstrap go
LDFLAGS  = -s -w -X main.version=$(VERSION)
GOBUILD  = $(GO) build -trimpath -buildvcs=false -ldflags '$(LDFLAGS)'

# Where rl-run begins, before Go's runtime does: see internal/entry. On other architectures it begins as all programs do.
ENTRY_amd64 = $(LDFLAGS) -E github.com/rl-run/rl-run/internal/entry.Start

# The targets share bin/ and .cache/, and their output is to be read.
.NOTPARALLEL:
.PHONY: help run build test matrix vm lint bench fuzz cover man completion install uninstall deb check clean

help: ## print this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 16

run: ## from a fresh clone to a container: install what is missing, build, start a shell
	@scripts/run

build: ## build the programs and their links into bin/; needs only Go
	@mkdir -p bin
	@$(GOBUILD) -o bin/ $$(ls -d ./cmd/* | grep -v /rl-run$$)
	@entry='$(ENTRY_amd64)'; [ "$$($(GO) env GOARCH)" = amd64 ] || entry=; $(GOBUILD) $${entry:+-ldflags "$$entry"} -o bin/ ./cmd/rl-run
	@for name in $(LINKS); do ln -sfn rl-run bin/$$name; done

test: ## install what the tests need and run them all, as a plain user
	@scripts/test

vm: ## run the tests named for it in a Debian guest: Linux 6.1, systemd, cgroup v2, emulated
	@scripts/test ./test/vm

matrix: ## as root: start containers in all 72 combinations of what a machine may have and lack
	@scripts/matrix

lint: ## golangci-lint and shellcheck
	@scripts/lint

bench: ## compare the start of a container and the copy of a tree with their peers
	@scripts/bench

fuzz: ## run each fuzz target for FUZZTIME (60s)
	@scripts/bootstrap scripts/fuzz $(FUZZTIME)

cover: ## the tests' coverage by package, as the user who calls, and .cache/cover.html
	@mkdir -p .cache
	@$(GO) test -short -coverpkg=./... -coverprofile=.cache/cover.out ./...
	@$(GO) tool cover -html=.cache/cover.out -o .cache/cover.html
	@$(GO) tool cover -func=.cache/cover.out | tail -n 1

man: build ## make the manual pages in man/ anew from the programs' own help
	@scripts/man

completion: ## make contrib/completion anew from the options
	@$(GO) test ./cmd/rl-run -run '^TestCompletion$$' -count=1 -update

install: build ## install into PREFIX (/usr/local), below DESTDIR
	@scripts/install install '$(DESTDIR)' '$(PREFIX)'

uninstall: build ## remove what install has installed there
	@scripts/install uninstall '$(DESTDIR)' '$(PREFIX)'

deb: build ## make a Debian package in .cache/deb
	@scripts/deb

# What has the privilege is built without it: sudo's caller builds, root installs.
install-veth: ## as root: install rl-veth with its file capability, and a first policy
	@if [ "$$(id -u)" = 0 ] && [ "$${SUDO_USER:-root}" != root ]; then sudo -u "$$SUDO_USER" $(MAKE) bin/rl-veth; else $(MAKE) bin/rl-veth; fi
	@scripts/install-veth install '$(DESTDIR)' '$(PREFIX)'

uninstall-veth: ## as root: remove rl-veth; the policy stays
	@scripts/install-veth uninstall '$(DESTDIR)' '$(PREFIX)'

.PHONY: bin/rl-veth install-veth uninstall-veth
bin/rl-veth:
	@mkdir -p bin
	@$(GOBUILD) -o bin/ ./cmd/rl-veth

check: lint test ## lint, known vulnerabilities, and the tests
	@scripts/lint --vulnerabilities

# Trees hold files of subordinate ids, which only root of their map can remove, and so rl-unshare.
clean: ## remove bin/ and .cache/
	@[ ! -d .cache/trees ] || rm -rf .cache/trees 2>/dev/null || bin/rl-unshare rm -rf .cache/trees
	@[ ! -d .cache ] || chmod -R u+w .cache
	@rm -rf bin .cache
