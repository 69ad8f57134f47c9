# Two commands: `make demo` does the main job, `make test` passes every check. Both set up .venv first.
.DEFAULT_GOAL := help
.PHONY: help demo test explore lint audit bench clean

PYTHON ?= python3
BIN := .venv/bin
export PIP_CONSTRAINT := $(CURDIR)/constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1
unexport PYTHONDONTWRITEBYTECODE # each of a thousand commands would compile all modules anew

help: ## Show this list
	@grep -E '^[a-z]+:.*## ' Makefile | sed -E 's/:.*## /\t/'

.venv/pip: constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit("segsolve needs Python 3.11, 3.12 or 3.13; name one with: make PYTHON=...") if not (3, 11) <= sys.version_info < (3, 14) else None'
	@echo "setting up .venv"
	@$(PYTHON) -m venv .venv
	@touch $@

.venv/base: .venv/pip pyproject.toml
	@$(BIN)/pip install --quiet -e .
	@touch $@

.venv/dev: .venv/base
	@$(BIN)/pip install --quiet -e '.[dev]'
	@touch $@

define step
@printf '\n$$ segsolve %s\n' '$(1)'
@$(BIN)/segsolve $(1)
endef

demo: .venv/base ## Do the main job on ResNet-101 and four Edge TPUs, then on a detector, and show it
	$(call step,zoo build resnet101 -o demo)
	$(call step,inspect demo/resnet101.tflite)
	$(call step,compare demo/resnet101.tflite --tpus 4)
	$(call step,solve demo/resnet101.tflite --tpus 4 --objective throughput --no-verify -o demo/plan)
	$(call step,verify demo/plan demo/resnet101.tflite)
	$(call step,check demo/plan)
	$(call step,run demo/plan --backend litert --count 100)
	$(call step,zoo build ssd-mobilenetv1 -o demo)
	$(call step,solve demo/ssd-mobilenetv1.tflite --tpus 2 -o demo/detector)
	$(call step,run demo/detector --count 4 --detections --threshold 0.9 --pictures demo/boxes)
	@printf '\nIn demo/: the models (their weights are random), the plans plan/ and detector/ with their segments, boxes/.\n'

test: .venv/dev lint ## Pass every check
	@$(BIN)/pytest -n 2 --dist worksteal

explore: .venv/dev ## Pass the tests with other generated examples each time
	@HYPOTHESIS_PROFILE=others $(BIN)/pytest -n 2 --dist worksteal

lint: .venv/dev ## Formatting, style, types, architecture
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/mypy
	@$(BIN)/lint-imports > .venv/imports.log || (cat .venv/imports.log; exit 1)

audit: .venv/dev ## Known vulnerabilities of what is pinned, where the index tells them
	@$(BIN)/pip install --quiet -e '.[audit]'
	@$(BIN)/python .ci/audit.py

bench: .venv/dev ## Measure again what README and benchmarks/results/ show
	@$(BIN)/python -m benchmarks

clean: ## Remove what the commands made
	@rm -rf .venv demo
