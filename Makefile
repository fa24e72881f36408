# Two commands a newcomer needs: `make demo` and `make test`. Python 3.11, git and make are enough.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test lint types contract unit pages test-slow benchmarks clean

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $(STAMP)

demo: $(STAMP)
	@mkdir -p out
	@$(BIN)/rgflow check examples/deep_relu.py:build --data digits --html out/deep_relu.html --json out/deep_relu.json || test $$? -eq 1
	@$(BIN)/rgflow tune examples/deep_relu.py:build --data digits --write out/deep_relu_tuned.pt
	@echo "Report: out/deep_relu.html   Tuned weights: out/deep_relu_tuned.pt"

test: lint types contract unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP)
	$(BIN)/basedpyright --level error

contract: $(STAMP)
	$(BIN)/lint-imports

# Two processes, one thread of linear algebra each: with two each, four threads wait for each other on two cores.
unit: $(STAMP)
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

pages: $(STAMP)
	$(BIN)/python -m pytest -m page

test-slow: $(STAMP)
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 -m slow

benchmarks: $(STAMP)
	for script in check_speed flow ensembles functional_statistics gram compile hamiltonian_classifier samplers fits ladder_calibration; do $(BIN)/python benchmarks/$$script.py || exit 1; done

clean:
	rm -rf .venv out build
