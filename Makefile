# Everything a fresh clone needs: `make book` reads, `make test` checks. Both set themselves up.
PYTHON ?= python3
PORT   ?= 8000
NB     ?=
ARGS   ?=
JOBS   ?= 2
NAME   ?=
NOTEBOOKS ?=
SCALE  ?= paper
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
INDEX  := _build/html/index.html
# Data sets that need no download, where a folder of them lies beside the checkout.
export NARROWLIB_DATA ?= $(wildcard $(CURDIR)/../shared/data)

UV_VERSION := $(shell sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements.txt)

.DEFAULT_GOAL := help
.PHONY: help setup book pdf links notebooks serve test quick floor newest execute experiments bench lint format address lock audit clean

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z ]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: $(READY)  ## make the environment in .venv
$(READY): requirements.txt pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.txt
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation -e .
	touch $@

book: $(READY)  ## build the book from the stored outputs; a warning is an error
	$(BIN)/jupyter-book build . -W -n --keep-going --all
	@echo "The book: $(CURDIR)/$(INDEX)"
	@echo "Open that file in a browser, or run 'make serve'."

notebooks: $(READY)  ## build the notebooks for Colab from the chapters
	$(BIN)/python scripts/notebooks.py

$(INDEX):
	$(MAKE) book

serve: $(INDEX)  ## show the built book at http://127.0.0.1:8000 (PORT=n)
	@echo "http://127.0.0.1:$(PORT)  (Ctrl-C stops it)"
	@$(BIN)/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

# Files go to the processes whole, in the order of conftest.py: what a file compiles or builds, it
# makes once, and no process works alone at the end. A second run finds in .cache/ what the first
# has compiled.
PYTEST := OPENBLAS_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

test: $(READY)  ## run every test, doctest, notebook and linter (ARGS="-k name", JOBS=n processes)
	$(PYTEST) $(ARGS)

quick: $(READY)  ## run the library's tests of under half a second, for the edit loop (ARGS="-k name", JOBS=n processes)
	$(PYTEST) --quick --ignore=tests/project --ignore=tests/browser tests narrowlib $(ARGS)

# Others' deprecations at the ends of the ranges are theirs to mend: shown, no errors.
floor newest:  ## make quick with the oldest, or the newest, versions allowed (NOTEBOOKS=book: run the notebooks instead)
	$(PYTHON) -m venv .venv-$@
	.venv-$@/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	.venv-$@/bin/uv pip compile --quiet --extra book pyproject.toml -o .venv-$@/ends.txt \
	  --python .venv-$@/bin/python --resolution $(if $(filter floor,$@),lowest-direct,highest)
	.venv-$@/bin/uv pip install --quiet --python .venv-$@/bin/python -c .venv-$@/ends.txt -e ".[book,test]"
	touch .venv-$@/.ready
	$(MAKE) $(if $(NOTEBOOKS),test,quick) VENV=.venv-$@ ARGS='-W default::DeprecationWarning $(NOTEBOOKS) $(ARGS)'

pdf: $(INDEX)  ## print the built book to _build/book.pdf (ARGS=--solutions: with hints and solutions)
	$(BIN)/python scripts/pdf.py $(ARGS)

links: $(READY)  ## look whether the book's links to other sites work (needs the network)
	$(BIN)/jupyter-book build . --builder linkcheck --path-output _build/links

lint: $(READY)  ## only the linters: ruff and pyright
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright

format: $(READY)  ## rewrite the code in the project's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

execute: $(READY)  ## run the notebooks and store their outputs (NB=path for one)
	OPENBLAS_NUM_THREADS=1 $(BIN)/python scripts/execute.py $(NB)
	$(BIN)/python scripts/readme_picture.py

experiments: $(READY)  ## run the experiments (NAME=name for one; SCALE=seconds, minute or paper)
	$(BIN)/python scripts/experiment.py $(NAME) --scale $(SCALE)

bench: $(READY)  ## run the comparisons with other libraries
	PYTHON="$(CURDIR)/$(BIN)/python" bash benchmarks/run.sh

address: $(READY)  ## write the book's public address everywhere (URL=https://github.com/you/repo)
	$(BIN)/python scripts/address.py "$(URL)"

lock: $(READY)  ## solve pyproject's ranges again and pin them with hashes in requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --upgrade --no-emit-index-url \
	  --custom-compile-command "make lock" --all-extras pyproject.toml -o requirements.txt

# Not part of the lock: it has to know of vulnerabilities that came after it.
audit:  ## look for known vulnerabilities in the locked versions (needs the network)
	$(PYTHON) -m venv .venv-audit
	-.venv-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	.venv-audit/bin/python scripts/audit.py

clean:  ## remove the built book and the caches; .venv stays
	rm -rf _build dist .cache .hypothesis .pytest_cache .ruff_cache
	find . -path ./$(VENV) -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) -prune -exec rm -rf {} +
