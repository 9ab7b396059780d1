# Everything below needs Python 3.11 or newer and nothing else: the environment is made in .venv and kept up to date
# with pyproject.toml.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check
INSTALLED := $(VENV)/.installed
INSTALLED_DEV := $(VENV)/.installed-dev

.DEFAULT_GOAL := help
.PHONY: help install demo test lint load resilience detection bench bench-engine bench-challenge programs clean

help: ## list these targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 17

install: $(INSTALLED) ## make .venv with the gateway in it

demo: $(INSTALLED) ## run a sample origin, the embedded engine and the gateway on 127.0.0.1:8080
	@exec $(BIN)/gateway demo $(ARGS)

test: lint programs ## check style and types, then run every test
	$(BIN)/python -m pytest $(ARGS)

# Real programs that tests drive, as PROGRAM:PACKAGE: a Redis server, a browser, PostgreSQL (whose server is not on the
# PATH, but what comes with it is). Where they cannot be installed, these tests are skipped and say so.
PROGRAMS := redis-server:redis-server chromium:chromium pg_lsclusters:postgresql
programs:
	@missing=; for p in $(PROGRAMS); do command -v $${p%:*} >/dev/null || missing="$$missing $${p#*:}"; done; \
	[ -z "$$missing" ] && exit 0; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo "Installing$$missing for the tests ..."; \
		(apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $$missing) \
			>/dev/null 2>&1 || echo "Not installed:$$missing; the tests that need them are skipped" >&2; \
	else \
		echo "Not found:$$missing; the tests that need them are skipped (Debian: apt-get install$$missing)" >&2; \
	fi

lint: $(INSTALLED_DEV) ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/mypy --strict gateway

load: $(INSTALLED_DEV) ## users' mixed traffic for some 20 s; fails on any wrong outcome
	$(BIN)/python loadtests/run.py $(ARGS)

resilience: $(INSTALLED_DEV) ## 1 GiB bodies with flat memory; an API that hangs, dies and comes back
	$(BIN)/python loadtests/bodies.py
	$(BIN)/python loadtests/failures.py

detection: $(INSTALLED_DEV) ## who is stopped and who passes under the built-in policy; fails on any missed requirement
	$(BIN)/python loadtests/detection/detection.py

bench-engine: $(INSTALLED_DEV) ## decisions per second of the embedded engine; fails under 12,000 on a core
	$(BIN)/python loadtests/engine/bench.py $(ARGS)

bench-challenge: $(INSTALLED_DEV) ## seconds a challenge takes a browser on a slow core; fails over 2 s at a quarter of the speed
	$(BIN)/python loadtests/engine/solving.py $(ARGS)

bench: $(INSTALLED_DEV) ## compare with nginx, HAProxy and Envoy on one core (those that are installed)
	$(BIN)/python loadtests/compare/compare.py --gateway "$(CURDIR)/$(BIN)/gateway run -c {config}" $(ARGS)

clean: ## remove what these targets made
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed; if it has another name: make PYTHON=..." >&2; exit 1; }
	@echo "Making $(VENV) with $(PYTHON) ..."
	@$(PYTHON) -m venv --clear $(VENV) || { rm -rf $(VENV); \
		echo "$(PYTHON) cannot make virtual environments; on Debian and Ubuntu: apt-get install python3-venv" >&2; exit 1; }

$(INSTALLED): pyproject.toml | $(BIN)/python
	@echo "Installing the gateway into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(INSTALLED_DEV): pyproject.toml | $(BIN)/python
	@echo "Installing the gateway and its development tools into $(VENV) ..."
	@$(PIP) --editable '.[dev]'
	@touch $(INSTALLED) $@
