# make builds bin/ringhook. The comment before each target describes it.

GO       ?= go
PREFIX   ?= /usr/local
FUZZTIME ?= 1m
ARGS     ?=
ROUNDS   ?= 60
MINUTES  ?= 30
E2E      ?= .
CALLERS  ?= 500

TAGS     := sqlite_omit_load_extension
VERSION  := $(shell git describe --tags --always --abbrev=12 --dirty 2>/dev/null)
REVISION := $(shell git rev-parse HEAD 2>/dev/null)
LDFLAGS  := -s -w $(if $(REVISION),-X main.version=$(VERSION) -X main.revision=$(REVISION))

# STATIC=1 links the C library into the program, for systems whose libc is older than this machine's.
STATIC   ?=
ifneq ($(STATIC),)
TAGS     := $(TAGS),netgo,osusergo
LDFLAGS  += -linkmode external -extldflags=-static
endif

TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/ringhook

LINT_VERSION := v2.15.0
LINT_FOLDER  := $(TOOLS)/golangci-lint-$(LINT_VERSION)

# Newer versions need modules that not every proxy has.
NFPM_VERSION := v2.44.2
NFPM         := $(TOOLS)/nfpm-$(NFPM_VERSION)/nfpm

# Packages are reproducible: their times are those of the commit, and a hash has the
# same length in every clone.
EPOCH  := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),0)
ARCH    = $(shell $(GO) env GOARCH)
# A version that Debian sorts correctly: 1.2.3, 1.2.3+4.gabc, and before the first tag 0~git20260115.abc.
DEB_VERSION = $(shell echo '$(VERSION)' | sed -n 's/^v\([0-9]\)/\1/; t tag; b; :tag s/-/+/; s/-/./g; p')
DEB_VERSION := $(or $(DEB_VERSION),0~git$(shell date -u -d @$(EPOCH) +%Y%m%d).$(or $(subst -,+,$(VERSION)),dev))
RELEASE = ringhook-$(or $(VERSION),dev)-linux-$(ARCH)

# One set of flags for all targets, so that nothing is compiled twice: SQLite alone takes
# a minute. LDFLAGS record the state of git, and work without git too.
export GOFLAGS := $(strip $(GOFLAGS) -tags=$(TAGS) -trimpath -buildvcs=false)
export CGO_ENABLED := 1

.PHONY: build run test race fuzz faults crash bench bench-soak bench-e2e lint browser e2e lab lab-fire pages parts deb dist image repro install clean

# Build the program.
build:
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ringhook .

# Play a queue call with a sample CRM on this machine. ARGS=--once ends after it.
run: build
	./bin/ringhook demo $(ARGS)

# Many tests mostly wait: for the disk, for limits, for a process that is frozen.
TEST := $(GO) test -timeout 30m -parallel 6

test:
	$(TEST) ./...

race:
	$(TEST) -race ./...

# Run every fuzz target for FUZZTIME.
fuzz:
	@packages=$$($(GO) list ./...) || exit 1; \
	for package in $$packages; do \
		targets=$$($(GO) test -list '^Fuzz' $$package) || { echo "$$targets"; exit 1; }; \
		for target in $$(echo "$$targets" | grep '^Fuzz'); do \
			echo "$$package $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$package || exit 1; \
		done; \
	done

# 10,000 calls with faulty receivers, while ringhook is killed a hundred times.
faults:
	RINGHOOK_FAULTS=10000 $(GO) test -count=1 -timeout 60m -run '^TestFaults$$' -v ./test

# Kill ringhook at every failpoint, ROUNDS times, and compare what it acknowledged with what it stored.
crash:
	$(GO) test -count=1 -tags $(TAGS),failpoints ./failpoint ./store -run '^TestFailPoint'
	RINGHOOK_CRASH=$(ROUNDS) $(GO) test -count=1 -timeout 12h -tags $(TAGS),failpoints -run '^(TestCrash|TestPoisonCrash)$$' -v ./test

# Sessions per second and their latency, compared with a bare server. bench-lookup and
# others measure one more thing each: see test/bench/run -help. ARGS are its flags.
bench:
	test/bench/run $(ARGS)

bench-%:
	test/bench/run -measure $* $(ARGS)

bench-soak:
	test/bench/run -measure soak -minutes $(MINUTES) $(ARGS)

# The time that AGI takes in the dialplan of both Asterisks of the lab.
bench-e2e: lab
	RINGHOOK_BENCH=$(CALLERS) $(GO) test -count=1 -timeout 40m -tags $(TAGS),e2e -run '^TestTimeInDialplan$$' -v ./test/lab

# Lint code and wording. The linter is built once into the user's cache folder, unless
# it is installed.
lint:
	@lint=$$(command -v golangci-lint) || { \
		lint=$(LINT_FOLDER)/golangci-lint; \
		test -x $$lint || GOFLAGS= CGO_ENABLED=0 GOBIN=$(LINT_FOLDER) \
			$(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(LINT_VERSION); \
	} && $$lint run ./...
	$(GO) run ./test/wording

# Drive the desk in Chromium (Debian's package chromium). SCREENSHOTS is a folder for pictures of the page.
browser:
	cd test/browser && CI=1 RINGHOOK_SCREENSHOTS=$(SCREENSHOTS) GOFLAGS= $(GO) test -count=1 -timeout 20m .

# Install Asterisk 16 and 22 in the user's cache folder.
lab:
	test/lab/make

# Play calls through both, with the sample dialplan and those of FreePBX's shape. E2E chooses tests.
e2e: lab
	$(GO) test -count=1 -timeout 40m -tags $(TAGS),e2e -run '$(E2E)' ./test/lab/...

# Play hundreds of concurrent calls through both for MINUTES, with faults of all kinds.
lab-fire: lab
	RINGHOOK_FIRE=$(MINUTES) $(GO) test -count=1 -timeout 24h -tags $(TAGS),e2e -run '^TestFire$$' -v ./test/lab

# Build manual pages and completion in build/.
pages: build
	install -d build
	bin/ringhook manual | gzip -n9 >build/ringhook.1.gz
	{ cat contrib/ringhook.toml.5; sed 's/\\/\\e/g; s/-/\\-/g; s/^[.'"'"']/\\\&&/' contrib/ringhook.toml; echo .fi; } | gzip -n9 >build/ringhook.toml.5.gz
	bin/ringhook completion >build/completion

# Also documents, samples, licences and the list of parts.
SAMPLES := contrib/extensions_ringhook.conf contrib/extensions_oneline.conf contrib/queues_ringhook.conf contrib/ringhook.toml contrib/crm.php contrib/crm.py \
	contrib/prometheus/ringhook.rules.yml contrib/grafana/ringhook.json contrib/examples/*.toml contrib/verify contrib/systemd contrib/Containerfile contrib/freepbx contrib/1c

parts: pages
	rm -rf build/doc
	install -d build/doc/docs/crm build/doc/examples
	$(GO) run ./test/dist licences >build/doc/LICENSES-THIRD-PARTY
	$(GO) run ./test/dist sbom $(or $(VERSION),dev) >build/doc/sbom.cdx.json
	cp README.md CONFIGURATION.md SECURITY.md CONTRIBUTING.md CHANGELOG.md contrib/deb/copyright build/doc
	cp docs/*.md docs/*.png build/doc/docs
	cp docs/crm/*.md build/doc/docs/crm
	cp -r $(SAMPLES) build/doc/examples
	find build/doc '(' -name '*_test.go' -o -name embed.go ')' -delete
	chmod -R u=rwX,go=rX build

# Build the Debian package in dist/.
deb: parts
	@test -x $(NFPM) || GOFLAGS= CGO_ENABLED=0 GOBIN=$(dir $(NFPM)) $(GO) install github.com/goreleaser/nfpm/v2/cmd/nfpm@$(NFPM_VERSION)
	install -d dist
	DEB_LIBC='$(if $(STATIC),,libc6 (>= 2.34))' DEB_ARCH=$(ARCH) DEB_VERSION=$(DEB_VERSION) DEB_TIME=$$(date -u -d @$(EPOCH) +%Y-%m-%dT%H:%M:%SZ) SOURCE_DATE_EPOCH=$(EPOCH) \
		$(NFPM) package -f contrib/deb/nfpm.yaml -p deb -t dist/ringhook_$(DEB_VERSION)_$(ARCH).deb

# Build a tar file with the program and all of that in dist/.
dist: parts
	rm -rf build/$(RELEASE)
	install -d dist build/$(RELEASE)
	cp -r build/doc/. build/$(RELEASE)
	rm build/$(RELEASE)/copyright
	cp LICENSE build/ringhook.1.gz build/ringhook.toml.5.gz build/completion build/$(RELEASE)
	chmod -R u=rwX,go=rX build/$(RELEASE)
	install -m 755 bin/ringhook build/$(RELEASE)/ringhook
	tar --sort=name --format=gnu --mtime=@$(EPOCH) --owner=0 --group=0 --numeric-owner -C build -c $(RELEASE) | gzip -n9 >dist/$(RELEASE).tar.gz
	sha256sum dist/$(RELEASE).tar.gz

# Build the current commit twice, in two folders, and compare the results.
repro:
	test/dist/repro

# Build and run the container image, with base images made here. As root.
image:
	test/image

# Install what `make pages` has built. It builds nothing itself: root often has no Go in its path.
install:
	@test -e build/completion || { echo "run make pages first, without sudo"; exit 1; }
	install -D -m 755 bin/ringhook $(DESTDIR)$(PREFIX)/bin/ringhook
	install -D -m 644 build/ringhook.1.gz $(DESTDIR)$(PREFIX)/share/man/man1/ringhook.1.gz
	install -D -m 644 build/ringhook.toml.5.gz $(DESTDIR)$(PREFIX)/share/man/man5/ringhook.toml.5.gz
	install -D -m 644 build/completion $(DESTDIR)$(PREFIX)/share/bash-completion/completions/ringhook
	install -d $(DESTDIR)$(PREFIX)/share/ringhook
	install -m 644 contrib/*.toml contrib/*.conf contrib/prometheus/ringhook.rules.yml contrib/grafana/ringhook.json $(DESTDIR)$(PREFIX)/share/ringhook

clean:
	rm -rf bin build dist
