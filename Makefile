# Every target works in a fresh clone with Python, make and the package index; the first one builds .venv.
# `make PYTHON=/path/to/python3.11 venv` chooses the interpreter.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.complete
PYTHON ?=
DEMO ?= demo

# By this exact pin and before everything else: a bare `torch` takes the newest build with gigabytes of CUDA.
TORCH ?= torch==2.13.0
EXTRAS := core,scipion,report,simulate,cryosparc,test,docs

.DEFAULT_GOAL := help
.PHONY: help venv demo demo-core test test-gpu test-oldest test-newest test-scipion lint docs bench bench-all bench-gpu clean

help:
	@echo "make venv       the environment, in $(VENV)"
	@echo "make demo       simulated particles through the program and through Scipion, results in $(DEMO)/"
	@echo "make demo-core  the same without Scipion"
	@echo "make test       all tests"
	@echo "make test-gpu   tests on a GPU; TORCH= names PyTorch's build for it"
	@echo "make test-oldest, make test-newest"
	@echo "                the core's tests on the oldest and the newest packages that pyproject.toml admits"
	@echo "make test-scipion"
	@echo "                installs Scipion and the plugin as a user does, and runs the plugin's tests there"
	@echo "make lint       style, types and spelling: ruff, mypy, codespell"
	@echo "make docs       the documents as a site, in docs/_build/html"
	@echo "make bench-gpu  what the parts of a classification take on a GPU"
	@echo "make bench      comparisons with rivals in small sizes, at most an hour: docs/benchmarks/comparisons.rst"
	@echo "make bench-all  the figures of docs/benchmarks, in hours"

venv: $(STAMP)

# An environment without its stamp was interrupted: it is thrown away.
$(STAMP): pyproject.toml setup.py
	@test -f $@ || { \
	    python=$$(sh tools/find_python.sh "$(PYTHON)") || exit 1; \
	    echo "Building $(VENV) with $$python: about 5 minutes and 2 GB"; \
	    rm -rf $(VENV); \
	    "$$python" -m venv $(VENV) && $(BIN)/python -m pip install -q $(TORCH); }
	@$(BIN)/python -m pip install -q -e '.[$(EXTRAS)]'
	@touch $@

demo: $(STAMP)
	$(BIN)/python -m alignpca2d_plugin.demo --project $(DEMO)/scipion

demo-core: $(STAMP)
	@rm -rf $(DEMO)/core
	$(BIN)/alignpca2d simulate -o $(DEMO)/core/particles
	$(BIN)/alignpca2d classify $(DEMO)/core/particles/particles.xmd -o $(DEMO)/core/classes --classes 20
	$(BIN)/alignpca2d evaluate $(DEMO)/core/classes --truth $(DEMO)/core/particles/truth.csv
	@echo "Report: $(DEMO)/core/classes/report.html"

test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

test-gpu: $(STAMP)
	$(BIN)/python -m pytest -m gpu tests/pretended_gpu

test-oldest:
	@sh tools/test_bounds.sh oldest $(TORCH)

test-newest:
	@sh tools/test_bounds.sh newest $(TORCH)

test-scipion:
	@sh tools/test_scipion.sh "$(PYTHON)"

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy --config-file= --ignore-missing-imports --follow-imports silent \
	    --disable-error-code import-untyped --disable-error-code arg-type --disable-error-code union-attr benchmarks
	$(BIN)/codespell

docs: $(STAMP)
	$(BIN)/python -m sphinx -q -W --keep-going -b html docs docs/_build/html
	@echo "Documents: docs/_build/html/index.html"

bench: $(STAMP)
	$(BIN)/python benchmarks/bench_all.py

bench-all: $(STAMP)
	$(BIN)/python -m pytest -m benchmark -s benchmarks

bench-gpu: $(STAMP)
	$(BIN)/python benchmarks/bench_gpu.py

clean:
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-newest $(VENV)-scipion $(DEMO) docs/_build
