# The workbench. `make help` lists the targets.

PORT ?= 8501
PYTHON ?= $(firstword $(foreach p,python3.11 python3.12 python3,$(shell command -v $(p) 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TESTERS := $(VENV)/.testers

.PHONY: run test check bench screenshots help clean

run: $(READY) ## start the workbench and print its address (PORT=8501, WORKBENCH_HOME=~/.workbench)
	@exec $(BIN)/workbench up --port $(PORT)

test: $(TESTERS) chromium postgres ## everything: static checks, unit, process and browser tests
	@$(BIN)/python -m tests.run

check: $(TESTERS) ## before every commit: format, lint, types, imports, fast tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m "not slow and not browser"

bench: $(TESTERS) chromium .venv-bench/.ready ## the benchmarks, side by side with their peers
	$(BIN)/python -m benchmarks.run

screenshots: $(TESTERS) chromium ## make docs/screenshots/ anew from the running product
	$(BIN)/python -m benchmarks.screenshots

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

clean: ## remove the environment and caches (runs in WORKBENCH_HOME stay)
	rm -rf $(VENV) .venv-bench .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis

$(VENV)/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or 3.12 is needed and was not found: apt-get install python3 python3-venv"; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
		|| { echo "Python 3.11 or 3.12 is needed, and $(PYTHON) is another: make PYTHON=python3.11 run"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "The venv module is missing: apt-get install python3-venv"; exit 2; }

$(READY): requirements.txt constraints.txt pyproject.toml | $(VENV)/bin/python
	@echo "Installing what the workbench needs into $(VENV) (minutes, once) ..."
	@$(BIN)/pip install -q --disable-pip-version-check -r requirements.txt -c constraints.txt
	@touch $@

$(TESTERS): requirements-dev.txt $(READY)
	@$(BIN)/pip install -q --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@touch $@

# Keras and Lightning live beside the product's environment, never in it.
.venv-bench/.ready: requirements-bench.txt $(READY)
	@$(BIN)/python -m venv .venv-bench
	@ls -d $(CURDIR)/$(VENV)/lib/python3*/site-packages > $$(ls -d .venv-bench/lib/python3*/site-packages)/product.pth
	@.venv-bench/bin/pip install -q --disable-pip-version-check -r requirements-bench.txt -c constraints.txt
	@touch $@

.PHONY: chromium
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
		echo "Installing Chromium from Debian's packages ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null \
		|| { echo "Chromium is needed for the browser tests: apt-get install chromium"; exit 2; }; }

.PHONY: postgres
postgres:
	@ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1 || command -v postgres >/dev/null || { \
		echo "Installing PostgreSQL from Debian's packages ..."; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql >/dev/null \
		|| { echo "PostgreSQL is needed for the store's tests: apt-get install postgresql"; exit 2; }; }
