# Everything runs in .venv, which `make setup` makes from the lock; no server has to be installed.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:

# PYTHON=python3.13 has an environment of its own beside the usual one.
VENV := .venv$(if $(PYTHON),-$(notdir $(PYTHON)))
BIN := $(VENV)/bin
STAMP := $(VENV)/.ready
AUDIT_VENV := .venv-audit
CODE := sendmill config providers tasks web workers simulator bench soak tests

# As on a fresh machine: what stands in somebody's shell must not change what the tests see.
export PYTHONPATH := .
export PATH := $(CURDIR)/$(BIN):$(PATH)
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help setup demo up test bench soak image mutations lint audit format lock clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: $(STAMP) ## make .venv with everything in it (the other targets do it first)

# PYTHON, or the first of these that is Python 3.11 or later.
$(STAMP): requirements-dev.lock pyproject.toml
	@python=""; \
	for candidate in $(if $(PYTHON),$(PYTHON),python3.11 python3.12 python3.13 python3.14 python3); do \
	  if "$$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    python=$$candidate; break; \
	  fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo "sendmill needs Python 3.11 or later with venv: install it, or name it as in make setup PYTHON=/path/to/python3" >&2; \
	  exit 1; \
	fi; \
	echo "Setting up $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

# exec, so that Ctrl-C reaches the program alone and its exit code is ours.
demo: $(STAMP) ## 60,000 messages through five simulated vendors, every one accounted for (2 minutes)
	@exec $(BIN)/python -m simulator.demo

up: $(STAMP) ## keep the whole system running with the simulator; prints the URL to export
	@exec $(BIN)/python -m simulator.up

# Three processes, because half of the time a test waits. A file's tests stay together in one of them: some share a whole
# system. In the folders' order, not the files of most tests first: the last to begin would be whole systems, and the
# other processes would wait for them.
test: lint ## lint, then every test, with real workers, beat and push (7 minutes on two cores)
	@exec $(BIN)/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder

bench: $(STAMP) ## measure beside the peers; writes docs/benchmarks.md (20 minutes on two cores, otherwise idle)
	@exec $(BIN)/python -m bench

# The usual run is written into docs/guarantees.md; one with options of your own only where --write is among them.
SOAK := --write
soak: $(STAMP) ## everything killed, frozen and cut off for 30 minutes; nothing lost, nothing twice (SOAK="--minutes 5 --messages 30000")
	@exec $(BIN)/python -m soak $(SOAK)

image: $(STAMP) ## build the image, run its processes and look at them, with docker, podman or buildah (BASE=… for another base)
	@exec $(BIN)/python -m simulator.image

mutations: $(STAMP) ## take out the line that keeps each promise: its test must fail (5 minutes)
	@exec $(BIN)/python -m soak.mutations --write

lint: $(STAMP) ## ruff, mypy --strict, import-linter
	@$(BIN)/ruff check $(CODE)
	@$(BIN)/ruff format --check $(CODE)
	@$(BIN)/mypy
	@$(BIN)/lint-imports

audit: ## known holes in what the image runs and in the tools; asks PyPI and its advisories, so it needs the internet
	@$(MAKE) --no-print-directory setup
	@$(BIN)/python -m venv $(AUDIT_VENV)
	@$(AUDIT_VENV)/bin/python -m pip install --quiet pip-audit==2.10.1
	@exec $(AUDIT_VENV)/bin/pip-audit --strict --require-hashes --disable-pip --progress-spinner off -r requirements-dev.lock

format: $(STAMP) ## let ruff put the code in shape
	@$(BIN)/ruff check --fix $(CODE)
	@$(BIN)/ruff format $(CODE)

# uv resolves for every Python from 3.11 on, not only for the one at hand; the certificates are the system's, so that it
# works behind a proxy like pip does. One file for the image, one with the tools.
COMPILE := uv pip compile --universal --generate-hashes --system-certs --no-config --quiet \
	--custom-compile-command "make lock" pyproject.toml

lock: $(STAMP) ## choose the versions anew (UPGRADE=--upgrade takes the newest)
	@$(BIN)/$(COMPILE) $(UPGRADE) --group dev --output-file requirements-dev.lock
	@$(BIN)/$(COMPILE) --group workers --constraint requirements-dev.lock --no-annotate --output-file requirements.lock

clean: ## remove .venv and what the tools leave
	@rm -rf $(VENV) $(AUDIT_VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find $(CODE) -name __pycache__ -type d -prune -exec rm -rf {} +
