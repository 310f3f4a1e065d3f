# Two commands to remember: `make demo` and `make test`. Every target makes what it needs.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := agent bench demo licence_master licensing packaging runtime setup.py telephony tests
SHIPPED := $(shell find agent licence_master licensing runtime telephony -name "*.py")
COMPILED := .cache/compiled
# Real programs that the tests drive (Debian names); installed by `make test` where it may.
PACKAGES := kamailio kamailio-extra-modules kamailio-tls-modules sip-tester baresip-core dnsmasq-base nftables iproute2 util-linux procps strace systemd tcpdump

.PHONY: demo test check bench chaos compiled format fuzz lock packages clean

demo: .venv/.run        ## two sites, a master, real SIP on loopback; ARGS=--once plays the story and ends
	@$(BIN)/python -m demo $(ARGS)

test: packages check compiled  ## everything; set-up included
	@$(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup $(ARGS)
	@$(COMPILED)/bin/python -P -m pytest --numprocesses=2 --quiet --override-ini pythonpath= tests/telephony

check: .venv/.dev       ## format, lint, types, architecture
	@$(BIN)/ruff format --check --quiet $(SOURCES)
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/python -m pytest --quiet tests/test_architecture.py

bench: packages compiled  ## ratios to real peers measured in the same run -> bench/results.json
	@$(BIN)/python -m bench $(ARGS)

chaos: packages compiled  ## the long runs; a failure prints its seed
	@CHAOS=1 $(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup tests/simulation tests/acceptance tests/licensing tests/telephony $(ARGS)

fuzz: .venv/.fuzz       ## new inputs for the SIP core (tests/fuzz); ARGS=-max_total_time=3600, ARGS=keep
	@$(BIN)/python -m tests.fuzz $(ARGS)

format: .venv/.dev
	@$(BIN)/ruff format $(SOURCES)
	@$(BIN)/ruff check --fix $(SOURCES)

# Hash-pinned locks; run after a change of the requirements in pyproject.toml.
lock: .venv/.dev
	@$(BIN)/pip-compile --quiet --upgrade --build-deps-for editable --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url \
	  --no-emit-find-links --extra master --output-file requirements.lock pyproject.toml
	@$(BIN)/pip-compile --quiet --upgrade --build-deps-for editable --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url \
	  --no-emit-find-links --all-extras --constraint requirements.lock --output-file requirements-dev.lock pyproject.toml
	@$(BIN)/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["fuzz"])' \
	  | $(BIN)/pip-compile --quiet --upgrade --generate-hashes --strip-extras --allow-unsafe --no-header --no-emit-index-url \
	  --no-emit-find-links --output-file requirements-fuzz.lock -

.venv/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version)'
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/.run: .venv/.made requirements.lock pyproject.toml
	@echo "installing into .venv (the first time takes a minute) ..."
	@test -e .venv/.dev || $(PIP) install --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.made requirements-dev.lock pyproject.toml
	@echo "installing into .venv (the first time takes a minute) ..."
	@$(PIP) install --require-hashes --requirement requirements-dev.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.fuzz: .venv/.dev requirements-fuzz.lock
	@$(PIP) install --require-hashes --requirement requirements-fuzz.lock
	@touch $@

# What `pip install .` makes, in an environment of its own that lends the libraries of .venv; the tests of real
# programs and the benchmarks run it. Editable installations are never compiled.
compiled: $(COMPILED)/.made

$(COMPILED)/.made: .venv/.dev setup.py packaging/backend.py $(SHIPPED)
	@echo "building the wheel, as pip install would (half a minute) ..."
	@rm -rf build .cache/wheel $(COMPILED)
	@$(PIP) wheel --no-deps --no-build-isolation --wheel-dir .cache/wheel .
	@$(BIN)/python -m venv --without-pip $(COMPILED)
	@$(BIN)/python -c 'import os, sysconfig; print(sysconfig.get_path("purelib"), os.getcwd(), sep="\n")' \
	  >$$(echo $(COMPILED)/lib/python*/site-packages)/libraries.pth
	@$(PIP) --python $(COMPILED)/bin/python install --no-deps .cache/wheel/*.whl
	@touch $@

packages:
	@missing=$$(for p in $(PACKAGES); do dpkg-query -W -f='$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -z "$$missing" ]; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "installing" $$missing; apt-get update --quiet=2 && DEBIAN_FRONTEND=noninteractive apt-get install --quiet=2 --yes --no-install-recommends $$missing >/dev/null; \
	else echo "NOT INSTALLED (needs root):" $$missing "- tests of these programs will be named as skipped"; fi

clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
