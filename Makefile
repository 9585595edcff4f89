# The commands of this project. Each sets up what it needs; tools/ has the scripts that do.
PYTHON ?= python3
VERSIONS ?=
CHECK ?=
BENCH = $(PYTHON) bench/python/bench.py

.DEFAULT_GOAL := help
.PHONY: help demo demo-web test check test-all test-cpp conformance fuzz real-code build bench bench-python bench-cpp bench-bridge bench-handoff bench-instructions bench-result bench-threads docs lint clean bench-streams wheels

help:  ## print this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-20s %s\n", $$1, $$2}' Makefile

demo:  ## JSON lines over TCP, the walk of a tree, a server that streams; each beside native and beside 1.10
	@$(PYTHON) tools/demo $(VERSIONS)

demo-web:  ## look at the demonstration's server in a browser
	@$(PYTHON) tools/demo $(VERSIONS) --web

test:  ## run a part of each part's tests, on one interpreter: five minutes (VERSIONS="3.12 3.14" for others)
	@$(PYTHON) tools/test $(VERSIONS)

check:  ## run all tests, on every interpreter found and in every configuration (VERSIONS="3.12 3.14" for some)
	@$(PYTHON) tools/test --check $(CHECK) $(VERSIONS)

test-all:  ## the same and the slow suites
	@$(PYTHON) tools/test --all $(VERSIONS)

test-cpp:  ## only the C++ tests, in every configuration
	@$(PYTHON) tools/test-cpp

conformance:  ## run the table of scenarios on every implementation, print the matrix
	@$(PYTHON) tools/conformance $(VERSIONS)

fuzz:  ## compare random scenarios until a difference is found (VERSIONS=3.12 for one interpreter)
	@$(PYTHON) tools/fuzz $(VERSIONS)

real-code:  ## run the tests of other packages on this one, beside the same on 1.10 or native (the network is needed)
	@$(PYTHON) tools/real-code

build:  ## build the package for every interpreter found, into environments under .venv/
	@$(PYTHON) tools/environment $(VERSIONS)

wheels:  ## build the sdist and the wheels that this machine can, for others by zig; check them, print a table (VERSIONS=3.13)
	@$(PYTHON) tools/wheels $(VERSIONS)

bench: bench-instructions bench-python bench-cpp bench-bridge bench-handoff bench-result  ## the figures of both faces, each beside its peers

bench-python:  ## nanoseconds per item against native and 1.10
	@$(BENCH) time --python $(VERSIONS)

bench-cpp:  ## the C++ library against its peers: nanoseconds and instructions per item, memory
	@$(PYTHON) tools/bench-cpp --json bench/cpp/results.json

bench-streams:  ## streams against queues, tasks and threads by hand, and aiostream if it is installed
	@$$($(PYTHON) tools/environment $(or $(VERSIONS),3.13)) bench/python/streams.py

bench-handoff:  ## items from a C++ thread to an event loop: CPU and latency against call_soon_threadsafe; fairness
	@$$($(PYTHON) tools/environment $(or $(VERSIONS),3.13)) bench/bridge/handoff.py --json bench/bridge/results.json

bench-result:  ## one result of a C++ thread: CPU against call_soon_threadsafe(future.set_result)
	@$$($(PYTHON) tools/environment $(or $(VERSIONS),3.13)) bench/bridge/results.py --json bench/bridge/one_result.json

bench-threads:  ## how two threads scale without the GIL, beside native (needs two free processors)
	@$$($(PYTHON) tools/environment $(or $(VERSIONS),3.13t)) -X gil=0 bench/python/threads.py --json bench/python/results/threads.json

bench-bridge:  ## instructions per item of C++ generators in Python against native, under valgrind
	@$(PYTHON) bench/bridge/bench.py $(VERSIONS)

bench-instructions:  ## Python's instructions per item, under valgrind: no noise
	@$(BENCH) instructions --python $(VERSIONS)

docs:  ## build the site into build/docs/site (AGEN_DOCS=--serve to look at it)
	@$(PYTHON) tools/docs $(AGEN_DOCS)

lint:  ## formatting and static checks of C++ and Python
	@$(PYTHON) tools/lint

clean:  ## remove what was built, keep what was downloaded
	rm -rf build dist .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -not -path './.cache/*' -exec rm -rf {} +
