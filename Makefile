# Thin: every target is one line that a person could type. On a machine with an NVIDIA GPU: make GPU=1 run
PYTHON ?= python3
BIN := .venv/bin
INSTALL := $(BIN)/pip install --quiet --no-compile --constraint .venv/constraints.txt

# Bytecode is kept, whatever the machine's default: no command or server of a test compiles its libraries again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: run test test-slow soak check docs keys same-results bench bench-full bench-scale ui

run: .venv/installed
	$(BIN)/nli run sample

test: .venv/installed-test
	$(BIN)/pytest --numprocesses auto --dist worksteal

test-slow: .venv/installed-test .venv/installed-ray
	$(BIN)/pytest -m slow

soak: .venv/installed-test .venv/installed-ray
	NLI_KILL_ROUNDS=15 NLI_AWAY_SECONDS=120 $(BIN)/pytest -m faults --numprocesses auto --dist worksteal

check: .venv/installed-check
	$(BIN)/ruff format --check . && $(BIN)/ruff check . && $(BIN)/mypy && $(BIN)/lint-imports
	$(BIN)/codespell && $(BIN)/python docs/check_words.py

docs: .venv/installed-docs
	COLUMNS=120 $(BIN)/typer flows.cli.main utils docs --name nli --output docs/cli.md
	$(BIN)/mkdocs build --quiet

# After a change of code that changes results: what the keys of outputs are made of from now on.
keys: .venv/installed
	$(BIN)/python tests/nli_core/fingerprint/released.py > .venv/released.json
	mv .venv/released.json tests/nli_core/fingerprint/released.json

# After a change of code that keeps results, once `pytest -m slow tests/reliability/test_same_results.py` has shown it.
same-results: .venv/installed-check
	$(BIN)/python tests/nli_core/fingerprint/released.py same && $(BIN)/ruff format --quiet nli_core/fingerprint

bench: .venv/installed-bench
	for name in packing training prediction overhead; do $(BIN)/python tests/benchmarks/bench_$$name.py || exit 1; done

bench-full: bench
	for name in growth frozen_features accuracy truncation tutorials; do $(BIN)/python tests/benchmarks/bench_$$name.py || exit 1; done
	PYTHONPATH=. $(BIN)/python tests/benchmarks/bench_encoders.py

bench-scale: .venv/installed-bench .venv/installed-ray
	for name in scale bucket cluster; do PYTHONPATH=. $(BIN)/python tests/benchmarks/bench_$$name.py || exit 1; done

ui: .venv/installed
	$(BIN)/nli ui

# Without GPU=1 torch is the CPU build: from the configured index if it has one, else from PyTorch's own.
.venv/constraints.txt: constraints.txt
	$(PYTHON) -m venv --upgrade-deps .venv
	sed '$(if $(GPU),s/+cpu//)' constraints.txt > $@

.venv/installed: pyproject.toml .venv/constraints.txt
	$(INSTALL) torch || $(INSTALL) torch --extra-index-url https://download.pytorch.org/whl/cpu
	$(INSTALL) --editable . && touch $@

.venv/installed-test: .venv/installed
	$(INSTALL) --editable '.[test]' && touch $@

.venv/installed-ray: .venv/installed-test
	$(INSTALL) --editable '.[ray]' && touch $@

.venv/installed-bench: .venv/installed-test
	$(INSTALL) --editable '.[bench]' && $(INSTALL) --no-deps d2l==1.0.3 && touch $@

.venv/installed-docs: .venv/installed
	$(INSTALL) --editable '.[docs]' && touch $@

.venv/installed-check: .venv/installed
	$(INSTALL) --editable '.[check]' && touch $@
