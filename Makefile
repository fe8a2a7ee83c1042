# make demo   track points through the bundled clip    make check   lint, format, types
# make test   run the tests                            make bench   time the tracker
# make docs   the documentation site, in site/
# make kubric-env   what rendering training clips needs (docs/train/kubric.md), apart from the rest: 1.5 GB
PYTHON ?= python3
TORCH  ?= 2.13.0
JOBS   ?= 2
INPUTS ?= 10000
INSTALL_FLAGS ?=
VENV   := .venv
PY     := $(VENV)/bin/python
INSTALL := $(PY) .ci/install.py $(INSTALL_FLAGS)

# Options for the installer when it gets torch; on Linux without a GPU the CPU build is gigabytes smaller:
# make demo TORCH_INDEX="--index-url https://download.pytorch.org/whl/cpu"
TORCH_INDEX ?=

# Blender from pip wants Python 3.11 exactly.
KUBRIC_PYTHON ?= python3.11
KUBRIC_VENV   ?= .venv-kubric
KUBRIC_PIP    := $(KUBRIC_VENV)/bin/python -m pip --disable-pip-version-check install -qq --retries 2

.PHONY: demo test test-long ui-test check bench fuzz kill docs clean kubric-env
.DELETE_ON_ERROR:

demo: $(VENV)/.ready
	$(PY) demo.py

# One torch thread per test process: two processes on two cores beat one process with two threads. A file goes to one
# process, which makes what its tests share once (tests/conftest.py).
test: $(VENV)/.ready-test
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -n $(JOBS) --no-loadscope-reorder

# The page in chromium, where there is one; `make test` runs this too.
ui-test: $(VENV)/.ready-test
	$(PY) -m pytest -q tests/ui

# What takes minutes each, or is held by quicker tests too: batches of 60 videos killed at random, runs of two processes,
# whole published networks and their graphs, 100,000 rows.
test-long: $(VENV)/.ready-test
	OMP_NUM_THREADS=1 $(PY) -m pytest -q -m long

check: $(VENV)/.ready-dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

bench: $(VENV)/.ready
	$(PY) -m benchmarks.track

docs: $(VENV)/.ready-docs
	$(PY) -m mkdocs build --strict --quiet

# Damaged and hostile files through every reader, and kills of every writer; figures for docs/results/reliability.md.
fuzz: $(VENV)/.ready-test
	$(PY) -m benchmarks.reliability.fuzz --inputs $(INPUTS) --jobs $(JOBS) --out outputs/fuzz.json

kill: $(VENV)/.ready-test
	$(PY) -m benchmarks.reliability.kill --kills 20 --out outputs/kill.json

clean:
	rm -rf build dist site *.egg-info outputs .pytest_cache .ruff_cache .mypy_cache
	find . -name __pycache__ -type d -not -path './$(VENV)/*' -prune -exec rm -rf {} +

$(VENV)/.torch:
	@test -x $(PY) || $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
		{ echo "expected Python 3.10 or newer, got $$($(PYTHON) --version 2>&1): make demo PYTHON=/path/to/python3.12"; exit 1; }
	@echo "installing into $(VENV), once, a minute or a few; make INSTALL_FLAGS=-v shows more: torch"
	@test -x $(PY) || $(PYTHON) -m venv $(VENV)
	@$(PY) -c "import torch" 2>/dev/null || $(INSTALL) --no-deps torch==$(TORCH) $(TORCH_INDEX) \
		|| echo "torch $(TORCH) cannot be had; the installer will choose one"
	@touch $@

$(VENV)/.ready: $(VENV)/.torch setup.cfg pyproject.toml
	@echo "installing pointtrack and what it needs"
	@$(INSTALL) -e '.[ui]'
	@touch $@

$(VENV)/.ready-test: $(VENV)/.ready
	@echo "installing what the tests need, once"
	@$(INSTALL) -e '.[test,train]'
	@touch $@

$(VENV)/.ready-dev: $(VENV)/.ready-test
	@echo "installing what the checks need, once"
	@$(INSTALL) -e '.[dev]'
	@touch $@

# What `check` and `test` need, in one step.
$(VENV)/.ready-all: $(VENV)/.torch setup.cfg pyproject.toml
	@$(INSTALL) -e '.[dev,train]'
	@touch $(VENV)/.ready && touch $(VENV)/.ready-test && touch $(VENV)/.ready-dev && touch $@

$(VENV)/.ready-docs: $(VENV)/.ready
	@echo "installing what the site needs, once"
	@$(INSTALL) -e '.[docs]'
	@touch $@

kubric-env: $(KUBRIC_VENV)/.ready
	@echo "ready: python -m train.kubric render --out FOLDER --clips 20"

# Kubric comes without its dependencies: its core does without tensorflow, apache-beam and google-cloud.
$(KUBRIC_VENV)/.ready: train/kubric/requirements.txt
	@$(KUBRIC_PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "Blender from pip wants Python 3.11: make kubric-env KUBRIC_PYTHON=/path/to/python3.11"; exit 1; }
	@test -x $(KUBRIC_VENV)/bin/python || $(KUBRIC_PYTHON) -m venv $(KUBRIC_VENV)
	@echo '*' > $(KUBRIC_VENV)/.gitignore
	@$(KUBRIC_PIP) -r train/kubric/requirements.txt
	@$(KUBRIC_PIP) --no-deps kubric-nightly==2023.12.27
	@touch $@
