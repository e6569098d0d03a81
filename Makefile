# make demo: install and run the tiny FuseLIP that comes with the package.   make test: the fast tests.   make test-all: everything offline.
PYTHON ?= python3
WORKERS ?= 2

BIN := .venv/bin
INSTALL := $(BIN)/python -m pip install --quiet -c constraints.txt

.PHONY: demo test test-all lint format sizes clean

demo: .venv/.installed
	$(BIN)/fuselip-bench run --model fuselip-ti --output results/demo

test: .venv/.installed-dev
	$(BIN)/python -m pytest -m "not slow and not gpu and not network" -n $(WORKERS) --durations=10

test-all: .venv/.installed-all lint sizes
	$(BIN)/python -m pytest -m "not gpu and not network" -n $(WORKERS) --durations=20

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

sizes: .venv/.installed-dev
	$(BIN)/python tests/sizes.py

clean:
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

.venv/.created:
	$(PYTHON) -m venv .venv
	touch $@

.venv/.installed: .venv/.created pyproject.toml constraints.txt
	$(INSTALL) -e .
	touch $@

.venv/.installed-dev: .venv/.created pyproject.toml constraints.txt
	$(INSTALL) -e '.[dev]'
	touch .venv/.installed $@

.venv/.installed-all: .venv/.created pyproject.toml constraints.txt
	$(INSTALL) -e '.[all]'
	touch .venv/.installed .venv/.installed-dev $@
