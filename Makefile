# Each target makes its own virtual environment, says in one line what the machine
# lacks, and does all the rest.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
ANALYSIS := $(VENV)/.analysis
DEV := $(VENV)/.dev
SOURCES := setup.py pyproject.toml $(wildcard dsp/*.pyx dsp/*.pxd bridge/*.pyx bridge/*.pxd) \
	bridge/uplink.py bridge/playout.py

.PHONY: demo test lint kernels simulate bench build clean

demo: $(ANALYSIS)
	$(BIN)/kolbridge demo

test: $(DEV)
	$(BIN)/python -m pytest -q

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint dsp bridge bench/fast

kernels: $(DEV)
	scripts/check_kernels.sh

simulate: $(DEV)
	$(BIN)/python -m bench simulate

bench: $(DEV)
	$(BIN)/python -m bench
	$(BIN)/python -m pytest -q tests/bench/test_timings.py --benchmark-enable \
	  --benchmark-only --benchmark-max-time=0.2 --benchmark-columns=min,median,rounds \
	  --benchmark-json=bench/results/$(shell date -u +%Y%m%d-%H%M%S)-timings.json
	$(BIN)/kolbridge bench --png bench/results/trend.png

build: $(DEV)
	$(BIN)/python -m build --wheel

$(BIN)/pip:
	@sh scripts/check_machine.sh $(PYTHON)
	$(PYTHON) -m venv $(VENV)

$(ANALYSIS): $(BIN)/pip $(SOURCES)
	$(BIN)/pip install --quiet --editable '.[analysis]'
	@touch $@

$(DEV): $(BIN)/pip $(SOURCES)
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ $(ANALYSIS)

clean:
	rm -rf $(VENV) build dist *.egg-info demo dsp/*.c dsp/*.so bridge/*.c bridge/*.so
