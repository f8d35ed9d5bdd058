# Two commands on a fresh Debian 12 with Node.js: make demo, make test. Both set up what is missing first, and nothing when nothing is.
# NODE=24, with any of them: all of it on that Node.js (scripts/node-versions), which the set-up brings.
LRM ?= local
FILES ?=
SEEDS ?= 1000
NODES ?= 16
REQUESTS ?= 1000000
SEQUENCES ?= 20
ifdef NODE
export PATH := $(CURDIR)/.cache/node-$(NODE)/bin:$(PATH)
endif
.PHONY: setup build demo test sim fuzz crash-matrix bench policies mutants clean

setup build:
	@scripts/setup.sh $(NODE)
# Says what it needs before it sets anything up, and sets up only that.
demo:
	@LRM=$(LRM) exec scripts/demo $(NODE)
test:
	@scripts/setup.sh $(NODE) newest
	@exec scripts/test
sim: setup
	@SEEDS=$(SEEDS) exec scripts/sim
# Hostile requests for the privileged helper, as root: SEED=17 repeats what a run has printed.
fuzz: setup
	@REQUESTS=$(REQUESTS) SEQUENCES=$(SEQUENCES) exec scripts/fuzz
# Every crash point, real guests: NODES=4 where 16 guests are too many.
crash-matrix: setup
	@CRASH_MATRIX=all CRASH_NODES=$(NODES) exec node_modules/.bin/vitest run --project e2e test/e2e/crash-matrix.test.ts
policies: setup
	@node --import tsx bench/policies/main.ts $(if $(TRACE),--trace $(TRACE))

bench: setup
	@node --import tsx bench/pilots.ts 16 10
	@node --import tsx bench/start.ts 10
	@node --import tsx bench/memory.ts
	@node --import tsx bench/expiry.ts 1000
	@node --import tsx bench/history.ts 100000
	@node --import tsx bench/foreign-jobs.ts 2000
	@node --import tsx bench/floods/main.ts 300
# One mutation after another of these files, and whether a test beside them notices: FILES="src/lease/placement.ts src/lease/quota.ts"; without, all pure parts, for hours.
mutants: setup
	@FILES="$(FILES)" exec node_modules/.bin/stryker run
clean:
	rm -rf dist .cache node_modules
