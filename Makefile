# One environment for everything: `make run` and `make test` create it when it is missing or out of date.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# A machine with an NVIDIA driver also gets vLLM and 4-bit loading; everyone gets what the sample recipe needs.
EXTRAS ?= sample,test$(shell command -v nvidia-smi >/dev/null 2>&1 && nvidia-smi -L >/dev/null 2>&1 && echo ,vllm,gpu)
RECIPE ?= $(or $(PARLER_RECIPE),sample)

.PHONY: run test dev mlflow lint constraints clean
run: $(VENV)/.ready   ## materialize the whole asset graph of a recipe (RECIPE=sample)
	$(BIN)/parler-assets run --recipe $(RECIPE)

# A process a core and one for while others wait, at most five; each file in one of them, a thread each. The order is
# that of tests/conftest.py: xdist's own begins the files of few tests last, which are those that take minutes.
test: $(VENV)/.ready  ## run the tests
	n=$$(nproc); OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $$((n < 4 ? n + 1 : 5)) --dist loadfile --no-loadscope-reorder

dev: $(VENV)/.ready   ## the Dagster UI on http://127.0.0.1:3000
	$(BIN)/parler-assets dev --recipe $(RECIPE)

mlflow: $(VENV)/.ready ## the MLflow UI on http://127.0.0.1:5000
	$(BIN)/parler-assets mlflow --recipe $(RECIPE)

lint: $(VENV)/.ready  ## linter, formatter, types, order of imports
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

# uv does not read pip's settings: hand pip's find-links on, so that a local CPU build of torch is used where there is one.
# Compiling bytecode once spares every later process (each Dagster step is one) about 15 s.
$(VENV)/.ready: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	test -x $(BIN)/uv || $(BIN)/python -m pip install --quiet uv
	@echo "Installing what pyproject.toml names: a few minutes the first time"
	links="$${UV_FIND_LINKS:-$${PIP_FIND_LINKS:-$$($(BIN)/python -m pip config get global.find-links 2>/dev/null || true)}}"; \
	UV_FIND_LINKS="$$links" UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy \
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt -e ".[$(EXTRAS)]"
	touch $@

# find-links must be unset here: a set compiled against a local CPU wheel pins a triton no CUDA user can install.
constraints:
	UV_FIND_LINKS= $(BIN)/uv pip compile --python 3.11 --no-emit-index-url --no-annotate --no-header \
		--all-extras --upgrade pyproject.toml -o constraints.txt

clean:
	rm -rf $(VENV) data
