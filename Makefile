# Each target does its own set-up; all that is needed is Python 3.11 or newer with pip.
#   make demo    make tiny models and run a hierarchical merge of them
#   make test    run the tests
#   make quick   run those that take no time: under a minute on two cores
#   make check   format, lint, types, tests: what CI runs
#   make bench   measure mergec beside mergekit (half an hour, 12 GB of disk)

PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
INSTALL := -m pip install -qq --disable-pip-version-check -c constraints.txt

# PyTorch's own index has the build for CPUs. Where it can't be reached pip's usual sources serve.
CPU_TORCH := $(INSTALL) --no-deps --retries 0 --index-url https://download.pytorch.org/whl/cpu torch

TYPED := -m mergec $(patsubst %.py,-m mergec.%,$(filter-out __init__.py,$(wildcard *.py))) \
	$(patsubst %/__init__.py,-p mergec.%,$(filter-out examples/%,$(wildcard */__init__.py)))

.PHONY: demo test quick check format bench clean

demo: .venv/ready
	$(BIN)/mergec demo

test: .venv/ready
	$(BIN)/python -m pytest -n auto --dist loadfile

quick: .venv/ready
	$(BIN)/python -m pytest -q -n auto --dist loadfile -m "not slow and not browser"

check: .venv/ready build/typing/mergec
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	MYPYPATH=build/typing $(BIN)/mypy $(TYPED)
	$(BIN)/python -m pytest -n auto --dist loadfile

format: .venv/ready
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: .venv/ready benchmarks/.venv-mergekit/ready
	$(BIN)/python benchmarks/compare.py
	$(BIN)/python benchmarks/memory.py

clean:
	rm -rf build dist *.egg-info demo-out benchmarks/data

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python $(CPU_TORCH) || true
	$(BIN)/python $(INSTALL) -e '.[dev]'
	@touch $@

benchmarks/.venv-mergekit/ready: constraints.txt
	$(PYTHON) -m venv benchmarks/.venv-mergekit
	benchmarks/.venv-mergekit/bin/python $(CPU_TORCH) || true
	benchmarks/.venv-mergekit/bin/python $(INSTALL) mergekit==0.1.5
	@touch $@

# mypy wants the package in a folder of its own name
build/typing/mergec:
	mkdir -p build/typing
	ln -sfn ../.. $@
