# Everything is installed into this folder; Python 3.11 or later is all that is needed.
PYTHON ?= $(shell for python in python3.13 python3 python3.14 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
RUN = .venv/bin/python
export PYTHONUNBUFFERED = 1

help:  ## Print this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

run: .venv/run  ## Run the API on http://127.0.0.1:3000 (PORT=) with a PostgreSQL of its own, or DATABASE_URL=
	@$(RUN) -m local.serve

invoke: .venv/run  ## Run one event through one function: FUNCTION=WriteMessageFunction EVENT=events/write_message.json
	@$(RUN) -m local.invoke $(FUNCTION) $(EVENT)

migrate: .venv/run  ## Apply sql/ to DIRECT_DATABASE_URL; PLAN=1 only says what would be applied
	@$(RUN) -m local.migrate $(if $(filter-out 0,$(PLAN)),--plan)

recount: .venv/run  ## Count the statistics again from the turns and mend them; DRY_RUN=1 only says what differs
	@$(RUN) -m local.recount $(if $(filter-out 0,$(DRY_RUN)),--dry-run)

app-password: .venv/run  ## Give robot_brain_app a fresh password and print the functions' DATABASE_URL, once
	@$(RUN) -m local.app_password

build: .venv/run .venv-sam/done  ## Build what SAM deploys into .aws-sam/build: ARCHITECTURE=x86_64 or arm64, SNAPSTART=off or on
	@$(RUN) -m local.build

test: .venv/test .venv-sam/done  ## Run every test that this machine can run, two at a time; PYTEST= chooses some, in turn
	@$(RUN) -m pytest $(or $(PYTEST),-n 2 --dist loadfile)

contract: .venv/test  ## Compile the bodies and write docs/openapi.json from layers/robot_brain/contract
	@PYTHONPATH=layers/robot_brain $(RUN) -m contract

check: .venv/test .venv-sam/done  ## Format, lint, strict types, import rules, SQL and template lint, drift, unit tests
	@$(RUN) -m ruff format --check --quiet .
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m mypy
	@PYTHONPATH=.:layers/robot_brain .venv/bin/lint-imports
	@PYTHONPATH=layers/robot_brain $(RUN) -m contract --check
	@.venv/bin/squawk sql/*.sql sql/migrations/*.sql
	@.venv/bin/squawk --exclude=require-lock-timeout,require-statement-timeout,ban-drop-function sql/functions/*/*.sql
	@export SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1; .venv-sam/bin/sam validate && .venv-sam/bin/sam validate --lint
	@$(RUN) -m pytest -q tests/unit

bench-cold: .venv/test build  ## Compare cold starts with the floor and with what is usual: ROUNDS=15, OUTPUT=file
	@$(RUN) -m tests.bench.bench_cold

bench-hot: .venv/test  ## Compare a warm request with the bare call: ROUNDS=40, REQUESTS=20000, OUTPUT=file, PROFILE=1
	@PYTHONPATH=.:functions:layers/robot_brain $(RUN) -m tests.bench.bench_hot

bench-peers: .venv/test .venv-peers/done  ## Compare with four stores of chats from PyPI: ROUNDS=30, OUTPUT=file
	@PYTHONPATH=.:functions:layers/robot_brain $(RUN) -m tests.bench.bench_peers

bench-keys: .venv/test  ## Compare a write with a key beside a dump's snapshot, and after restarts, with one without: OUTPUT=file
	@PYTHONPATH=.:functions:layers/robot_brain $(RUN) -m tests.bench.bench_keys

format: .venv/test  ## Rewrite the Python files the way `check` wants them
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

bench-scale: .venv/test  ## Measure requests after TURNS=5000000 turns of talk beside 50,000 (ROUNDS=, OUTPUT=)
	@$(RUN) -m tests.bench.bench_scale

soak: .venv/test  ## Write and read under faults and prove that nothing is lost: DURATION=600, SEED=, OUTPUT=file
	@$(RUN) -m tests.soak

# One stamp for each set of packages; a changed requirements file installs anew.
.venv/run: layers/robot_brain/requirements.txt local/requirements.txt
	@test -n "$(PYTHON)" || { echo "Robot Brain needs Python 3.11 or later: install it, or name it with PYTHON=" >&2; exit 1; }
	@test -x $(RUN) || $(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing into .venv ..."
	@$(RUN) -m pip install --quiet --disable-pip-version-check $(addprefix -r ,$^)
	@touch $@

.venv/test: .venv/run tests/requirements.txt
	@echo "Installing what the tests need into .venv ..."
	@$(RUN) -m pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

# The SAM CLI pins versions of its own, so it lives apart.
.venv-sam/done: .venv/run tests/requirements-sam.txt
	@test -x .venv-sam/bin/python || $(RUN) -m venv .venv-sam
	@echo "Installing the SAM CLI into .venv-sam ..."
	@.venv-sam/bin/python -m pip install --quiet --disable-pip-version-check -r tests/requirements-sam.txt
	@touch $@

# What draws the plots, of whom no user and no test has need.
.venv-plot/done: .venv/run tests/bench/requirements-plot.txt
	@test -x .venv-plot/bin/python || $(RUN) -m venv .venv-plot
	@.venv-plot/bin/python -m pip install --quiet --disable-pip-version-check -r tests/bench/requirements-plot.txt
	@touch $@

# What bench-peers compares with, never deployed.
.venv-peers/done: .venv/run tests/bench/requirements-peers.txt
	@test -x .venv-peers/bin/python || $(RUN) -m venv .venv-peers
	@echo "Installing the peers into .venv-peers ..."
	@.venv-peers/bin/python -m pip install --quiet --disable-pip-version-check --no-deps -r tests/bench/requirements-peers.txt
	@touch $@

.PHONY: help run invoke migrate recount app-password build test contract check format bench-cold bench-hot bench-peers bench-keys bench-scale soak
