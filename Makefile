# The commands of daily work, in the active environment: `make lint test`.
PYTHON ?= python

.PHONY: help install lint format test wheel-test docs doctor quickstart clean

help:
	@echo "make install | lint | format | test | wheel-test | docs | doctor | quickstart | clean"

# The second line puts the OpenCV build without windows (and without libGL) in place: see docs/get_started.md.
install:
	$(PYTHON) -m pip install -e ".[tests]"
	$(PYTHON) -m pip install --force-reinstall --no-deps opencv-python-headless
	$(PYTHON) -m pre_commit install

lint:
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format:
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

test:
	$(PYTHON) -m pytest

# Installs the wheel without the clone, into an environment of its own that is removed afterwards (6 GB).
wheel-test:
	$(PYTHON) tools/check_wheel.py

# The pages are in docs/_build/html; a warning is an error.
docs:
	$(PYTHON) -m sphinx -W --keep-going -b html docs docs/_build/html

doctor:
	$(PYTHON) -m cellmm.commands.cli doctor

quickstart:
	$(PYTHON) tools/quickstart.py

clean:
	rm -rf build dist docs/_build docs/api *.egg-info .pytest_cache .ruff_cache .hypothesis
