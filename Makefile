# Two commands do everything on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3.11
UV := 0.13.8
BIN := .venv/bin

.PHONY: help setup demo test test-fast test-all bench-serving bench-drift bench-drift-rules bench-estimate check fix protos release-protos serve dev lock system-packages clean

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

setup: .venv/.ready ## Make the virtual environment with the locked dependencies

.venv/.ready: requirements.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Python 3.11 is needed: install it, or name it: make setup PYTHON=/path/to/python3.11" >&2; exit 1; }
	@echo "Setting up .venv (about two minutes the first time) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV)
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode -r requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	@touch $@

demo: setup ## The whole loop on real flights; options: make demo ARGS="--weeks 10 --exit"
	@$(BIN)/mlops demo $(ARGS)

test: setup ## All tests but the minutes-long forms
	$(BIN)/python -m pytest -m "not slow" $(ARGS)

test-fast: setup ## Tests without real processes
	$(BIN)/python -m pytest -m "not slow and not processes" $(ARGS)

test-all: setup ## Every test in its full form
	$(BIN)/python -m pytest $(ARGS)

bench-serving: setup ## The server against its peers; quicker: make bench-serving ARGS="--quick"
	@$(BIN)/python -m tests.benchmarks.serving $(ARGS)

bench-drift: setup ## The drift report against its peers; quicker: make bench-drift ARGS="--quick"
	@$(BIN)/python -m tests.benchmarks.drift $(ARGS)

bench-drift-rules: setup ## How often each drift rule is wrong, how soon it is right; quicker: ARGS="--quick"
	@$(BIN)/python -m tests.benchmarks.drift_rules $(ARGS)

bench-estimate: setup ## How close the label-free estimate of accuracy comes on a year of flights
	@$(BIN)/python -m tests.benchmarks.estimate

check: setup ## Lint, format, types, import rules, protos
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.generated_protos --check
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/buf lint
	$(BIN)/buf breaking --against protos/released.yaml

fix: setup ## Format and mend what can be mended
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: setup ## Generate the code beside the protos
	$(BIN)/python -m tests.generated_protos

release-protos: setup ## Take the protos as released: from then on `make check` refuses to break them
	$(BIN)/buf breaking --against protos/released.yaml
	$(BIN)/buf build --exclude-source-info -o protos/released.yaml

serve: setup ## The gRPC server alone
	@$(BIN)/mlops serve

dev: setup ## Dagster, MLflow and the gRPC server until Ctrl-C
	@$(BIN)/mlops up $(ARGS)

lock: setup ## Resolve the dependencies anew
	$(BIN)/uv pip compile --quiet --universal --no-header --no-emit-index-url --python-version 3.11 --all-extras pyproject.toml -o requirements.lock

system-packages: ## List the system packages that tests and benchmarks use, as `package program what-for`
	@echo "chromium              chromium       tests of the pages in a real browser"
	@echo "default-jre-headless  java           tests that count windows on Spark (Java 17 or 21)"
	@echo "nghttp2-client        h2load         load generator of make bench-serving"
	@echo "postgresql            pg_ctlcluster  tests that count windows on PostgreSQL"

clean: ## Remove state and caches, keep the environment
	rm -rf .mlops .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
