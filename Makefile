# Everything is installed into this folder; Python 3.11 or later is all that is needed.
PYTHON ?= $(shell for python in python3.13 python3 python3.14 python3.12 python3.11 python; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
RUN = .venv/bin/python
export PYTHONUNBUFFERED = 1

# make would leave out a variable in another spelling, such as plan=1, and the command would do the real thing.
LETTERS = a b c d e f g h i j k l m n o p q r s t u v w x y z
SET = $(foreach name,$(.VARIABLES),$(if $(filter command line,$(origin $(name))),$(name)))
SMALL = $(strip $(foreach name,$(SET),$(if $(strip $(foreach letter,$(LETTERS),$(findstring $(letter),$(name)))),$(name)=)))
$(if $(SMALL),$(error Write $(SMALL) in capitals))

help:  ## Print this list
	@sed -nE 's/^# ([A-Z][a-z]+)$$/\n\1/p; s/^([a-z-]+):.*  ## (.*)/  \1\t\2/p' Makefile | expand -t 16

# Run

run: .venv/run  ## Run the API on http://127.0.0.1:3000 (PORT=) with a PostgreSQL of its own, or DATABASE_URL=; AUTH=jwt asks for tokens
	@$(RUN) -m local.serve

token: .venv/run  ## Print a token for the API that runs with AUTH=jwt: SUB=ann, SCOPE=, CLAIMS='{"tenant": "acme"}', SECONDS=3600
	@$(RUN) -m local.token

invoke: .venv/run  ## Run one event through one function: FUNCTION=WriteMessageFunction EVENT=events/write_message.json
	@$(RUN) -m local.invoke $(FUNCTION) $(EVENT)

psql: .venv/run  ## Open the database of make run with psql, as its owner: SQL='select …' runs one statement, TENANT_ID=local
	@$(RUN) -m local.psql

# Deploy

build: .venv/run .venv-sam/done  ## Build what SAM deploys into .aws-sam/build: ARCHITECTURE=arm64, SNAPSTART=on, AUTH=jwt
	@$(RUN) -m ops build

# Operate

# An option with a variable's value, quoted for the shell; also if it was set to nothing, so that the command refuses it.
option = $(if $(filter-out undefined,$(origin $(1))),$(2)='$(subst ','\'',$($(1)))')
# The same, but the environment may have an empty one.
given = $(if $($(1))$(filter command,$(origin $(1))),$(call option,$(1),$(2)))
# A switch that is on; and one that destroys something, which only the command line turns on.
switch = $(if $(filter-out 0,$($(1))),$(2))
sharp = $(if $(filter command,$(origin $(1))),$(call switch,$(1),$(2)))
# Those of one command, because the environment may have a SECRET for something else.
OPTIONS_migrate = $(call switch,PLAN,--plan) $(call given,WAIT,--wait) $(call given,SEARCH,--search)
OPTIONS_recount = $(call switch,DRY_RUN,--dry-run)
OPTIONS_refill-search = $(call sharp,REPLACE,--replace) $(call switch,DRY_RUN,--dry-run)
OPTIONS_audit-verify = $(call option,HEADS,--heads) $(call option,SAVE,--save) $(call sharp,FORCE,--force) \
	$(call switch,DRY_RUN,--dry-run)
OPTIONS_backup = $(call option,FILE,--file) $(call sharp,FORCE,--force)
OPTIONS_restore = $(call option,FILE,--file) $(call sharp,REPLACE,--replace) $(call sharp,FORCE,--force) \
	$(call switch,DRY_RUN,--dry-run)
OPTIONS_app-password = $(call given,SECRET,--secret) $(call given,RETIRE,--retire) $(call sharp,FORCE,--force)
OPTIONS_build =
# What each command knows, as its options above say, and what it was given and does not know.
comma = ,
KNOWS = $(foreach name,$(OF_COMMANDS),$(if $(findstring $(comma)$(name)$(comma),$(value OPTIONS_$(DO))),$(name)))
OF_COMMANDS = HEADS SAVE FILE SECRET RETIRE REPLACE FORCE PLAN WAIT SEARCH DRY_RUN
UNKNOWN = $(foreach name,$(filter-out $(KNOWS),$(OF_COMMANDS)),$(if $(filter command,$(origin $(name))),$(name)=))
IDLE = $(foreach name,$(filter $(KNOWS),FORCE REPLACE),$(if $(filter environment,$(origin $(name))),\
	$(if $(filter-out 0,$($(name))),$(name)=)))

ops: .venv/run  ## Run an operator's command: DO=recount DRY_RUN=1; without DO= list them
	@$(if $(strip $(if $(filter-out undefined,$(origin OPTIONS_$(DO))),$(UNKNOWN))),$(error $(DO) has no \
		$(strip $(UNKNOWN)). $(if $(KNOWS),It has $(patsubst %,%=,$(KNOWS)))))
	@$(if $(strip $(IDLE)),echo "$(strip $(IDLE)) counts only after make. Write: make ops DO=$(DO) $(firstword $(IDLE))1" >&2)
	@$(RUN) -m ops $(DO) $(OPTIONS_$(DO))

migrate:  ## Apply sql/ to DIRECT_DATABASE_URL; PLAN=1 only prints; WAIT=600 for another one; SEARCH=off or english
	@$(MAKE) --no-print-directory ops DO=migrate

app-password: $(if $(filter arn:%,$(SECRET)),.venv-sam/done)  ## Print a new DATABASE_URL, once; SECRET=arn writes it there; then RETIRE=old
	@$(MAKE) --no-print-directory ops DO=app-password

# Develop

# Only the tests of tests/e2e run the SAM CLI. A choice without a folder, such as '-k word', may have some of them.
TESTS_NEED_SAM = $(if $(filter tests/%,$(PYTEST)),$(findstring e2e,$(PYTEST))$(filter tests/,$(PYTEST)),all)

test: .venv/test $(if $(TESTS_NEED_SAM),.venv-sam/done)  ## Run every test that this machine can run, four at a time; PYTEST= chooses some, in turn
	@$(RUN) -m pytest $(or $(PYTEST),-n 4 --dist loadfile --no-loadscope-reorder)

CLIENTS = $(notdir $(patsubst %/requirements.txt,%,$(wildcard tests/clients/*/requirements.txt)))
test-clients: .venv/test $(CLIENTS:%=.venv-clients/%/done)  ## Test the clients in each framework's own environment: ONLY=openai_agents
	@$(RUN) -m tests.clients $(ONLY)

check: .venv/test .venv-sam/done  ## Check format, lint, types, imports, words, SQL, the template and what is generated; run the unit tests
	@$(RUN) -m ruff format --check --quiet .
	@$(RUN) -m ruff check --quiet .
	@$(RUN) -m mypy
	@PYTHONPATH=.:layers/robot_brain .venv/bin/lint-imports
	@PYTHONPATH=layers/robot_brain $(RUN) -m contract --check
	@$(RUN) -m tests.words
	@.venv/bin/squawk sql/from_yoyo.sql sql/migrations/*.sql
	@.venv/bin/squawk --exclude=require-lock-timeout,require-statement-timeout,ban-drop-function sql/functions/*/*.sql
	@$(RUN) -m pytest -q tests/e2e/test_sam_validate.py -k accepts
	@$(RUN) -m pytest -q -n 2 --dist loadfile tests/unit

format: .venv/test  ## Rewrite the Python files as `check` wants them
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

contract: .venv/test  ## Compile the bodies and write docs/openapi.json from layers/robot_brain/contract
	@PYTHONPATH=layers/robot_brain $(RUN) -m contract

# Measure

BENCH_NEEDS_cold = build
BENCH_NEEDS_peers = .venv-peers/done

bench: .venv/test $(BENCH_NEEDS_$(WHAT))  ## Run a benchmark: WHAT=cold, hot, keys, peers, scale or search; ROUNDS=, OUTPUT=file
	@$(if $(filter cold hot keys peers scale search,$(WHAT)),,echo "WHAT= is one of: cold hot keys peers scale search" >&2; exit 2)
	@PYTHONPATH=.:functions:layers/robot_brain $(RUN) -m tests.bench.bench_$(WHAT)

soak: .venv/test  ## Write and read under faults and prove that nothing is lost: DURATION=600, SEED=, OUTPUT=file
	@$(RUN) -m tests.soak

# One stamp for each set of packages; a changed requirements file installs again. pip refuses a file whose hash is not in
# the requirements, and a package without a hash. So each call has all files of its environment. On a terminal pip shows
# its progress, and a log stays short. Standard output belongs to the command that needs the packages, such as a token.
PIP_INSTALL = -m pip install $(shell test -t 2 || echo --quiet) --disable-pip-version-check --require-hashes
RUN_PINS = layers/robot_brain/requirements.txt local/requirements.txt

.venv/run: $(RUN_PINS)
	@test -n "$(PYTHON)" || { echo "Robot Brain needs Python 3.11 or later: install it, or name it with PYTHON=" >&2; exit 1; }
	@test -x $(RUN) || $(PYTHON) -m venv .venv || { rm -rf .venv; \
		echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }
	@echo "Installing into .venv ..." >&2
	@$(RUN) $(PIP_INSTALL) $(addprefix -r ,$^) >&2
	@touch $@

.venv/test: .venv/run tests/requirements.txt
	@echo "Installing what the tests need into .venv ..." >&2
	@$(RUN) $(PIP_INSTALL) $(addprefix -r ,$(RUN_PINS) tests/requirements.txt) >&2
	@touch $@

# The SAM CLI pins versions of its own, so it lives apart. All its packages are pinned. A pip before 23.1, such as that of
# Debian 12, would refuse those that another one needs with an extra, so pip must not resolve.
.venv-sam/done: .venv/run tests/requirements-sam.txt
	@test -x .venv-sam/bin/python || $(RUN) -m venv .venv-sam
	@echo "Installing the SAM CLI into .venv-sam ..." >&2
	@.venv-sam/bin/python $(PIP_INSTALL) --no-deps -r tests/requirements-sam.txt >&2
	@touch $@

# For the plots only: `make .venv-plot/done && .venv-plot/bin/python -m tests.bench.plot`.
.venv-plot/done: .venv/run tests/bench/requirements-plot.txt
	@test -x .venv-plot/bin/python || $(RUN) -m venv .venv-plot
	@.venv-plot/bin/python $(PIP_INSTALL) -r tests/bench/requirements-plot.txt
	@touch $@

# The stores that `make bench WHAT=peers` compares with; never deployed.
.venv-peers/done: .venv/run tests/bench/requirements-peers.txt
	@test -x .venv-peers/bin/python || $(RUN) -m venv .venv-peers
	@echo "Installing the peers into .venv-peers ..."
	@.venv-peers/bin/python $(PIP_INSTALL) --no-deps -r tests/bench/requirements-peers.txt
	@touch $@

# One environment for each framework that the client has an adapter for, because their pins differ.
.venv-clients/%/done: tests/clients/%/requirements.txt .venv/run
	@test -x .venv-clients/$*/bin/python || $(RUN) -m venv .venv-clients/$*
	@echo "Installing $* into .venv-clients/$* ..." >&2
	@.venv-clients/$*/bin/python $(PIP_INSTALL) --no-deps -r $< >&2
	@touch $@

.PHONY: help run token invoke psql build ops migrate app-password test test-clients check format contract bench soak
