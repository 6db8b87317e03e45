# Everything a person needs to run, test and measure Homedex. Only Python 3.11+ with venv, and make, must be there before.
.DEFAULT_GOAL := help
.PHONY: help serve demo example test test-slow test-variants test-contract test-home-assistant schema-fixture bench bench-quick bench-large proof lint format clean

PYTHON := $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
BIN := .venv/bin
# The pins hold for the build tools too, and no notice about pip's own version stands between a person and the service.
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_BUILD_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Hundreds of processes begin in the tests, and each would compile the same modules again: a tenth of all their time (2026-11).
unexport PYTHONDONTWRITEBYTECODE

help:  ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: .venv/ready $(if $(findstring postgresql,$(DATABASE_URL)),.venv/ready-postgres)  ## migrate and serve http://127.0.0.1:8000 on ./data/app.db
	@$(BIN)/homedex serve

demo: .venv/ready  ## the same service on a scratch database with a made-up home
	@$(BIN)/homedex demo

example: .venv/ready-dev  ## serve examples/own_models: people's own models on the storage room
	@cd examples/own_models && ../../$(BIN)/python -m uvicorn main:app

test: .venv/ready-dev lint  ## run every check and every test that takes seconds (CI runs this)
	$(BIN)/python -m pytest -q -n 3 --dist loadgroup -m "not slow and not home_assistant"

lint: .venv/ready-dev  ## style, types, imports, schema
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

test-slow: .venv/ready-dev  ## the tests that take minutes: SIGKILL, failing disks, backups under load, SQLAlchemy's dialect suite
	$(BIN)/python -m pytest -q -n 3 -m slow

test-variants: .venv/ready-dev  ## every test of a running service again: two processes that serve, and no answers kept
	TEST_WORKERS=2 TEST_CACHE_MB=0 $(BIN)/python -m pytest -q -n 2 -m "not slow and not home_assistant" tests/api tests/cli tests/registry

test-contract: .venv/ready-dev  ## 20,000 generated requests of the served OpenAPI document, each answer judged (minutes)
	$(BIN)/python -m pytest -q -m slow tests/api/test_schema.py

test-home-assistant: .venv/ready-dev  ## the tests against a real Home Assistant, where one can be installed
	$(BIN)/python -m pytest -q -rs -m home_assistant

schema-fixture: .venv/ready-dev  ## before a release with a new migration: write tests/data/schemas of the newest schema
	PYTHONPATH=tests $(BIN)/python tests/released.py

bench: .venv/ready-bench  ## measure against the textbook recipe, in one run (6 minutes; PUBLISH=1 writes docs/speed.md)
	$(BIN)/python -m bench $(if $(PUBLISH),--publish)

bench-quick: .venv/ready-bench  ## the same of reads, writes and start only, in a minute
	$(BIN)/python -m bench --quick

bench-large: .venv/ready-bench  ## measure 1,000 devices against 1,000,000 (6 minutes, 4 GB of disk)
	$(BIN)/python -m bench large $(if $(PUBLISH),--publish)

proof: .venv/ready-bench  ## show each fault of the textbook recipe, on it and on ours (2 minutes; PUBLISH=1 writes docs/fastapi-on-sqlite.md)
	$(BIN)/python -m proof $(if $(PUBLISH),--publish)

format: .venv/ready-dev  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## remove the environment and all caches (never the data)
	rm -rf .venv .mypy_cache .ruff_cache .hypothesis build dist

.venv/bin/pip:
	@test -n "$(PYTHON)" || { echo "Homedex needs Python 3.11 or newer, and none is on the PATH." >&2; exit 1; }
	@$(PYTHON) -m venv .venv || { echo "python -m venv failed: on Debian and Ubuntu, apt install python3-venv" >&2; exit 1; }

.venv/ready: .venv/bin/pip pyproject.toml constraints.txt
	@echo "Installing Homedex into .venv (once)"
	@$(BIN)/pip install --quiet --editable .
	@touch $@

.venv/ready-postgres: .venv/ready
	@$(BIN)/pip install --quiet --editable '.[postgres]'
	@touch $@

.venv/ready-bench: .venv/ready-dev
	@$(BIN)/pip install --quiet --editable '.[bench]'
	@touch $@

.venv/ready-dev: .venv/bin/pip pyproject.toml constraints.txt
	@echo "Installing Homedex and the development tools into .venv (once)"
	@$(BIN)/pip install --quiet --editable '.[dev]'
	@touch .venv/ready $@
