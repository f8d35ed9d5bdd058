# Two commands on a fresh Debian 12 with Node 20: make demo, make test. Both stand on make setup, which does nothing when nothing is missing.
LRM ?= local
SEEDS ?= 1000
NODES ?= 16
.PHONY: setup build demo test sim crash-matrix bench policies clean

setup build:
	@scripts/setup.sh
demo: setup
	@LRM=$(LRM) exec scripts/demo
test: setup
	@exec scripts/test
sim: setup
	@SEEDS=$(SEEDS) exec scripts/sim
# Every crash point, real guests: NODES=4 where 16 guests are too many.
crash-matrix: setup
	@CRASH_MATRIX=all CRASH_NODES=$(NODES) exec node_modules/.bin/vitest run --project e2e test/e2e/crash-matrix.test.ts
policies: setup
	@node --import tsx bench/policies/main.ts $(if $(TRACE),--trace $(TRACE))

bench: setup
	@node --import tsx bench/pilots.ts 16 10
	@node --import tsx bench/start.ts 10
	@node --import tsx bench/expiry.ts 1000
clean:
	rm -rf dist .cache node_modules
