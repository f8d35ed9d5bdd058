# Two commands on a fresh Debian 12 with Node 20: make demo, make test. Both stand on make setup, which does nothing when nothing is missing.
LRM ?= local
SEEDS ?= 1000
.PHONY: setup build demo test sim bench policies clean

setup build:
	@scripts/setup.sh
demo: setup
	@LRM=$(LRM) exec scripts/demo
test: setup
	@exec scripts/test
sim: setup
	@SEEDS=$(SEEDS) exec scripts/sim
policies: setup
	@node --import tsx bench/policies/main.ts $(if $(TRACE),--trace $(TRACE))

bench: setup
	@node --import tsx bench/pilots.ts 16 10
	@node --import tsx bench/start.ts 10
	@node --import tsx bench/expiry.ts 1000
clean:
	rm -rf dist .cache node_modules
