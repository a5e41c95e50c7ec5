# Everything a developer types. Each target installs what it needs, once, into .venv.
PYTHON ?= python3
BIN := .venv/bin
INSTALL := -m pip install -qq --disable-pip-version-check
KERNEL_TESTS = $(wildcard tests/test_kernels_*.py tests/test_parse.py tests/test_format.py tests/test_metrics.py)

.PHONY: help run test lint types bounds oracles coverage mutants lock oldest newest dist sdist-test sbom audit clean \
	figures docs peers bench-train bench-predict scaling

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-13s %s\n", $$1, $$2}' Makefile

run: .venv/installed  ## train on the embedded sample, evaluate, show predictions
	@$(BIN)/python -m xmc.datasets.demo .run

test: .venv/test-installed  ## run the tests
	$(BIN)/pytest

lint: .venv/test-installed  ## check the style
	$(BIN)/ruff check
	$(BIN)/ruff format --check

# As installed, cli/ and datasets/ lie inside xmc/: links lay them so, and what is imported from there is checked, too.
types: .venv/test-installed  ## check the types
	rm -rf .run/types
	mkdir -p .run/types/xmc
	ln -s $(CURDIR)/xmc/* $(CURDIR)/cli $(CURDIR)/datasets .run/types/xmc
	cd .run/types && MYPYPATH=. $(CURDIR)/$(BIN)/mypy --config-file $(CURDIR)/setup.cfg --package xmc
	$(BIN)/mypy xmc cli datasets

# In a cache of their own, so that checked kernels don't take the place of the others.
bounds: .venv/test-installed  ## run the kernel tests with bounds checks
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=$(CURDIR)/.numba_cache_bounds $(BIN)/pytest $(KERNEL_TESTS)

oracles: .venv/test-installed  ## run the kernel tests with kernels as plain Python
	NUMBA_DISABLE_JIT=1 $(BIN)/pytest $(KERNEL_TESTS)

coverage: .venv/test-installed  ## run the tests, print which lines and branches they miss
	mkdir -p .run
	rm -f .run/coverage*
	$(BIN)/coverage run --data-file=.run/coverage -m pytest -q
	$(BIN)/coverage combine -q --data-file=.run/coverage
	$(BIN)/coverage report --data-file=.run/coverage

# Some files instead of all that it knows: FILES="xmc/topk.py ...". Changes that cannot matter: tests/data/mutants.txt.
mutants: .venv/mutmut-installed  ## change the code in one place at a time, print what no test notices: SECONDS=600
	$(BIN)/python tests/mutants.py $(if $(SECONDS),--seconds $(SECONDS)) $(FILES)

# One lock for every platform and every Python that setup.cfg allows. Who installs the package gets setup.cfg's ranges.
lock: .run/tools/installed  ## renew requirements-dev.lock, the versions that the tests run with
	.run/tools/bin/uv pip compile setup.cfg --extra test --universal --generate-hashes --upgrade --no-emit-index-url \
		--quiet --custom-compile-command 'make lock' --output-file requirements-dev.lock

# Compiled by another Numba, so the compile cache is apart, too. TESTS="tests/test_a.py ..." runs some of the tests.
oldest:  ## run the tests with the oldest versions that setup.cfg allows
	rm -rf .run/oldest
	$(PYTHON) -m venv .run/oldest
	sed -n 's/^    \([a-z.-]*\)>=/\1==/p' setup.cfg | .run/oldest/bin/python $(INSTALL) -r /dev/stdin
	.run/oldest/bin/python $(INSTALL) --no-deps -e .
	NUMBA_CACHE_DIR=$(CURDIR)/.run/oldest/numba .run/oldest/bin/pytest $(TESTS)

newest:  ## run the tests with the newest versions of all; with another Python: PYTHON=python3.13
	rm -rf .run/newest
	$(PYTHON) -m venv .run/newest
	.run/newest/bin/python $(INSTALL) --upgrade --upgrade-strategy eager -e '.[test]'
	.run/newest/bin/python -m pip list
	NUMBA_CACHE_DIR=$(CURDIR)/.run/newest/numba .run/newest/bin/pytest $(TESTS)

INTO_DIST := $(BIN)/python -m pip --python dist/venv/bin/python install -qq --disable-pip-version-check

# The wheel is built from the sdist, so that the sdist has all that it takes. build/ goes first, or setuptools would pack
# what an earlier build left there. dist/venv holds the wheel and what it needs, nothing else, not even pip.
dist: .venv/test-installed  ## build sdist and wheel, try the wheel in an environment of its own
	rm -rf build dist
	$(BIN)/python -m build --outdir dist
	$(PYTHON) -m venv --without-pip dist/venv
	$(INTO_DIST) dist/*.whl
	cd dist && venv/bin/xmc --version && venv/bin/python -m xmc.datasets.demo demo

# They run against the wheel, with the kernels that its trial has compiled: what only the checkout has is missed. Not in
# dist/sdist, where Python finds the plain folder xmc/ first.
sdist-test: dist  ## run the tests that the sdist holds, or some of them: TESTS="tests/test_a.py ..."
	mkdir dist/sdist
	tar -xzf dist/*.tar.gz -C dist/sdist --strip-components 1
	$(INTO_DIST) --require-hashes -r dist/sdist/requirements-dev.lock
	cd dist && venv/bin/pytest -c sdist/setup.cfg $(addprefix sdist/,$(or $(TESTS),tests))

# What extras need is left out, as nothing is installed with them; so is where the wheel lay when it was installed.
sbom: dist .run/tools/installed  ## write dist/sbom.json, what the package needs, as CycloneDX
	find dist/venv -name direct_url.json -delete
	.run/tools/bin/cyclonedx-py environment --output-reproducible --of JSON --output-file dist/sbom.json dist/venv

audit: .venv/test-installed  ## check licences; known vulnerabilities, too: ADVISORIES=all.zip, OSV's export
	$(BIN)/python .ci/audit.py $(ADVISORIES)

figures: .venv/installed  ## draw the figures of the documents
	$(BIN)/python docs/figures.py

# Pages are read from the top of the checkout; a warning is an error.
docs: .venv/test-installed  ## make a site of the documents in .run/docs
	rm -rf .run/docs
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs -d .run/doctrees . .run/docs

XMC_PEERS ?= .venv/peers
BENCH = $(if $(SETS),--sets $(SETS)) $(if $(ONLY),--only $(ONLY)) $(if $(REPEATS),--repeats $(REPEATS)) --peers $(XMC_PEERS)

# Where they are built, or looked for: XMC_PEERS=FOLDER.
peers:  ## an environment for each peer of the benchmarks, or for PEERS="pecos omikuji"
	$(PYTHON) benchmarks/install.py $(XMC_PEERS) $(PEERS)

bench-train: .venv/installed  ## compare training with the peers': DATA=folder [SETS="..."] [ONLY="..."] [REPEATS=3]
	$(BIN)/python benchmarks/bench_train.py $(DATA) $(BENCH)

bench-predict: .venv/installed  ## compare prediction with the peers': the same arguments
	$(BIN)/python benchmarks/bench_predict.py $(DATA) $(BENCH)

scaling: .venv/installed  ## how training grows with data, threads and workers; what is in its JSON is kept: DATA=folder
	$(BIN)/python benchmarks/scaling.py $(or $(DATA),.run/scaling) --json benchmarks/scaling.json

clean:  ## remove caches, outputs and builds; .venv stays
	rm -rf .run build dist *.egg-info .pytest_cache .ruff_cache .numba_cache*
	find xmc cli datasets tests docs examples benchmarks -name __pycache__ -prune -exec rm -rf {} +

# Editable: the finder that setuptools installs leads xmc.cli to cli/ and xmc.datasets to datasets/, from any folder. A
# wheel must be tried outside the checkout, where Python finds the plain folder xmc/ first, which has neither.
.venv/installed: setup.cfg pyproject.toml
	@echo "Installing into .venv; the first time this takes a minute or two"
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python $(INSTALL) -e .
	@touch $@

# What tests need comes in the versions of the lock, each file compared with its checksum.
.venv/test-installed: requirements-dev.lock setup.cfg pyproject.toml
	@echo "Installing what the tests need into .venv; the first time this takes a minute or two"
	@test -x $(BIN)/pip || $(PYTHON) -m venv .venv
	@$(BIN)/python $(INSTALL) --require-hashes -r requirements-dev.lock
	@$(BIN)/python $(INSTALL) --no-deps -e .
	@touch .venv/installed $@

.venv/mutmut-installed: .venv/test-installed
	@$(BIN)/python $(INSTALL) 'mutmut>=3.8'
	@touch $@

.run/tools/installed:
	@$(PYTHON) -m venv .run/tools
	@.run/tools/bin/python $(INSTALL) 'uv>=0.13' 'cyclonedx-bom>=7'
	@touch $@
