# `make check test` before a commit; PYTHON names another interpreter than that of .venv.
PYTHON ?= .venv/bin/python
BIN := $(dir $(PYTHON))
JOBS ?= 2

.PHONY: check test slow docs

check:
	$(BIN)ruff check .
	$(BIN)ruff format --check .
	$(BIN)mypy
	$(BIN)lint-imports

test:
	$(PYTHON) -m pytest -n $(JOBS)

slow:
	$(PYTHON) -m pytest -m slow

docs:
	$(PYTHON) docs/make_data_dictionary.py
	$(BIN)mkdocs build --strict
