# Two commands for everybody: `make demo` and `make test`. Each does its whole set-up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
SOURCES := cli tui runs methods hardware plugins tests
GUESTS := pegbox-road pegbox-mora

.PHONY: demo test check lint types contracts bench accuracy capabilities docs bundled snapshots screens clean help

help: ## list the targets
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

demo: $(READY) ## fine-tune the bundled model on the bundled rows, live in the terminal
	@$(BIN)/pegbox demo

test: $(READY) ## run the tests, one on each core (the slow ones too where CI=true)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q --numprocesses auto --dist worksteal

check: lint types contracts test ## everything that must be green: ruff, mypy --strict, import-linter, tests

lint: $(READY)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)

types: $(READY)
	$(BIN)/mypy
	MYPYPATH=$(subst $() ,:,$(GUESTS:%=plugins/%/src)) $(BIN)/mypy --allow-subclassing-any --allow-untyped-decorators \
		$(foreach guest,$(GUESTS),--package $(subst -,_,$(guest)))
	$(BIN)/mypy plugins/dropins/*.py

contracts: $(READY)
	$(BIN)/lint-imports --no-logo

bench: $(READY) ## print both sides of each performance claim, from one run
	$(BIN)/python -m tests.bench.version_start
	$(BIN)/python -m tests.bench.first_frame
	$(BIN)/python -m tests.bench.form_latency
	$(BIN)/python -m tests.bench.fold_million
	$(BIN)/python -m tests.bench.dashboard_open
	$(BIN)/python -m tests.bench.wire_bytes
	$(BIN)/python -m tests.bench.advisor_cost
	$(BIN)/python -m tests.bench.advice_time
	$(BIN)/python -m tests.bench.forecast_time
	$(BIN)/python -m tests.bench.rows_checked
	$(BIN)/python -m tests.bench.first_step
	$(BIN)/python -m tests.bench.step_cost
	$(BIN)/python -m tests.bench.method_step_time
	$(BIN)/python -m tests.bench.event_cost
	$(BIN)/python -m tests.bench.stop_latency
	$(BIN)/python -m tests.bench.viewer_cost
	$(BIN)/python -m tests.bench.inventory
	$(BIN)/python -m tests.bench.queue_of_entries
	$(BIN)/python -m tests.bench.ranks
	$(BIN)/python -m tests.bench.comparison_cost
	$(BIN)/python -m tests.bench.batched_answers
	$(BIN)/python -m tests.bench.merge_memory

accuracy: $(READY) ## print how far forecasts are from published measurements (ALL=1: simulated ones too, an hour)
	$(BIN)/python -m tests.accuracy $(if $(ALL),--simulated)

capabilities: $(READY) ## try what every method can, and write it down (some seven minutes)
	$(BIN)/pegbox certify --all --write methods/pegbox_methods/capabilities.json

docs: $(READY) ## write the generated parts of the documentation
	$(BIN)/python -m tests.house.generated

bundled: $(READY) ## make the bundled model and rows anew (about 15 minutes)
	$(BIN)/python runs/make_bundled.py

snapshots: $(READY) ## accept the screens as they are now
	$(BIN)/python -m pytest -q tests/tui --snapshot-update

screens: $(READY) ## draw the pictures in docs/screens from the screens as they are now
	$(BIN)/python -m tests.house.screenshots

clean: ## remove the environment
	rm -rf $(VENV)

$(READY): pyproject.toml .ci/constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Pegbox needs Python 3.11 or newer; $(PYTHON) is older. Name another: make PYTHON=python3.12"; exit 2; }
	@test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint .ci/constraints.txt --editable '.[dev]'
	@touch $@
