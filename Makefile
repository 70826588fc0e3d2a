# Thin: what each target does is in tools/. Everything it needs is installed by `make setup`, in .venv and build/.
# Pass arguments with ARGS, such as: make demo ARGS="--wire tcp"

.PHONY: help setup build test test-all test-rdma fuzz demo bench lint format clean

help:
	@echo "make demo     three processes replicate real files, one is killed, a new one joins"
	@echo "make test     every behaviour once; ARGS='lint python' for some stages, ARGS=--list to see them"
	@echo "make test-all  that, and what takes longer: RDMA, sanitizers, many seeds, fuzzing, another compiler"
	@echo "make test-rdma  what of it needs RDMA, in a machine of its own; see tests/rdma/README.md"
	@echo "make fuzz     look for inputs that break the core; ARGS='views --seconds 600', see tests/fuzz/README.md"
	@echo "make bench    measure this machine, then libderecho on it"
	@echo "make build    build and install libderecho into .venv (as does every target that needs it)"
	@echo "make lint     only the checks of form; make format puts right what can be"
	@echo "make clean    remove what was built"

setup build:
	@tools/setup.sh

test: setup
	@.venv/bin/python tools/run_tests.py $(ARGS)

test-all: setup
	@.venv/bin/python tools/run_tests.py --all $(ARGS)

test-rdma: setup
	@.venv/bin/python tools/run_tests.py rdma $(ARGS)

fuzz: setup
	@.venv/bin/python tools/fuzz.py $(ARGS)

demo: setup
	@.venv/bin/derecho demo $(ARGS)

bench: setup
	@.venv/bin/derecho bench $(ARGS)

lint: setup
	@.venv/bin/python tools/run_tests.py lint

format: setup
	@tools/format.sh

clean:
	rm -rf build dist .venv .mypy_cache .ruff_cache .pytest_cache
