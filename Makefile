# Thin: every target is one line that a person could type. On a machine with an NVIDIA GPU: make CONSTRAINTS= run
PYTHON ?= python3
CONSTRAINTS ?= -c constraints.txt
BIN := .venv/bin
NLI := $(BIN)/nli

.PHONY: run test test-slow check ui

run: .venv/installed
	$(NLI) run sample

test: .venv/installed-test
	$(BIN)/pytest

test-slow: .venv/installed-test
	$(BIN)/pytest -m slow

check: .venv/installed-check
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports

ui: .venv/installed
	$(NLI) ui

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv && $(BIN)/pip install --quiet $(CONSTRAINTS) -e . && touch $@

.venv/installed-test: .venv/installed
	$(BIN)/pip install --quiet $(CONSTRAINTS) -e '.[test]' && touch $@

.venv/installed-check: .venv/installed
	$(BIN)/pip install --quiet $(CONSTRAINTS) -e '.[check]' && touch $@
