# Two commands on a fresh Debian 12 with Node 20: make demo, make test. Both stand on make setup, which does nothing when nothing is missing.
LRM ?= local
SEEDS ?= 1000
.PHONY: setup build demo test sim bench clean

setup:
	@scripts/setup.sh
build: setup
	@npm run --silent build
test: setup
	@scripts/test
demo: setup
	@LRM=$(LRM) scripts/demo
sim: setup
	@node --import tsx scripts/sim.ts $(SEEDS)
bench: setup
	@node --import tsx bench/run.ts
clean:
	rm -rf dist .cache node_modules
