# `make demo` and `make test` each make their own virtual environment; run again, they reuse it.
PYTHON ?= python3
DEMO := .venv-demo
TEST := .venv-test

.PHONY: help demo test check format coverage docs clean

help:
	@echo "make demo      install imgorder into $(DEMO) and sort the example photos"
	@echo "make test      install everything into $(TEST), run the checks and the tests"
	@echo "make check     only the checks: ruff and mypy"
	@echo "make format    write all code in the format that the checks want"
	@echo "make coverage  run the tests and measure which lines and branches they run through"
	@echo "make docs      write figures and shown outputs into the documents"
	@echo "make clean     remove both environments and what was measured"

demo: $(DEMO)/.ready
	$(DEMO)/bin/imgorder sort examples/balloon

test: check
	$(TEST)/bin/python -m pytest --numprocesses auto --dist worksteal

check: $(TEST)/.ready
	$(TEST)/bin/ruff check .
	$(TEST)/bin/ruff format --check .
	$(TEST)/bin/mypy

format: $(TEST)/.ready
	$(TEST)/bin/ruff check --fix .
	$(TEST)/bin/ruff format .

# `make docs` then writes the figure into CONTRIBUTING.md.
coverage: $(TEST)/.ready
	$(TEST)/bin/python -m pytest --numprocesses auto --dist worksteal --cov --cov-report json:.coverage/report.json
	$(TEST)/bin/python docs/summarise_coverage.py .coverage/report.json

$(DEMO)/.ready: pyproject.toml
	$(call environment,$(DEMO),.)

$(TEST)/.ready: pyproject.toml
	$(call environment,$(TEST),.[train$(comma)dev])

comma := ,
define environment
@$(PYTHON) -c "import ensurepip, venv" 2>/dev/null || \
	{ echo "$(PYTHON) cannot make virtual environments; on Debian run: apt-get install python3-venv" >&2; exit 1; }
$(PYTHON) -m venv $(1)
$(1)/bin/python -m pip install --quiet --disable-pip-version-check --editable '$(2)'
@touch $@
endef

# Needs the results in docs/results; see docs/accuracy.md for what writes them.
docs: $(TEST)/.ready
	$(TEST)/bin/python docs/update.py

clean:
	rm -rf $(DEMO) $(TEST) .coverage
