.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
SETTINGS ?= config.yaml
# Where it is set, every process compiles its code anew: a second of each start, and tests start many.
unexport PYTHONDONTWRITEBYTECODE

help:  ## Show what there is to do
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

serve: .venv/serve.stamp  ## Start the collector, on an embedded Postgres unless DATABASE_URL names one
	$(BIN)/pixsim-collector serve --config $(SETTINGS)

demo: .venv/serve.stamp  ## Send a stream of pixsim's events to the collector that runs
	$(BIN)/pixsim-collector demo

test: .venv/test.stamp  ## Lint, types, and all tests on a Postgres of their own
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 4

chaos: .venv/test.stamp  ## All faults, of half a minute each; HOURS=1 goes on under load, POSTS=100000 posts so many
	PIXSIM_CHAOS=30 $(BIN)/python -m pytest tests/chaos
	$(BIN)/python -m tests.chaos.endurance --hours $(or $(HOURS),0) --posts $(or $(POSTS),0)

fuzz: .venv/fuzz.stamp  ## Wild input to a collector; MINUTES=30, and SEED=N for the same again
	$(BIN)/python -m tests.fuzz --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED))

bench: .venv/test.stamp  ## Measure ingest and lookups against Postgres' own ceiling
	$(BIN)/python -m tests.bench

profile: .venv/test.stamp  ## Draw where the collector's time goes under load, as profile.svg
	$(BIN)/python -m tests.bench.profile

costs: .venv/test.stamp  ## Count anew what a record costs, after a change that was meant to change it
	$(BIN)/python -m tests.costs

screenshots: .venv/test.stamp  ## Make pictures of the page in build/screenshots (needs Chromium)
	$(BIN)/python -m tests.e2e.page.screenshots build/screenshots

audit: .venv/audit.stamp  ## Ask pypi.org for known weaknesses of the pinned dependencies
	.ci/audit .venv/audit/bin/pip-audit

lock:  ## Pin every dependency anew (needs uv)
	uv pip compile -q pyproject.toml --extra embedded --group build $(LOCK) -o requirements.txt
	uv pip compile -q pyproject.toml --extra embedded --group build --group dev $(LOCK) -o requirements-dev.txt
	uv pip compile -q --group audit $(LOCK) -o requirements-audit.txt
	uv pip compile -q --group fuzz $(LOCK) -o requirements-fuzz.txt

LOCK := --upgrade --universal --python-version 3.11 --generate-hashes --no-header --no-annotate

.venv/bin/python:
	$(PYTHON) -m venv .venv

.venv/serve.stamp: .venv/bin/python requirements.txt pyproject.toml
	$(BIN)/python -m pip install -q --require-hashes -r requirements.txt
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@touch $@

.venv/test.stamp: .venv/bin/python requirements-dev.txt pyproject.toml exporter/pyproject.toml
	$(BIN)/python -m pip install -q --require-hashes -r requirements-dev.txt
	$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e . -e exporter
	@touch $@ .venv/serve.stamp

.venv/fuzz.stamp: .venv/test.stamp requirements-fuzz.txt
	$(BIN)/python -m pip install -q --require-hashes -r requirements-fuzz.txt
	@touch $@

.venv/audit.stamp: .venv/bin/python requirements-audit.txt
	$(PYTHON) -m venv .venv/audit
	.venv/audit/bin/python -m pip install -q --require-hashes -r requirements-audit.txt
	@touch $@

.PHONY: help serve demo test chaos fuzz audit bench profile costs screenshots lock
