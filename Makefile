# Needs Python 3.11 or newer and make. The first target that is run sets up .venv from the locked packages.

DATASET = digits
ARGS =
PORT ?= 5000
PYTHON = python3.11 python3
UV_VERSION = 0.13.9
PIP_AUDIT_VERSION = 2.10.1

BIN = .venv/bin
# `mlflow run --env-manager local` starts the python that is first on PATH.
IN_VENV = PATH="$(CURDIR)/$(BIN):$$PATH"
# Without kept bytecode every start of MLflow and torch takes ten seconds longer.
unexport PYTHONDONTWRITEBYTECODE
# uv takes seconds where pip takes minutes; pip also serves where only pip knows the way to a package index.
INSTALL = install() { { test -x $(BIN)/uv && $(BIN)/uv pip install --python $(BIN)/python "$$@"; } || \
	$(BIN)/python -m pip install "$$@"; }; install

# torchdistill, to compare with, has an environment of its own (6 GB); a quick benchmark does without.
TORCHDISTILL = $(if $(findstring --quick,$(ARGS)),,.venv-torchdistill/.installed)

.DEFAULT_GOAL := help
.PHONY: help study ui server bench bench-gpu test test-all test-containers lint lock catalogue mlproject methods audit \
	clean

help: ## this list
	@sed -nE 's/^([a-z-]+):.*## (.*)/make \1|\2/p' Makefile | awk -F '|' '{ printf "%-15s %s\n", $$1, $$2 }'

study: .venv/.installed ## the whole study; DATASET=digits, or cifar10, cifar100, a folder; ARGS="further options"
	@$(IN_VENV) $(BIN)/kdflow study --dataset "$(DATASET)" $(ARGS)

ui: .venv/.installed ## MLflow on 127.0.0.1 over the store of the runs; PORT=5000
	@store="$${MLFLOW_TRACKING_URI:-sqlite:///mlflow.db}"; \
	case "$$store" in http:* | https:*) echo "The runs are on a server:"; exec $(BIN)/python -m kdflow.experiments.ui_links;; esac; \
	echo "Starting MLflow on http://127.0.0.1:$(PORT) (this takes half a minute; Ctrl-C ends it). Then open"; \
	KDFLOW_UI_URL="$${KDFLOW_UI_URL:-http://127.0.0.1:$(PORT)}" $(BIN)/python -m kdflow.experiments.ui_links; \
	MLFLOW_BACKEND_STORE_URI="$$store" MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false \
		exec $(BIN)/mlflow ui --host 127.0.0.1 --port $(PORT) --workers 1 \
		--allowed-hosts "localhost:$(PORT),127.0.0.1:$(PORT)" --default-artifact-root "$(CURDIR)/mlruns"

server: .venv/.installed-dev ## PostgreSQL and an MLflow server on 127.0.0.1, both kept in server/; PORT=5000
	@exec $(BIN)/python -m kdflow.tracking.server --port $(PORT)

bench: .venv/.installed $(TORCHDISTILL) ## speed, each figure beside its target: a quarter of an hour; DATASET=digits, ARGS=--quick
	@$(BIN)/python benchmarks/bench.py --dataset "$(DATASET)" $(ARGS)

bench-gpu: .venv/.installed $(TORCHDISTILL) ## the same on a CUDA device
	@$(BIN)/python benchmarks/bench.py --device cuda --dataset "$(DATASET)" $(ARGS)

test: lint ## all checks and the tests that take seconds, two files at a time
	$(IN_VENV) $(BIN)/python -m pytest --numprocesses 2 --dist loadfile

test-all: lint ## the same with the slow tests, two files at a time
	$(IN_VENV) $(BIN)/python -m pytest -m "not containers" --numprocesses 2 --dist loadfile

test-containers: .venv/.installed-containers ## images, compose stack, MLflow projects in containers, where podman or docker works
	$(IN_VENV) $(BIN)/python -m pytest -m "not slow" -rs --durations 20 $(ARGS) tests/containers tests/test_kubernetes.py

lint: .venv/.installed-dev ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

lock: .venv/.made ## all lock files and the pins of conda.yaml, from pyproject.toml; ARGS=--upgrade for newer packages
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet pyproject.toml $(ARGS) --output-file requirements.lock \
		--universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-emit-index-url
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet pyproject.toml $(ARGS) --output-file requirements-dev.lock \
		--universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-emit-index-url \
		--extra dev --constraint requirements.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(BIN)/uv pip compile --quiet pyproject.toml $(ARGS) --output-file requirements-server.lock \
		--universal --python-version 3.11 --fork-strategy fewest --generate-hashes --no-emit-index-url \
		--extra server --constraint requirements.lock
	awk -F '==' 'NR == FNR { sub(/ .*/, "", $$2); pin[$$1] = $$2; next } \
		/^ +- [a-z0-9-]+==/ { name = $$1; sub(/.* /, "", name); $$0 = $$1 "==" pin[name] } { print }' \
		requirements.lock conda.yaml > .venv/conda.yaml && cp .venv/conda.yaml conda.yaml

catalogue: .venv/.installed ## what `kdflow list` shows at once, after a change to data sets, models or distillers
	@$(BIN)/python -c 'from kdflow.experiments.catalogue import keep; keep()'

mlproject: .venv/.installed ## both MLproject files, after a change to an option
	@$(BIN)/python -c 'from kdflow.config.mlproject import write; write()'

methods: .venv/.installed ## docs/methods.md, after a change to a distiller
	@$(BIN)/python -c 'from kdflow.experiments.methods_page import write; write()'

# Without --strict, packages that the advisories could not be asked about would count as sound.
audit: .venv/audit/.installed ## known vulnerabilities of the locked packages; ARGS="--ignore-vuln ID" for one that does no harm here
	@said=$$(.venv/audit/bin/pip-audit --strict --disable-pip --progress-spinner off $(ARGS) -r requirements-dev.lock 2>&1) && \
	{ echo "$$said"; exit; }; \
	case "$$said" in *"known vulnerabilit"*) echo "$$said" >&2;; \
	*) echo "make audit: the advisories cannot be had: $$(echo "$$said" | sed -n '$$s/^ERROR:[a-z_.]*://; $$p')" >&2;; esac; exit 1

clean: ## removes the environment and all caches; never runs, models or data
	rm -rf .venv .venv-torchdistill .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info
	find kdflow tests benchmarks -name __pycache__ -prune -exec rm -rf {} + 2>/dev/null || true

.venv/.made:
	@for python in $(PYTHON); do \
		if $$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			$$python -m venv .venv || exit; break; \
		fi; \
	done; \
	test -x $(BIN)/pip || { echo "No Python 3.11 or newer with venv among: $(PYTHON). Install one, or name it: make PYTHON=..." >&2; exit 1; }
	@$(BIN)/python -m pip install --quiet --retries 1 uv==$(UV_VERSION) || echo "uv cannot be had: pip installs instead, more slowly"
	@touch $@

.venv/.installed: .venv/.made requirements.lock pyproject.toml
	@$(INSTALL) --require-hashes -r requirements.lock
	@$(INSTALL) --no-deps --no-build-isolation -e .
	@touch $@

.venv/.installed-dev: .venv/.installed requirements-dev.lock
	@$(INSTALL) --require-hashes -r requirements-dev.lock
	@touch $@

# No part of what is locked: tools of these tests alone.
.venv/.installed-containers: .venv/.installed-dev tests/containers/requirements.txt
	@$(INSTALL) -r tests/containers/requirements.txt
	@touch $@

# In an environment of its own: what it needs is no part of what it looks at.
.venv/audit/.installed: .venv/.made Makefile
	@$(BIN)/python -m venv .venv/audit
	@.venv/audit/bin/python -m pip install --quiet --retries 1 pip-audit==$(PIP_AUDIT_VERSION) 2>/dev/null || \
	{ echo "make audit: pip-audit $(PIP_AUDIT_VERSION) cannot be installed: is there a way to a package index?" >&2; exit 1; }
	@touch $@

# Where it cannot be had, the benchmark says so and goes on.
.venv-torchdistill/.installed: .venv/.made benchmarks/torchdistill.txt
	@$(BIN)/python -m venv .venv-torchdistill
	@{ { test -x $(BIN)/uv && $(BIN)/uv pip install --python .venv-torchdistill/bin/python -r benchmarks/torchdistill.txt; } || \
	.venv-torchdistill/bin/python -m pip install -r benchmarks/torchdistill.txt; } && touch $@ || \
	echo "torchdistill cannot be installed: the comparison with it will be left out" >&2
