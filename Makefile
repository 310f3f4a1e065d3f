# Two commands to remember: `make demo` and `make test`. Every target makes what it needs.
# The distribution's Python, where it can make an environment and compile for it: services run on it (decision 0056).
ABLE := import ensurepip, os, sys, sysconfig; sys.exit(sys.version_info < (3, 11) or not os.path.exists(sysconfig.get_path("include") + "/Python.h"))
PYTHON ?= $(shell /usr/bin/python3 -c '$(ABLE)' 2>/dev/null && echo /usr/bin/python3 || echo python3)
unexport PYTHONDONTWRITEBYTECODE  # each of some 700 starts would compile all that it imports
BIN := .venv/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
SOURCES := agent bench billing demo licence_file licence_master licensing packaging runtime setup.py telephony tests
SHIPPED := $(shell find agent billing licence_file licence_master licensing runtime telephony -name "*.py")
COMPILED := .cache/compiled
COMPUTING := tests/billing tests/licensing tests/licence_file tests/planted tests/simulation tests/telephony
DESCRIBED := tests/licence_master/test_described.py  # asks a master by the thousand and computes all the while
# Real programs that the tests drive (Debian names); installed by `make test` where it may.
PACKAGES := kamailio kamailio-extra-modules kamailio-presence-modules kamailio-tls-modules sip-tester baresip-core dnsmasq-base nftables iproute2 util-linux procps strace systemd tcpdump faketime etcd-server postgresql \
  libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-inter

# Asterisk is in no stable Debian: it is unpacked, not installed, outside the tree and for all checkouts.
ASTERISK := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/pbx-licences/asterisk

.PHONY: asterisk demo test test-programs test-computing test-core check bench chaos compiled schema format fuzz lock packages clean

demo: .venv/.run        ## two sites, a master, real SIP on loopback; ARGS=--once plays the story and ends
	@$(BIN)/python -m demo $(ARGS)

# Three runs side by side, each as soon as it has what it needs. Those that compute take what the programs, which
# look at the clock, leave of the processors; what they say is shown at the end.
test:                   ## everything; set-up included
ifdef ARGS
	@$(MAKE) --no-print-directory --jobs=3 packages asterisk check compiled
	@$(BIN)/python -m pytest --numprocesses=3 --dist=loadgroup $(ARGS)
else
	@mkdir -p .cache; rm -f .cache/test-*.log; $(MAKE) --no-print-directory --jobs --keep-going check test-programs test-computing test-core; ended=$$?; \
	cat .cache/test-*.log; exit $$ended
endif

test-programs: packages asterisk compiled
	@$(BIN)/python -m pytest --numprocesses=4 --dist=loadgroup $(addprefix --ignore=,$(COMPUTING) $(DESCRIBED) tests/test_architecture.py)

test-computing: .venv/.dev
	@nice -n 19 $(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup --timeout=900 $(COMPUTING) >.cache/$@.log 2>&1

test-core: compiled     # the SIP core once more, as it ships; then what needs the program and has time
	@nice -n 19 $(COMPILED)/bin/python -P -m pytest --numprocesses=1 --quiet --override-ini pythonpath= --ignore=tests/telephony/cdr tests/telephony >.cache/$@.log 2>&1
	@nice -n 19 $(BIN)/python -m pytest $(DESCRIBED) >.cache/test-described.log 2>&1

check: .venv/.dev       ## format, lint, types, architecture
	@$(BIN)/ruff format --check --quiet $(SOURCES)
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/mypy
	@$(BIN)/python -m pytest --quiet tests/test_architecture.py

bench: packages compiled  ## ratios to real peers measured in the same run -> bench/results.json
	@$(BIN)/python -m bench $(ARGS)

chaos: packages asterisk compiled  ## the long runs; a failure prints its seed
	@CHAOS=1 $(BIN)/python -m pytest --numprocesses=2 --dist=loadgroup --timeout=14400 tests/simulation tests/chaos tests/acceptance tests/agent/cdr tests/licence_master tests/licensing tests/telephony $(ARGS)

fuzz: .venv/.fuzz       ## new inputs for the SIP core (tests/fuzz); ARGS=-max_total_time=3600, ARGS=keep
	@$(BIN)/python -m tests.fuzz $(ARGS)

schema: .venv/.dev      ## config/schema/*.json, for editors, from the models
	@$(BIN)/python -c 'import json; from licence_master.edges.scenario_file import schema; print(json.dumps(schema(), indent=2))' \
	  >config/schema/scenario.json
	@$(BIN)/python -c 'import json; from billing.edges.case import schema; print(json.dumps(schema(), indent=2))' >config/schema/case.json
	@$(BIN)/python -c 'import json; from billing.edges.billing_file import schema; print(json.dumps(schema(), indent=2))' >config/schema/billing.json

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
	@test -e .venv/.dev || $(PIP) install --no-compile --no-deps --require-hashes --requirement requirements.lock
	@$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.dev: .venv/.made requirements-dev.lock pyproject.toml
	@echo "installing into .venv (the first time takes a minute) ..."
	@$(PIP) install --no-compile --no-deps --require-hashes --requirement requirements-dev.lock
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
	  echo "installing" $$missing; sh tests/acceptance/peers/install.sh $$missing; \
	else echo "NOT INSTALLED (needs root):" $$missing "- tests of these programs will be named as skipped"; fi

asterisk:               ## Asterisk 22 for tests, without root
	@test -e $(ASTERISK)/control || { echo "fetching Asterisk (half a minute, 90 MB) ..."; sh tests/acceptance/peers/fetch-asterisk.sh $(ASTERISK); } || \
	  echo "NOT FETCHED: Asterisk - its tests will be named as skipped, its recordings run"

clean:
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
