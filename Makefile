# Two words do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin

.PHONY: demo test lint types clean

demo: $(VENV)/.installed        ## the main job on the built-in cohort; prints where the report is
	$(BIN)/ganatomy augment phantom: --preset demo -o runs/demo

test: lint types                ## style, types, tests
	$(BIN)/python -m pytest

lint: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.installed
	$(BIN)/mypy

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "ganatomy needs Python 3.11 or newer; this is $$($(PYTHON) --version): make PYTHON=python3.11 ..."; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,dicom,embedding,parquet]'
	$(BIN)/python -m ganatomy.radiomics
	@touch $@

clean:                          ## everything that make made
	rm -rf $(VENV) runs/demo
