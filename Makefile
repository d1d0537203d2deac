# make run    installs into .venv and starts the dashboard (HOST=, PORT=, PYTHON= are honoured)
# make test   lint, types and all tests; installs what they need
# A second call starts at once; a change in pyproject.toml or constraints.txt installs again.

PYTHON ?= python3
HOST ?= 127.0.0.1
PORT ?= 8501
JOBS ?= 2

VENV := .venv
BIN := $(VENV)/bin
RUN_READY := $(VENV)/.run-ready
TEST_READY := $(VENV)/.test-ready
INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --constraint constraints.txt
# One thread per test process: with several, they wait for each other.
PYTEST := OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 MKL_NUM_THREADS=1 $(BIN)/python -m pytest

.DEFAULT_GOAL := help
.PHONY: help run test coverage lint types chromium slow gpu bench clean

help:
	@echo "make run    start the dashboard         make test   lint, types and all tests"
	@echo "make lint   ruff                        make types  mypy"
	@echo "make slow   retrain models, more pages  make gpu    tests that need CUDA"
	@echo "make bench  measure everything          make clean  remove all that was made"
	@echo "make coverage   all tests, and which lines they reach"

run: $(RUN_READY)
	@exec $(BIN)/fluoroscope serve --host "$(HOST)" --port "$(PORT)"

test: lint types chromium
	$(PYTEST) -n $(JOBS) --no-loadscope-reorder

# Counting the lines that run takes half as long again, so it is a command of its own.
coverage: $(TEST_READY) chromium
	$(PYTEST) -n $(JOBS) --no-loadscope-reorder \
	    --cov --cov-report=term --cov-fail-under=85

lint: $(TEST_READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(TEST_READY)
	$(BIN)/mypy

slow: $(TEST_READY)
	$(PYTEST) -m slow

gpu: $(TEST_READY)
	$(PYTEST) -m gpu

# Each prints ratios beside the floor or a peer in the same run: make bench ONLY="capture projection"
ONLY ?= capture layers projection scatter attention text attribution evaluation comparison importance surrogate data program onnx
bench: $(TEST_READY)
	@for name in $(ONLY); do \
	    echo; echo "== $$name"; $(BIN)/python -m tests.benchmarks.$$name || exit 1; \
	done

# The browser tests and the export of figures to PNG, SVG and PDF use it.
chromium:
	@for name in chromium chromium-browser google-chrome google-chrome-stable; do \
	    if command -v $$name >/dev/null; then exit 0; fi; \
	done; \
	as_root=; \
	if [ "$$(id -u)" != 0 ]; then as_root="sudo -n"; fi; \
	install="apt-get install --yes --quiet --no-install-recommends chromium"; \
	if command -v apt-get >/dev/null && $${as_root:-env} true 2>/dev/null; then \
	    echo "Installing Chromium"; \
	    $$as_root $$install >/dev/null 2>&1 \
	        || { $$as_root apt-get update --quiet >/dev/null && $$as_root $$install >/dev/null; } \
	        || echo "Chromium could not be installed; tests that need it are skipped."; \
	else \
	    echo "Chromium or Chrome is not installed; tests that need it are skipped."; \
	    echo "Install it with: sudo apt-get install chromium (macOS: brew install --cask chromium)"; \
	fi

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "Python 3.11 or newer is needed. Name it with: make run PYTHON=/path/to/python3"; \
	    exit 1; }
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(RUN_READY): pyproject.toml constraints.txt | $(VENV)/.made
	@echo "Installing (a few minutes the first time)"
	@$(INSTALL) setuptools
	@$(INSTALL) --no-build-isolation --editable '.[imagenet]'
	@touch $@

$(TEST_READY): $(RUN_READY)
	@echo "Installing what the tests need"
	@$(INSTALL) --no-build-isolation --editable '.[imagenet,dev]'
	@touch $@

clean:
	rm -rf $(VENV) build dist artifacts out htmlcov .coverage .coverage.* *.egg-info \
	    .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
