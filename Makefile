# Two commands do all the set-up: `make demo` (train, test, predict on the sample set) and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.PHONY: install install-ops demo demo-detection demo-restoration test lint bench clean

install: $(STAMP)

# Quick when nothing changed: the stamp is older than pyproject.toml or the constraints only after an edit.
$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
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

test: install
	$(BIN)/python -m pytest

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

bench: install
	$(BIN)/python -m benchmarks

clean:
	rm -rf $(VENV) work_dirs runs data/sample
