# Each command sets everything up first; `make demo` trains, tests and predicts on the sample set.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet

.PHONY: install install-ops demo demo-detection demo-restoration weights test lint docs bench clean

install: $(STAMP)

# Quick when nothing changed: the stamp is older than pyproject.toml or the constraints only after an edit.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs]'
	touch $@

# mmcv's compiled operators, for those who want them: needs a compiler and some minutes. Everything works without.
install-ops: install
	$(BIN)/python -m pip install --quiet -c constraints.txt setuptools wheel ninja psutil
	$(BIN)/python -m pip install --force-reinstall --no-cache-dir --no-deps --no-build-isolation \
		--no-binary onedl-mmcv -c constraints.txt onedl-mmcv
	$(BIN)/python -c 'import mmcv._ext' || { echo 'mmcv was installed without its operators: is torch importable in $(VENV)?'; exit 1; }

demo: install
	$(BIN)/python -m tools.demo.segmentation

demo-detection: install
	$(BIN)/python -m tools.demo.detection

demo-restoration: install
	$(BIN)/python -m tools.demo.restoration

# Trains the models that come with the package again, and writes them, their cards and their rows in the catalog.
weights: install
	$(BIN)/python -m tools.demo.weights

test: install
	$(BIN)/python -m pytest --cov --cov-report=
	@echo "coverage: $$($(BIN)/coverage report --format=total) % of the package's lines; by file: $(BIN)/coverage report"

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(MKDOCS)

# The site, into site/. Strict: a link that leads nowhere is an error.
docs: install
	$(MKDOCS)

bench: install
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) work_dirs runs data/sample site .coverage
