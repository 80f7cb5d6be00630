# The commands of a working day. Everything happens in .venv and build/; but for the demo's model, which
# goes to the user's cache folder, nothing outside this folder is changed.
#
#   make demo PHOTOS=~/Pictures     a folder of your own in the demo
#   make test PYTHON=python3.12     another Python (a new .venv is made when it changes)

PYTHON ?= python3
VENV ?= .venv
CLANG_TIDY ?= $(firstword $(shell command -v clang-tidy-14 clang-tidy 2>/dev/null) clang-tidy)
BIN := $(VENV)/bin
INSTALL := PYTHON='$(PYTHON)' VENV='$(VENV)' sh scripts/install.sh
IN_VENV := PATH="$(abspath $(BIN)):$$PATH"
CPP_FILES = $(shell find cpp -name third_party -prune -o \( -name '*.hpp' -o -name '*.cpp' -o -name '*.inc' \) -print)

export PHOTOS
# The tests keep the converted model in the build folder and leave the user's cache alone.
test-python test-isas test-benchmarks test-export: export FASTCBIR_CACHE ?= $(abspath build/cache)

.DEFAULT_GOAL := help
.PHONY: help demo test lint test-cpp test-python test-isas test-benchmarks test-export sanitize neon tidy format bench wheel clean \
	installed tools

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## /\1|/' | awk -F'|' '{printf "  make %-16s %s\n", $$1, $$2}'

demo: ## Install with the demo's needs and search real photographs (PHOTOS=DIR adds your own)
	@$(INSTALL) demo
	@case "$$PHOTOS" in "~/"*) PHOTOS=$$HOME/$${PHOTOS#"~/"};; esac; \
		$(BIN)/fastcbir demo --out build/demo $${PHOTOS:+--photos "$$PHOTOS"}

# One after the other, the quick complaints first, beside the C++ compiler for they take one core; each is a target of
# its own. What is installed is looked at once.
ONWARDS = $(MAKE) --no-print-directory INSTALL=:
test: installed ## Everything that must pass: style, types, C++ tests, Python tests, every instruction set, benchmark smoke
	@$(ONWARDS) -j2 lint test-cpp
	@$(ONWARDS) test-python
	@$(ONWARDS) test-isas
	@$(ONWARDS) test-benchmarks

lint: installed ## Style and types: ruff, mypy --strict, clang-format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	@$(BIN)/clang-format --dry-run --Werror $(CPP_FILES) && echo "clang-format: all C++ files are formatted"

test-cpp: installed ## C++ tests, by ctest
	@$(IN_VENV) sh scripts/test_cpp.sh

test-python: installed ## Python tests
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

test-isas: installed ## The index tests once more on each instruction set that this CPU has
	@$(BIN)/python scripts/test_isas.py

test-benchmarks: installed ## The benchmarks, for some seconds, so that they can't rot
	$(BIN)/pytest benchmarks/ --smoke

test-export: installed ## Converting models, against torch (installs it where it is missing)
	@$(BIN)/python -c 'import torch' 2>/dev/null || $(BIN)/python -m pip install --quiet torch torchvision timm transformers safetensors tokenizers kornia
	$(BIN)/pytest tests/export

sanitize: tools ## C++ tests under AddressSanitizer + UndefinedBehaviorSanitizer, then under ThreadSanitizer
	@$(IN_VENV) sh scripts/test_cpp.sh address
	@$(IN_VENV) sh scripts/test_cpp.sh thread

neon: tools ## NEON kernels, cross-compiled and run under qemu
	@$(IN_VENV) sh scripts/test_neon.sh

tidy: tools ## clang-tidy over the C++ code
	@$(IN_VENV) CLANG_TIDY='$(CLANG_TIDY)' sh scripts/tidy.sh

format: installed ## Rewrite all files in the house style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/clang-format -i $(CPP_FILES)

bench: installed ## The full benchmarks (long; options: ARGS="--dataset sift --peers")
	$(BIN)/pytest benchmarks/ $(ARGS)

wheel: tools ## Build the wheel and the source distribution into dist/
	@$(IN_VENV) python -m pip wheel --quiet --no-deps --no-build-isolation -w dist .
	@$(IN_VENV) python -c "from scikit_build_core.build import build_sdist; build_sdist('dist')"
	@ls -l dist

clean: ## Remove what was built (.venv stays; remove it by hand)
	rm -rf build dist .mypy_cache .pytest_cache .ruff_cache

# Installed again only when a source changed; see scripts/install.sh.
installed:
	@$(INSTALL) dev

tools:
	@$(INSTALL) tools
