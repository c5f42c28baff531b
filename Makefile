# Bastide's commands. `make help` lists them; each prints what it does while it does it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
FUZZ_SECONDS ?= 60

.DEFAULT_GOAL := help
.PHONY: help up demo venv packages peers check lint types contracts test test-long fuzz bench docs lock clean

help: ## show this list
	@grep -hE '^[a-z-]+:.*?## ' $(MAKEFILE_LIST) | awk -F ':.*?## ' '{printf "  make %-10s %s\n", $$1, $$2}'

up: venv ## set everything up, then run Bastide with the demo fleet (Ctrl-C stops it)
	@$(BIN)/bastide up --demo

venv: $(STAMP)

# What Debian's Python lacks for a virtual environment; a no-op wherever it is there already.
$(STAMP): requirements/dev.txt pyproject.toml
	@echo "make: setting up $(VENV) from requirements/dev.txt (hash-checked, about a minute the first time)"
	@scripts/ensure-python $(PYTHON)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(STAMP)

peers: ## install the real peers that the tests talk to (Debian packages, needs root)
	@scripts/ensure-peers

check: venv lint types contracts ## formatting, lint, types and import contracts

lint:
	@echo "make: ruff"; $(BIN)/ruff format --check . && $(BIN)/ruff check .

types:
	@echo "make: mypy --strict"; $(BIN)/mypy

contracts:
	@echo "make: import contracts"; $(BIN)/lint-imports --no-logo

test: check peers ## everything the tests need, then all of them
	@echo "make: tests"; $(BIN)/python -m pytest

test-long: check peers ## the long runs: fault injection, sweeps
	@$(BIN)/python -m pytest -m "long or not long"

fuzz: venv ## every fuzz target for FUZZ_SECONDS (60) each
	@$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

bench: venv peers ## every published figure, with its peer in the same run
	@for script in bench/*.py; do case $$script in */_*) ;; *) echo "== $$script"; $(BIN)/python $$script;; esac; done

docs: venv ## check that the documentation's links and commands exist
	@$(BIN)/python -m pytest -q tests/docs

lock: venv ## resolve the requirements again (needs uv)
	@scripts/lock

clean: ## remove what was built (never a data directory)
	@rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
