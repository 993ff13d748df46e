# All targets use a virtual environment in .venv. It is made at the first use, and updated when its sources change.
#
#     make test      runs the tests; with Go also against a real kube-apiserver, which is built once
#     make demo      compares kinform with a list-watch loop
#     make lint      runs the linters and type checkers
#     make real      runs only the tests that need a real kube-apiserver, and fails without one
#     make quick     runs two minutes of benchmarks, and fails if a ratio is out of bounds
#     make bench     installs what all benchmarks need, and builds the other clients
#     make peers     builds only the other clients: for Python, and for Go and Rust if these are installed
#     make checked   tests the compiled modules in a build that checks bounds and overflows
#     make wheels    builds a source distribution and a wheel for each Python in dist, and tests each wheel
#     make docs      builds the documentation as a site in build/site
#     make coverage  reports the coverage of the last tests with COVERAGE=1, lowest files first
#     make clean     removes everything that these targets made
#
#     make test ARGS='-k informer -x'   passes arguments to pytest; `make demo ARGS=...` to the demo
#     make test WORKERS=0               runs the tests in one process, for a debugger; 2 processes are the default
#     make test COVERAGE=1              measures line coverage; `make checked COVERAGE=1` that of Cython code
#     make test PYTHON=python3.13       chooses the Python for a new environment
#     make wheels PYTHONS=python3.13    builds a wheel for these Pythons only

PYTHON ?= python3
ARGS ?=
WORKERS ?= 2
PYTHONS ?= python3.11 python3.12 python3.13

VENV := .venv
BIN := $(VENV)/bin
RUN := $(BIN)/python -m
PEERS := build/peers
PYTEST := pytest
PARALLEL := -n $(WORKERS) --dist loadfile
EXTRA = $$($(BIN)/python -c \
	'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["$(1)"])')
# A terminal shows the progress of pip, and a log only its errors.
# In the mode `compat`, type checkers find kinform. By default, an editable package is found only by an import hook.
INSTALL := $(RUN) pip install $(if $(MAKE_TERMOUT),,--quiet) --disable-pip-version-check \
	--config-settings editable_mode=compat --editable

ifdef COVERAGE
export COVERAGE_RCFILE := $(CURDIR)/pyproject.toml
export COVERAGE_FILE := $(CURDIR)/build/coverage/data
PYTEST := coverage run -m pytest -p tests.support.coverage_of_workers
endif

SOURCES := pyproject.toml setup.py $(wildcard kinform_ext/*.px[di] kinform_ext/*.pyx kinform_ext/*.h kinform_ext/*/*.h)

.PHONY: demo test real lint docs coverage checked quick bench peers peers-python peers-go peers-rust wheels clean
.NOTPARALLEL:

demo: $(VENV)/.demo
	@$(RUN) kinform demo $(ARGS)

test: $(VENV)/.test
	@mkdir -p build/coverage
	@$(RUN) $(PYTEST) $(PARALLEL) $(ARGS)

real: $(VENV)/.test
	@KINFORM_REAL=require $(RUN) pytest -m real $(ARGS)

lint: $(VENV)/.lint
	@$(RUN) ruff check .
	@$(RUN) ruff format --check .
	@$(RUN) mypy
	@$(RUN) mypy tests/typing/*.py
	@$(BIN)/basedpyright --level error
	@$(RUN) tests.docs.typed
	@PATH="$(CURDIR)/$(BIN):$$PATH" cython-lint kinform_ext
	@$(RUN) mypy.stubtest --concise kinform_ext
	@$(BIN)/check-manifest --quiet --no-build-isolation

docs: $(VENV)/.docs
	@NO_MKDOCS_2_WARNING=1 $(RUN) mkdocs build --strict

coverage: $(VENV)/.test
	@$(RUN) coverage combine --quiet
	@$(RUN) coverage report

quick: $(VENV)/.bench
	@$(RUN) benchmarks quick $(ARGS)

bench: $(VENV)/.bench peers

# A client that cannot be built is reported here, and below each table in which it is missing.
peers: peers-python peers-go peers-rust

peers-python: $(PEERS)/python/.made

$(PEERS)/python/.made: benchmarks/peers/python/requirements.txt
	@echo 'installing other clients for Python into $(PEERS)/python'
	@$(PYTHON) -m venv $(PEERS)/python
	@$(PEERS)/python/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@

peers-go:
	@if command -v go >/dev/null; then \
		echo 'building the informer on client-go; the first time takes some minutes'; \
		cd benchmarks/peers/go && CGO_ENABLED=0 go build -trimpath -o ../../../$(PEERS)/go/client-go .; \
	else echo 'skipping client-go: `go` is not installed'; fi

peers-rust:
	@if command -v cargo >/dev/null; then \
		echo 'building the reflectors on kube-rs; the first time takes some minutes'; \
		cd benchmarks/peers/rust && export CARGO_TARGET_DIR=../../../$(PEERS)/rust/target && \
		cargo build --quiet --release --locked --features jemalloc && \
		cp $$CARGO_TARGET_DIR/release/kube-rs ../../../$(PEERS)/rust/kube-rs-jemalloc && \
		cargo build --quiet --release --locked && \
		cp $$CARGO_TARGET_DIR/release/kube-rs ../../../$(PEERS)/rust/kube-rs; \
	else echo 'skipping kube-rs: `cargo` is not installed'; fi

# In a separate folder, so that the ordinary build stays unchanged.
checked: $(VENV)/.lint
	@rm -rf build/checked && mkdir -p build/checked build/coverage
	@cp -r kinform kinform_ext tests setup.py pyproject.toml README.md LICENSE LICENSES_bundled.txt build/checked
	@rm -f build/checked/kinform_ext/*.so build/checked/kinform_ext/*.c
	@cd build/checked && KINFORM_CHECKED=1 $(abspath $(BIN))/python setup.py --quiet build_ext --inplace
	@cd build/checked && PYTHONPATH=. $(abspath $(BIN))/python -P -m $(PYTEST) -q $(PARALLEL) tests/ext tests/core/test_store.py tests/core/test_store_indexes.py $(ARGS)

# The extra has tools only: kinform itself is built in environments of its own.
wheels: $(VENV)/.made
	@echo '2 of 2: installing the tools for wheels into $(VENV)'
	@$(RUN) pip install --quiet --disable-pip-version-check $(call EXTRA,wheels)
	@PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python tools/wheels.py $(PYTHONS)

clean:
	@rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .benchmarks
	@rm -f kinform_ext/*.so kinform_ext/*.c
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp file marks an environment with an extra installed. A larger extra also touches the stamps of the smaller ones.

$(VENV)/.made:
	@PYTHON='$(PYTHON)' tools/preflight
	@echo '#include <zstd.h>' | $(CC) $(CPPFLAGS) $(CFLAGS) -x c -fsyntax-only - 2>/dev/null || { echo 'kinform cannot be' \
		'built here: the headers of libzstd are missing (on Debian and Ubuntu: apt install libzstd-dev)' >&2; exit 1; }
	@echo '1 of 2: making $(VENV) with $(PYTHON)'
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.demo: $(SOURCES) | $(VENV)/.made
	@echo '2 of 2: building and installing kinform into $(VENV)'
	@$(INSTALL) '.[cli]'
	@touch $@

$(VENV)/.test: $(SOURCES) | $(VENV)/.made
	@echo '2 of 2: building kinform and installing it with its test requirements into $(VENV)'
	@$(INSTALL) '.[test]'
	@touch $(VENV)/.demo $@

$(VENV)/.bench: $(SOURCES) | $(VENV)/.made
	@echo '2 of 2: building kinform and installing it with its benchmark requirements into $(VENV)'
	@KINFORM_SYMBOLS=1 $(INSTALL) '.[bench]'
	@touch $(VENV)/.demo $(VENV)/.test $@

$(VENV)/.lint: $(SOURCES) | $(VENV)/.made
	@echo '2 of 2: building kinform and installing it with the linters into $(VENV)'
	@$(INSTALL) '.[test,lint]'
	@touch $(VENV)/.demo $(VENV)/.test $@

# Only the requirements of the extra: the documentation needs no build of kinform.
$(VENV)/.docs: pyproject.toml | $(VENV)/.made
	@echo '2 of 2: installing mkdocs into $(VENV)'
	@$(RUN) pip install --quiet --disable-pip-version-check $(call EXTRA,docs)
	@touch $@
