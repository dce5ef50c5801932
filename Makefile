# make demo     sets everything up in .venv and runs the loop on the built-in phantom
# make test     runs the tests, in a few minutes
# make nightly  runs the long ones, which make test leaves out
# make test-napari  runs those that need napari and a display, which may be a virtual one (xvfb)
# make test-monailabel  runs those with MONAI Label's server, in .venv-monailabel
# make tutorials  runs the notebooks; WRITE=1 stores what comes out in them
# make docs     builds the documentation site in build/site; LINKS=1 asks the addresses in the internet that it links to instead
# make wheel    builds the wheel and the source archive of a release in dist
# make lint     checks style and types
# make bundles  writes the bundles from what they share, see bundle_sources/README.md, and docs/options.md
# make zoo-bundles OUT=folder  copies the bundles there, each with a network trained on its phantom, for the Model Zoo
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt
DEMO := runs/demo
# one process per core, each with one thread (tests/conftest.py); a process that is done takes tests from the others
PYTEST := $(BIN)/python -m pytest --numprocesses auto --maxprocesses 8 --dist worksteal

MONAILABEL := .venv-monailabel
# tests start many a Python: whatever the environment says, modules are compiled once
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo bundles zoo-bundles test nightly test-napari test-monailabel tutorials docs wheel lint format benchmarks gpu-check clean

$(VENV)/installed: setup.cfg pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) setuptools
	$(PIP) --editable .
	touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) --editable ".[dev]"
	touch $@

demo: $(VENV)/installed
	rm -rf $(DEMO)
	$(BIN)/python -m monai_al run active_learning --output_dir $(DEMO)
	$(BIN)/python -m monai_al status $(DEMO)
	$(BIN)/python -m monai_al report $(DEMO)

bundles: $(VENV)/installed
	$(BIN)/python bundle_sources/make_bundles.py
	$(BIN)/python bundle_sources/make_data_licenses.py
	$(BIN)/python bundle_sources/make_options_page.py

zoo-bundles: $(VENV)/installed
	@test -n "$(OUT)" || { echo "error: say where the bundles go: make zoo-bundles OUT=folder [URL=...]"; exit 2; }
	$(BIN)/python bundle_sources/make_zoo_bundles.py "$(OUT)" $(if $(URL),--url "$(URL)")

test: $(VENV)/installed-dev
	$(PYTEST)

$(VENV)/installed-ray: $(VENV)/installed-dev
	$(PIP) --editable ".[ray]"
	touch $@

nightly: $(VENV)/installed-ray
	$(PYTEST) -m nightly

$(VENV)/installed-napari: $(VENV)/installed-dev
	$(PIP) --editable ".[napari]"
	touch $@

test-napari: $(VENV)/installed-napari
	@command -v xvfb-run > /dev/null || { echo "error: xvfb-run is missing: tests/integrations/apt-packages.txt lists \
	what napari needs, apt-get install it as root"; exit 2; }
	xvfb-run --auto-servernum --server-args "-screen 0 1600x1000x24" $(BIN)/python -m pytest -m display tests/integrations

$(VENV)/installed-notebooks: $(VENV)/installed
	$(PIP) --editable ".[notebooks]"
	touch $@

tutorials: $(VENV)/installed-notebooks
	$(BIN)/python tutorials/run_notebooks.py $(if $(WRITE),--write)

$(VENV)/installed-docs: $(VENV)/installed
	$(PIP) --editable ".[docs]"
	touch $@

docs: $(VENV)/installed-docs
	$(BIN)/python docs/site/build_site.py $(if $(LINKS),--links)

wheel: $(VENV)/installed-dev
	rm -rf dist
	$(BIN)/python -m build --outdir dist .

# the constraints hold for what pip builds, too; sam2 has a part for GPUs that nothing here uses
$(MONAILABEL)/installed: setup.cfg pyproject.toml constraints-monailabel.txt
	$(PYTHON) -m venv $(MONAILABEL)
	SAM2_BUILD_CUDA=0 PIP_CONSTRAINT=constraints-monailabel.txt $(MONAILABEL)/bin/python -m pip install --quiet \
		--disable-pip-version-check --editable ".[monailabel]" pytest
	touch $@

test-monailabel: $(MONAILABEL)/installed
	$(MONAILABEL)/bin/python -m pytest tests/integrations monai_al/integrations

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyrefly check

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# with a Python that has monai_al and a torch that finds the GPU: make gpu-check GPU_PYTHON=python
GPU_PYTHON ?= $(BIN)/python
gpu-check:
	$(GPU_PYTHON) benchmarks/gpu_check.py

benchmarks: $(VENV)/installed-dev
	$(BIN)/python benchmarks/feeding.py
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/scoring.py
	$(BIN)/python benchmarks/dropout_passes.py
	$(BIN)/python benchmarks/test_time_augmentation.py
	$(BIN)/python benchmarks/stochastic_batches.py
	$(BIN)/python benchmarks/k_center.py
	$(BIN)/python benchmarks/prob_cover.py
	$(BIN)/python benchmarks/group_batches.py
	$(BIN)/python benchmarks/group_contrastive.py
	$(BIN)/python benchmarks/deformations.py
	$(BIN)/python benchmarks/scribbles.py
	$(BIN)/python benchmarks/pool_size.py --with_typiclust

clean:
	rm -rf $(VENV) $(MONAILABEL) build *.egg-info
