# make demo | app | docs | test | check | test-slow | furniture: each works on a machine with nothing but Python 3.11 or newer.
# Other versions than the pinned: make test CONSTRAINTS= TORCH='torch==2.6.*'
PYTHON ?= python3
TORCH ?= torch
CONSTRAINTS ?= --constraint constraints.txt
DEB ?= out/sweethome3d-furniture.deb
VENV := .venv
RUN := $(VENV)/bin
PIP := $(RUN)/python -m pip install --quiet --disable-pip-version-check $(CONSTRAINTS)
CHECKED := src tests benchmarks examples conftest.py docs/conf.py docs/try.ipynb
# what one process has compiled, others read
unexport PYTHONDONTWRITEBYTECODE
TESTS := $(RUN)/python -m pytest --jaxtyping-packages=lookharder,beartype.beartype

.PHONY: demo app docs test test-slow check furniture clean

demo: $(VENV)/package
	$(RUN)/lookharder demo --out out/demo

app: $(VENV)/app
	$(RUN)/lookharder app

# the site, as out/docs/index.html; what it warns of is an error
docs: $(VENV)/docs
	$(RUN)/python -m sphinx --fail-on-warning --keep-going --quiet docs out/docs -d out/doctrees
	@echo out/docs/index.html

test: $(VENV)/dev
	OMP_NUM_THREADS=1 $(TESTS) -n 2 --dist worksteal

test-slow: $(VENV)/dev $(VENV)/app $(VENV)/onnx
	$(TESTS) -m slow

check: $(VENV)/dev
	$(RUN)/ruff format --check $(CHECKED)
	$(RUN)/ruff check $(CHECKED)
	$(RUN)/mypy
	$(RUN)/lint-imports

# a pack of 544 models for `procedural:…?world=photo&furniture=out/furniture/furniture.npz`, from Debian's package
furniture: $(VENV)/package $(DEB)
	$(PIP) --editable '.[furniture]' '$(TORCH)'
	$(RUN)/python -m lookharder.data.world.sweet_home $(DEB) out/furniture

out/sweethome3d-furniture.deb:
	mkdir -p out && cd out && apt-get download sweethome3d-furniture
	mv out/sweethome3d-furniture_*.deb $@

# torch first: what comes after is satisfied by it and downloads no other build
$(VENV)/package: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) '$(TORCH)'
	$(PIP) --editable . '$(TORCH)'
	touch $@

$(VENV)/dev: $(VENV)/package
	$(PIP) --editable '.[dev]' '$(TORCH)'
	touch $@

$(VENV)/app: $(VENV)/package
	$(PIP) --editable '.[app]' '$(TORCH)'
	touch $@

$(VENV)/onnx: $(VENV)/package
	$(PIP) --editable '.[onnx]' '$(TORCH)'
	touch $@

$(VENV)/docs: $(VENV)/package
	$(PIP) --editable '.[docs]' '$(TORCH)'
	touch $@

clean:
	rm -rf $(VENV) out build .pytest_cache .mypy_cache .ruff_cache .hypothesis
