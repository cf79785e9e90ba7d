# Waybill. `make` alone lists what there is; every target may be run again at any time.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
SEMGREP := $(VENV)/semgrep
# A stamp's name is the content of its lock file, so setup is instant until that file changes.
stamp_of = installed-$(shell cksum < $(1) | tr ' ' '-')
STAMP := $(VENV)/$(call stamp_of,requirements-dev.txt)
SEMGREP_STAMP := $(SEMGREP)/$(call stamp_of,requirements-semgrep.txt)
PYTHON := $(shell for p in python3.13 python3.12 python3.11 python3.14 python3 python; do \
	command -v $$p >/dev/null && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
WORKERS ?= 2
ARGS ?=
# Only what is there: the first commits of a branch may lack some of it.
CHECKED := $(wildcard app connectors migrations tests wsgi.py)

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sort | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

.PHONY: setup
setup: $(STAMP) $(SEMGREP_STAMP) ## Install everything into .venv (instant and offline the second time)

# uv is five times as fast as pip, but it does not read pip's settings: where a machine's package index
# is known to pip only, pip does the work. Both accept nothing whose hash is not in the lock file.
define install
	@echo "Installing $(2) into $(1) (once) ..."
	@$(PYTHON) -m venv --clear $(1)
	@sed -n '/^uv==/,/^ *# via/p' requirements-dev.txt > $(1)/uv.txt
	@$(1)/bin/python -m pip install $(PIP_QUIET) --require-hashes -r $(1)/uv.txt
	@VIRTUAL_ENV=$(1) $(1)/bin/uv pip install --quiet --compile-bytecode --require-hashes -r $(2) 2> $(1)/uv.log \
		|| $(1)/bin/python -m pip install $(PIP_QUIET) --require-hashes -r $(2)
	@touch $@
endef
PIP_QUIET := --quiet --quiet --disable-pip-version-check

$(STAMP): | python
	$(call install,$(VENV),requirements-dev.txt)

# Ordered after the main environment, which lies around it and would wipe it.
$(SEMGREP_STAMP): | python $(STAMP)
	$(call install,$(SEMGREP),requirements-semgrep.txt)

.PHONY: python
python:
ifeq ($(PYTHON),)
	@echo "Waybill needs Python 3.11 or newer. On Debian 12 or Ubuntu 24.04: apt-get install python3 python3-venv" >&2; exit 1
endif
	@if ! $(PYTHON) -c 'import ensurepip, venv' 2> /dev/null; then \
		if [ "$$(id -u)" = 0 ] && command -v apt-get > /dev/null; then \
			apt-get update -qq && apt-get install -y -qq python3-venv; \
		else echo "Python's venv module is missing. On Debian or Ubuntu: sudo apt-get install python3-venv" >&2; exit 1; fi; fi

.PHONY: demo
demo: $(STAMP) ## Take orders through the whole way, on simulators, and check the result
	@$(BIN)/python -m app.local.demo $(ARGS)

.PHONY: run
run: $(STAMP) ## Serve the same world on http://localhost:8000 until Ctrl-C
	@$(BIN)/python -m app.local.run $(ARGS)

.PHONY: test
test: $(STAMP) $(SEMGREP_STAMP) ## Run the whole test suite (ARGS="-k buy -x", WORKERS=0 for one process)
	@# Twice: those that fill the machine by themselves would disturb the others. 5: nothing was selected.
	@first=0; $(BIN)/python -m pytest -n $(WORKERS) -m "not soak and not bench and not alone" $(ARGS) || first=$$?; \
	[ $$first = 0 ] || [ $$first = 5 ] || exit $$first; \
	second=0; $(BIN)/python -m pytest -m alone $(ARGS) || second=$$?; \
	[ $$second = 0 ] || { [ $$second = 5 ] && [ $$first = 0 ]; } || exit $$second

.PHONY: check
check: $(STAMP) $(SEMGREP_STAMP) ## Everything that CI checks without running the program
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(SEMGREP)/bin/semgrep scan --config .semgrep/rules.yml $(SEMGREP_OPTIONS) $(CHECKED)
	@# djlint exits 1 when it finds no file at all.
	@if [ -d app/templates ]; then echo "$(BIN)/djlint app/templates"; $(BIN)/djlint --quiet --lint app/templates; fi
	$(BIN)/codespell
SEMGREP_OPTIONS := --metrics off --disable-version-check --error --strict --quiet

.PHONY: format
format: $(STAMP) ## Format the code and repair what ruff can repair
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

.PHONY: bench
bench: $(STAMP) ## Measure: figure, goal, met or short
	@$(BIN)/python -m tests.bench $(ARGS)

.PHONY: faults
faults: $(STAMP) ## Mutants, bad input, random stories, then death at every named point (BUDGET=90m SEED=7)
	@$(BIN)/python -m tests.faults $(if $(BUDGET),--budget $(BUDGET)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: soak
soak: $(STAMP) ## Let it work while everything breaks, then count what was bought (MINUTES=60 SEED=7)
	@$(BIN)/python -m tests.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: coverage
coverage: $(STAMP) ## What no test takes of the code that places and reconciles (ARGS="--tell")
	@$(BIN)/python -m tests.teeth.cover $(ARGS)

.PHONY: mutation
mutation: $(STAMP) ## How many small mistakes there a test notices (BUDGET=30m SEED=1, after make coverage)
	@$(BIN)/python -m tests.teeth.mutation $(if $(BUDGET),--budget $(BUDGET)) $(if $(SEED),--seed $(SEED)) $(ARGS)

.PHONY: migration
migration: $(STAMP) ## Write a migration from the models (NAME="add a table")
	@test -n "$(NAME)" || { echo 'make migration NAME="what it does"' >&2; exit 2; }
	@$(BIN)/python -m app.local.migration "$(NAME)"

.PHONY: lock
lock: $(STAMP) ## Resolve requirements*.in anew (ARGS=--upgrade takes the newest versions)
	@for name in requirements requirements-dev requirements-semgrep; do \
		$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
			--custom-compile-command 'make lock' $(ARGS) $$name.in -o $$name.txt; done

.PHONY: audit
audit: $(STAMP) ## Look for known holes in what production installs (needs the network)
	@mkdir -p var && rm -f var/audit.json
	-$(BIN)/pip-audit --strict --disable-pip --format json --output var/audit.json -r requirements.txt
	.ci/advisories var/audit.json --keep .ci/audit.json

.PHONY: clean
clean: ## Remove what was made here: environments, caches, local data
	rm -rf $(VENV) var .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis .coverage htmlcov
	find app connectors tests migrations -name __pycache__ -type d -prune -exec rm -rf {} + 2> /dev/null || true
