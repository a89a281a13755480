# Two commands do all: `make demo` and `make test`. Each sets up what it needs by itself.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PEERS ?= own
SECONDS_EACH ?= 20
PACKAGE ?= xfrm
N ?= 200
SEED ?= 1
JOBS ?= 2
SHELL := /bin/bash
# Tests start our commands some thousand times: let Python keep what it compiled.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test test-all check bench fuzz mutants peers format clean
.DEFAULT_GOAL := help

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 10

demo: $(VENV)/.package ## boot a branch office from wrong date to keyed tunnel (PEERS=real: Debian's peers, as root)
	@if [ "$(PEERS)" = real ]; then tests/lab/install-peers; fi
	@$(BIN)/python -m mgu.demo --peers $(PEERS)

test: $(VENV)/.dev peers check ## everything: checks, unit, interop in namespaces, kernel in User-Mode Linux
	$(BIN)/pytest -q -n 4 --dist loadgroup -m "(interop or kernel) and not long"

test-all: test ## what takes minutes, too: daemons killed and stopped at random moments, full disks
	$(BIN)/pytest -q -n 4 --dist loadgroup -m long

check: $(VENV)/.dev ## the fast half: lint, types, layers, unit and property tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy src tests benchmarks
	$(BIN)/lint-imports --no-logo
	$(BIN)/pytest -q -n 2 -m "not interop and not kernel and not long"

bench: $(VENV)/.dev peers ## the benchmarks, each beside what it is compared to
	$(BIN)/pytest benchmarks -q -s -p no:xdist -o python_files='bench_*.py' -m ''

fuzz: $(VENV)/.dev ## every decoder under a coverage-guided fuzzer, SECONDS_EACH=20
	$(BIN)/pip install -q --disable-pip-version-check --group fuzz
	cd tests/fuzz && for target in $$(../../$(BIN)/python -c 'import run; print(*run.targets())'); do \
	  echo "== $$target"; ../../$(BIN)/python run.py $$target $(SECONDS_EACH) || exit 1; done

mutants: $(VENV)/.dev ## what the fast tests of PACKAGE=ike notice of N=200 changes (SEED=1, JOBS=2, TESTS=)
	$(BIN)/pip install -q --disable-pip-version-check --group mutants
	@PYTHONPATH=tests nice $(BIN)/python -m mutants $(PACKAGE) $(TESTS) --size $(N) --seed $(SEED) --jobs $(JOBS)

format: $(VENV)/.dev ## put the code in its one form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

peers: # Debian's packages for the real peers; only root can, others run without
	@if [ "$$(id -u)" = 0 ]; then tests/lab/install-peers; fi

clean: ## remove what was built
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis demo-output

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -q --disable-pip-version-check --upgrade "pip>=25.1"

$(VENV)/.package: $(VENV)/bin/python pyproject.toml
	$(BIN)/pip install -q --disable-pip-version-check -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.package
	$(BIN)/pip install -q --disable-pip-version-check --group dev
	@touch $@
