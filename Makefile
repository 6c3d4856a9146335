# From a handwritten digit to an INT8 model for the Lockzhiner Vision Module.
# `make` prints the targets; README.md explains them.

RECIPE  ?= mnist
# Changes of the recipe, separated by blanks: make rknn SET="train.epochs=2 seed=7"
SET     ?=
TOOLKIT ?= 2.3.2
PYTHON  ?= $(firstword $(foreach name,python3.11 python3.10 python3 python,$(if $(shell $(name) scripts/check.py --platform >/dev/null 2>&1 && echo yes),$(name))) python3)

VENV := .venv
PY   := $(VENV)/bin/python
OUT  := output/$(RECIPE)
COMMAND := $(VENV)/bin/mnist-rknn
# SET goes through the environment: neither make nor the shell looks into it; the command splits it.
export CHANGES := $(value SET)
OF_RUN := --recipe $(RECIPE) --changes "$$CHANGES"
RUN    := $(COMMAND) run $(OF_RUN)
REPORT := $(COMMAND) report $(OF_RUN)

STEPS  := 00_environment 01_data 02_train 03_export 04_calibration 05_convert 06_verify 07_camera \
          08_quantization 09_own_data
INPUTS := $(STEPS:%=$(OUT)/.inputs/%.json)
# Packages are installed; the name has the toolkit's version, so that another one installs anew.
READY  := $(VENV)/.ready-$(TOOLKIT)
# The command holds the path of its folder: after a move it is installed anew.
MOVED  := $(shell grep -sqF -e "!$(CURDIR)/$(VENV)/" -e " $(CURDIR)/$(VENV)/" $(COMMAND) || echo moved)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help setup check rknn smoke evaluate report quantstudy costs deploy board test lint lab list \
        benchmark aistudio lock clean inputs moved $(STEPS)

help:
	@echo "make rknn        everything: set up, train, convert, verify   [RECIPE=$(RECIPE)]"
	@echo "make smoke       the same on a few thousand pictures, in minutes"
	@echo "make setup       create $(VENV) and install requirements.txt  [PYTHON=python3.10|python3.11]"
	@echo "make check       check machine, packages and tools"
	@echo "make evaluate    measure the model on real pictures     IMAGES=folder with index.csv"
	@echo "make report      all that was measured on one page, output/$(RECIPE)/report.html"
	@echo "make quantstudy  choose the quantization on evidence     [WRITE=yes: into the recipe]"
	@echo "make costs       what other networks would cost on this NPU"
	@echo "make deploy      pack what goes onto the module         [CODEGEN=yes: Rockchip's demo too]"
	@echo "make board       copy the pack there, run it, fetch the figures   HOST=10.1.1.144"
	@echo "make lab         open the notebooks in JupyterLab"
	@echo "make aistudio    output/aistudio.zip: one notebook for Run All on Baidu AI Studio"
	@echo "make list        the steps and what is up to date"
	@echo "make test        set up and run the tests"
	@echo "make lint        ruff, for code and notebooks"
	@echo "make benchmark   time and memory of every step"
	@echo "make clean       remove the results of RECIPE (data and $(VENV) stay)"
	@echo "own pictures:    $(COMMAND) import PATH --into NAME, then make rknn RECIPE=NAME"
	@echo "one step:        $(STEPS), or its number: make 07"
	@echo "variables:       RECIPE=name  SET=\"section.key=value ...\"  PYTHON=python3.x  TOOLKIT=2.3.2|2.5.0"
	@echo "without make:    $(COMMAND) --help"

# --- set-up ---------------------------------------------------------------------------

setup: $(COMMAND)

$(READY): requirements.txt
	@$(PYTHON) scripts/check.py --platform
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --disable-pip-version-check --quiet --no-compile --no-deps --require-hashes -r requirements.txt
ifneq ($(TOOLKIT),2.3.2)
	$(PY) -m pip install --disable-pip-version-check --quiet --no-compile --no-deps rknn-toolkit2==$(TOOLKIT)
endif
	@rm -f $(VENV)/.ready-*
	@touch $@

$(COMMAND): $(READY) pyproject.toml $(MOVED)
	@$(PY) -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation --no-index -e .
	@touch $@

check: $(COMMAND)
	@$(COMMAND) check

# --- the pipeline: a rule a step ------------------------------------------------------
#
# A step's target is the record it leaves when it has run to its end. It depends on the
# files it reads and on .inputs/, which holds its part of the recipe and its code and
# changes only when those do.

rknn: $(OUT)/steps/06_verify.json $(OUT)/report.html
	@$(RUN) --summary

$(OUT)/report.html: $(OUT)/steps/06_verify.json
	@$(REPORT)

smoke:
	@$(MAKE) --no-print-directory rknn RECIPE=smoke

$(STEPS): %: $(OUT)/steps/%.json

# `make 07` is `make 07_camera`.
$(foreach step,$(STEPS),$(eval $(firstword $(subst _, ,$(step))): $(step)))

inputs: $(COMMAND)
	@$(RUN) 00-09 --refresh
$(INPUTS): inputs
	@:

$(OUT)/steps/%.json: $(OUT)/.inputs/%.json
	@$(RUN) $*

$(OUT)/steps/01_data.json:        $(OUT)/steps/00_environment.json
$(OUT)/steps/02_train.json:       $(OUT)/dataset/test.txt
$(OUT)/steps/03_export.json:      $(OUT)/train/best_model/inference/inference.json
$(OUT)/steps/04_calibration.json: $(OUT)/dataset/test.txt
$(OUT)/steps/05_convert.json:     $(OUT)/$(RECIPE).slim.onnx $(OUT)/calibration.txt
$(OUT)/steps/06_verify.json:      $(OUT)/dataset/test.txt $(OUT)/$(RECIPE).rknn
$(OUT)/steps/07_camera.json:      $(OUT)/dataset/test.txt $(OUT)/$(RECIPE).slim.onnx
$(OUT)/steps/08_quantization.json: $(OUT)/dataset/test.txt $(OUT)/$(RECIPE).slim.onnx \
                                   $(OUT)/calibration.txt $(OUT)/layer_error.json

# Which step writes the files that others read.
$(OUT)/dataset/test.txt:                                $(OUT)/steps/01_data.json ; @:
$(OUT)/train/best_model/inference/inference.json:       $(OUT)/steps/02_train.json ; @:
$(OUT)/$(RECIPE).slim.onnx:                             $(OUT)/steps/03_export.json ; @:
$(OUT)/calibration.txt:                                 $(OUT)/steps/04_calibration.json ; @:
$(OUT)/$(RECIPE).rknn $(OUT)/layer_error.json:          $(OUT)/steps/05_convert.json ; @:

# Real pictures with an index.csv: make evaluate IMAGES=folder
evaluate: $(if $(IMAGES),$(OUT)/steps/06_verify.json)
	@$(if $(IMAGES),,echo "error: say where the pictures are: make evaluate IMAGES=folder" >&2; exit 1;) \
	$(COMMAND) evaluate "$(IMAGES)" $(OF_RUN)

report: $(COMMAND)
	@$(REPORT)

# The builds first, with a progress bar in the terminal; the notebook then finds them done.
quantstudy: $(OUT)/steps/05_convert.json
	@$(COMMAND) quantstudy $(OF_RUN) $(if $(WRITE),--write)
	@$(RUN) 08_quantization
	@$(REPORT)

costs: $(COMMAND)
	@$(COMMAND) costs

# What goes onto the module.
deploy: $(OUT)/steps/06_verify.json
	@$(COMMAND) deploy $(OF_RUN) $(if $(CODEGEN),--codegen)

board: $(if $(HOST),deploy)
	@$(if $(HOST),,echo "error: say where the module is: make board HOST=10.1.1.144" >&2; exit 1;) \
	$(COMMAND) board $(HOST) $(OF_RUN)

list: $(COMMAND)
	@$(COMMAND) list $(OF_RUN)

aistudio: $(COMMAND)
	@$(COMMAND) aistudio

lab: $(COMMAND)
	$(PY) -m jupyterlab --notebook-dir=. notebooks/00_environment.ipynb

# --- development ----------------------------------------------------------------------

test: $(COMMAND)
	$(PY) -m pytest --numprocesses 2 --dist worksteal

lint: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .

benchmark: $(COMMAND)
	$(PY) scripts/benchmark.py $(OF_RUN)

# Resolve requirements.in anew into requirements.txt; needs the package `uv`.
lock:
	scripts/lock.sh

clean:
	rm -rf $(OUT)
