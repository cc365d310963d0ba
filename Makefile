# Every command a contributor needs. `make demo` and `make test` want only python3 (3.11 or newer, with venv), pip and make.
PYTHON ?= python3
VENV ?= .venv
BENCH_VENV ?= .venv-bench
SPARK_VENV ?= .venv-spark
SPARK ?= local-cluster[2,1,1024]
DEMO ?= build/demo
ARGS ?=

BIN := $(VENV)/bin
PYTEST := $(BIN)/python -m pytest -n 2 --dist worksteal
UV := $(shell command -v uv 2>/dev/null)

export PIP_DISABLE_PIP_VERSION_CHECK := 1
# Compiling the tests and what their processes import costs each of them seconds; images of Python often turn the cache off.
export PYTHONDONTWRITEBYTECODE :=

# What is in requirements*.txt is checked against its hashes; the project itself is then linked without its dependencies.
ifdef UV
make_venv = uv venv --quiet --allow-existing --no-python-downloads --python $(PYTHON) $(1)
install = uv pip install --quiet --python $(1)/bin/python --require-hashes -r $(2) && \
	uv pip install --quiet --python $(1)/bin/python --no-deps --no-build-isolation -e .
else
make_venv = test -x $(1)/bin/pip || $(PYTHON) -m venv $(1)
install = $(1)/bin/python -m pip install --quiet --require-hashes -r $(2) && \
	$(1)/bin/python -m pip install --quiet --no-deps --no-build-isolation -e .
endif

.DEFAULT_GOAL := help
.PHONY: help demo test test-services faults soak lint types check golden docs picture bench spark requirements clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

demo: $(VENV)/.installed ## Run the main job on the sample and show what it found
	@rm -rf $(DEMO)
	@$(BIN)/journeyflow demo --folder $(DEMO)

test: $(VENV)/.installed-dev ## Run the fast tests; choose some with ARGS='-k dwell_times'
	$(PYTEST) $(ARGS)

test-services: $(VENV)/.installed-dev ## Run the tests that start servers: PostgreSQL and Azurite, which are installed where they are missing
	@ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || $(call apt_install,postgresql)
	@command -v npm >/dev/null || command -v azurite-blob >/dev/null || $(call apt_install,nodejs npm)
	@command -v azurite-blob >/dev/null || test -x $(AZURITE)/.bin/azurite-blob || \
		npm install --silent --no-audit --no-fund --prefix build/services azurite@3.37.0
	$(BIN)/python -m pytest -n 0 tests/services $(ARGS)
AZURITE := build/services/node_modules
apt_install = { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $(1); }

lint: $(VENV)/.installed-dev ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed-dev ## Check types
	$(BIN)/mypy

faults: $(VENV)/.installed-dev ## Kill, starve, mislead and crowd the job, at length; reports how often it held
	JOURNEYFLOW_FAULTS=300 $(BIN)/python -m pytest -n 0 -s tests/faults tests/pipelines tests/unit/operations/test_warm_up.py $(ARGS)

soak: $(VENV)/.installed-dev ## Simulate a year of daily runs and compare it with rebuilds; try long histories of runs (an hour)
	JOURNEYFLOW_SOAK_DAYS=365 JOURNEYFLOW_EXAMPLES=30 $(BIN)/python -m pytest -n 0 -s tests/soak tests/properties/test_run_histories.py tests/properties/test_incremental_identities.py $(ARGS)

check: lint types ## Everything that CI runs: lint, types, the fast and the long tests
	$(PYTEST) --tier check --durations 40 --durations-min 5 $(ARGS)

golden: $(VENV)/.installed-dev ## Rewrite tests/golden from the sample; read the diff before committing it
	JOURNEYFLOW_WRITE_GOLDEN=1 $(BIN)/python -m pytest -n 0 tests/golden $(ARGS)

docs: $(VENV)/.installed-dev ## Rewrite the generated pages of docs/reference
	JOURNEYFLOW_WRITE_DOCS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -k fresh tests $(ARGS)

picture: $(VENV)/.installed ## Draw what the demo shows, docs/images/demo.svg
	$(BIN)/python docs/make_picture.py

bench: $(BENCH_VENV)/.installed ## Measure against the peers, in an environment of their own
	$(BENCH_VENV)/bin/python -m benchmarks $(ARGS)

spark: $(SPARK_VENV)/.installed ## Run the tests of tests/spark against Spark (Java 17 or newer) instead of Sail
	JOURNEYFLOW_SPARK="$(SPARK)" $(SPARK_VENV)/bin/python -m pytest -n 0 tests/spark $(ARGS)

requirements: ## Pin the dependencies again (needs uv)
	$(PIN) --extra build pyproject.toml -o requirements.txt
	$(PIN) --extra build --extra dev -c requirements.txt pyproject.toml -o requirements-dev.txt
	$(PIN) --extra build --extra bench pyproject.toml -o requirements-bench.txt
	$(PIN) --extra build --extra spark-tests -c requirements.txt pyproject.toml -o requirements-spark.txt
	for file in requirements*.txt; do awk "$$WITH_PLAIN_PINS" $$file > $$file.new && mv $$file.new $$file; done
PIN = uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate \
	--no-header --no-strip-extras $(ARGS)
# pip before 23.3 does not see that name[extra]==1 pins name too, nor the other way round: both are written.
define WITH_PLAIN_PINS
function flush() { if (plain != "") printf "%s", plain; plain = "" }
/^[^ ]/ { flush(); keep = ($$0 ~ /^[^ ]+\[/) }
{ print; if (keep) { line = $$0; sub(/\[[^]]*\]/, "", line); plain = plain line "\n" } }
END { flush() }
endef
export WITH_PLAIN_PINS

clean: ## Remove what these commands made
	rm -rf $(VENV) $(BENCH_VENV) $(SPARK_VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python-is-new-enough:
	@$(PYTHON) -c 'import sys; sys.exit("journeyflow needs Python 3.11 or newer; name one: make PYTHON=python3.12 ...") if sys.version_info < (3, 11) else None'
.PHONY: python-is-new-enough

$(VENV)/.installed: requirements.txt pyproject.toml | python-is-new-enough
	@echo "Installing into $(VENV), once ..."
	@$(call make_venv,$(VENV))
	@$(call install,$(VENV),requirements.txt)
	@touch $@

$(VENV)/.installed-dev: requirements-dev.txt pyproject.toml | python-is-new-enough
	@echo "Installing into $(VENV), once ..."
	@$(call make_venv,$(VENV))
	@$(call install,$(VENV),requirements-dev.txt)
	@touch $@

$(BENCH_VENV)/.installed: requirements-bench.txt pyproject.toml | python-is-new-enough
	@echo "Installing into $(BENCH_VENV), once ..."
	@$(call make_venv,$(BENCH_VENV))
	@$(call install,$(BENCH_VENV),requirements-bench.txt)
	@touch $@

$(SPARK_VENV)/.installed: requirements-spark.txt pyproject.toml | python-is-new-enough
	@echo "Installing into $(SPARK_VENV), once ..."
	@$(call make_venv,$(SPARK_VENV))
	@$(call install,$(SPARK_VENV),requirements-spark.txt)
	@touch $@
