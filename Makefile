# `make demo` and `make test` each make their own virtual environment; run again, they reuse it.
PYTHON ?= python3
DEMO := .venv-demo
TEST := .venv-test

.PHONY: help demo test check format coverage fuzz crash docs clean

help:
	@echo "make demo      install imgorder into $(DEMO) and sort the example photos"
	@echo "make test      install everything into $(TEST), run the checks and the tests"
	@echo "make check     only the checks: ruff and mypy"
	@echo "make format    write all code in the format that the checks want"
	@echo "make coverage  run the tests and measure which lines and branches they run through"
	@echo "make fuzz      feed commands with thousands of bad files; takes minutes"
	@echo "make crash     kill commands at every call that changes a folder; takes minutes, needs strace"
	@echo "make docs      write figures and shown outputs into the documents"
	@echo "make clean     remove both environments, what was measured, and inputs that the fuzz kept"

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

# SEED=7 gives other inputs; only those of the usual one are written down.
fuzz: $(TEST)/.ready
	$(TEST)/bin/python -m tests.fuzzing $(if $(SEED),--seed $(SEED),--json docs/results/reliability.json)

crash: $(TEST)/.ready
	$(TEST)/bin/python -m tests.crashing --json docs/results/reliability.json

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
	rm -rf $(DEMO) $(TEST) .coverage .fuzz
