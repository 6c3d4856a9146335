# From a handwritten digit to an INT8 model for the Lockzhiner Vision Module.
# `make` prints the targets; README.md explains them.

RECIPE  ?= mnist
# Changes of the recipe, separated by blanks: make rknn SET="train.epochs=2 seed=7"
SET     ?=
TOOLKIT ?= 2.3.2
PYTHON  ?= $(firstword $(foreach name,python3.11 python3.10 python3 python,$(if $(shell $(name) scripts/check.py --platform >/dev/null 2>&1 && echo yes),$(name))) python3)

VENV := .venv
PY   := $(VENV)/bin/python
OUT  := $(or $(MNIST_RKNN_OUTPUT),output)/$(basename $(notdir $(RECIPE)))
COMMAND := $(VENV)/bin/mnist-rknn
# SET goes through the environment: neither make nor the shell looks into it; the command splits it.
export CHANGES := $(value SET)
OF_RECIPE := --recipe $(RECIPE) --changes "$$CHANGES"
RUN    := $(COMMAND) run $(OF_RECIPE)
# What reads a run takes it as it was made: its SET need not be said again.
MADE   := $(RUN) --continue

STEPS  := 00_environment 01_data 02_train 03_export 04_calibration 05_convert 06_verify 07_camera \
          08_quantization 09_own_data 10_frames 11_pruning 12_small_files 13_distillation \
          14_qat 15_architectures 16_runtimes
# Packages are installed; the name has the toolkit's version, so that another one installs anew.
READY  := $(VENV)/.ready-$(TOOLKIT)
# The command holds the path of its folder: after a move it is installed anew.
MOVED  := $(shell grep -sqF -e "!$(CURDIR)/$(VENV)/" -e " $(CURDIR)/$(VENV)/" $(COMMAND) || echo moved)

# Somebody names a PYTHON, though there is an environment.
OTHER  := $(if $(filter file default undefined,$(origin PYTHON)),,$(if $(wildcard $(READY)),other_python))

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: help setup check rknn try smoke evaluate report quantstudy cluster costs compression deploy board test test-all lint lab \
        list benchmark aistudio offline-kit class-trial figures notebooks translations slides site lock clean moved \
        other_python $(STEPS)

help:
	@echo "make rknn        everything: set up, train, convert, verify   [RECIPE=$(RECIPE)]"
	@echo "make smoke       the same on a few thousand pictures, in minutes"
	@echo "make setup       create $(VENV) and install requirements.txt  [PYTHON=python3.10|python3.11]"
	@echo "make check       check machine, packages and tools"
	@echo "make evaluate    measure the model on real pictures     IMAGES=folder with index.csv"
	@echo "                 or on whole frames of several digits   FRAMES=folder with index.csv"
	@echo "                 or on digits as pen trajectories       PEN=file.jsonl.gz"
	@echo "make report      all that was measured on one page, output/$(RECIPE)/report.html"
	@echo "make quantstudy  choose the quantization on evidence     [WRITE=yes: into the recipe]"
	@echo "make cluster     workers here, to practise with   [quantstudy SCHEDULER=tcp://HOST:8786]"
	@echo "make costs       what other networks would cost on this NPU"
	@echo "make compression the lab: smaller networks and files, in one table of the report"
	@echo "make deploy      pack what goes onto the module         [CODEGEN=yes: Rockchip's demo too]"
	@echo "make board       copy the pack there, run it, fetch the figures   HOST=10.1.1.144"
	@echo "make lab         open the notebooks in JupyterLab   [STUDENT=folder of one's own] [FROM=a finished run] [LANG=zh]"
	@echo "make aistudio    output/aistudio.zip: one notebook for Run All on Baidu AI Studio"
	@echo "make offline-kit one archive with packages, data and a run, to set up without a network [RECIPE=smoke]"
	@echo "make class-trial eight students at once, as users of their own, on this folder    FOLDER=scratch"
	@echo "make list        the steps and what is up to date"
	@echo "make try         what SET changes, beside the finished run, which stays as it is"
	@echo "make test        set up and run the tests  (test-all: the slow ones whole)"
	@echo "make lint        style, complexity, layers, types, figures in the texts"
	@echo "make benchmark   time and memory of every step"
	@echo "make figures     figures and pictures in README and docs, from finished runs   [CHECK=yes]"
	@echo "make notebooks   what the notebooks show, written into them    [CHECK=yes] [STEP=03]"
	@echo "make translations  the editions in other languages           [CHECK=yes]"
	@echo "make site        README, docs, notebooks and report as web pages, output/site   [CHECK=yes]"
	@echo "make slides      the notebooks as slides for a projector, output/slides   [STEP=03] [RECIPE=name]"
	@echo "make clean       remove the results of RECIPE (data and $(VENV) stay)"
	@echo "own pictures:    $(COMMAND) import PATH --into NAME, then make rknn RECIPE=NAME"
	@echo "one step:        $(STEPS), or its number: make 07"
	@echo "variables:       RECIPE=name  SET=\"section.key=value ...\"  PYTHON=python3.x  TOOLKIT=2.3.2|2.5.0"
	@echo "                 LANG=zh: 中文 (else as the system's locale says)"
	@echo "without make:    $(COMMAND) --help"

# --- set-up ---------------------------------------------------------------------------

setup: $(COMMAND)

# An old Python cannot even read scripts/install.py; any can read scripts/check.py.
define OF_A_KIND_TO_USE
@command -v $(PYTHON) >/dev/null || { echo "error: there is no $(PYTHON) here: install Python 3.11 (sudo apt install python3.11 python3.11-venv)" >&2; exit 1; }
@$(PYTHON) scripts/check.py --platform
endef

# scripts/install.py makes the environment, whatever pip is told elsewhere, and looks into it.
$(READY): requirements.txt
	$(OF_A_KIND_TO_USE)
	@$(PYTHON) scripts/install.py packages $(VENV) $(TOOLKIT)
	@rm -f $(VENV)/.ready-*
	@touch $@

$(COMMAND): $(READY) pyproject.toml $(MOVED) | $(OTHER)
	@$(PY) scripts/install.py command $(VENV)
	@touch $@

# A PYTHON that is named must be the one that the environment was made with.
other_python:
	$(OF_A_KIND_TO_USE)
	@$(PYTHON) scripts/install.py same $(VENV)

check: $(COMMAND)
	@$(COMMAND) check

# --- the pipeline ---------------------------------------------------------------------
#
# What a step depends on, and whether it is up to date, is the command's business.

rknn: $(COMMAND)
	@$(RUN)

# Changed settings in a folder of their own: make try SET="rknn.quantized_algorithm=mmse"
try: $(COMMAND)
	@$(RUN) --try

smoke:
	@$(MAKE) --no-print-directory rknn RECIPE=smoke

$(STEPS): $(COMMAND)
	@$(RUN) $@

# `make 07` is `make 07_camera`.
$(foreach step,$(STEPS),$(eval $(firstword $(subst _, ,$(step))): $(step)))

# Real pictures with an index.csv: make evaluate IMAGES=folder, or FRAMES=folder; pen trajectories: PEN=file
evaluate: $(if $(IMAGES)$(FRAMES)$(PEN),$(COMMAND))
	@$(if $(IMAGES)$(FRAMES)$(PEN),,echo "error: say where the pictures are: make evaluate IMAGES=folder, FRAMES=folder or PEN=file" >&2; exit 1;) \
	$(MADE) && $(COMMAND) evaluate $(if $(IMAGES),"$(IMAGES)") $(if $(FRAMES),--frames "$(FRAMES)") $(if $(PEN),--pen "$(PEN)") --run $(OUT)

report: $(COMMAND)
	@$(COMMAND) report --run $(OUT)

# The builds first, with a progress bar in the terminal; the notebook then finds them done.
quantstudy: $(COMMAND)
	@$(MADE) 05_convert
	@$(COMMAND) quantstudy --run $(OUT) $(if $(WRITE),--write) $(if $(SCHEDULER),--scheduler "$(SCHEDULER)")
	@$(MADE) 08_quantization
	@$(COMMAND) report --run $(OUT)

# A scheduler and workers on this machine, until Ctrl-C; what they need on top of the lock.
CLUSTER := $(VENV)/.cluster
$(CLUSTER): docs/requirements-cluster.txt | $(COMMAND)
	$(PY) -m pip install --disable-pip-version-check --quiet --no-compile --no-deps --require-hashes -r $<
	@touch $@

cluster: $(CLUSTER)
	@$(PY) scripts/cluster.py $(if $(WORKERS),--workers $(WORKERS))

costs: $(COMMAND)
	@$(COMMAND) costs

# What the search of notebook 15 needs on top of the lock.
SEARCH := $(VENV)/.search
$(SEARCH): docs/requirements-search.txt | $(COMMAND)
	$(PY) -m pip install --disable-pip-version-check --quiet --no-compile --no-deps --require-hashes -r $<
	@touch $@

15_architectures: $(SEARCH)

# The runtimes that notebook 16 compares; without them it shows those of the lock.
RUNTIMES := $(VENV)/.runtimes
$(RUNTIMES): docs/requirements-16.txt | $(COMMAND)
	@$(PY) -m pip install --disable-pip-version-check --quiet --no-compile --no-deps --require-hashes -r $< && touch $@ \
		|| echo "the other runtimes could not be installed: notebook 16 shows those that are there"

16_runtimes: $(RUNTIMES)

# Every lesson leaves its rows in output/compression/table.json; one that is up to date costs nothing.
compression: $(COMMAND) $(SEARCH) $(RUNTIMES)
	@$(MADE) 11_pruning
	@$(MADE) 12_small_files
	@$(MADE) 13_distillation
	@$(MADE) 14_qat
	@$(MADE) 15_architectures
	@$(MADE) 16_runtimes
	@$(COMMAND) report --run $(OUT)

# What goes onto the module.
deploy: $(COMMAND)
	@$(MADE)
	@$(COMMAND) deploy --run $(OUT) $(if $(CODEGEN),--codegen)

board: $(if $(HOST),deploy)
	@$(if $(HOST),,echo "error: say where the module is: make board HOST=10.1.1.144" >&2; exit 1;) \
	$(COMMAND) board $(HOST) --run $(OUT)

list: $(COMMAND)
	@$(COMMAND) list $(OF_RECIPE)

aistudio: $(COMMAND)
	@$(COMMAND) aistudio

# For a room without a network: a finished run goes along, by default that of recipe smoke.
KIT := $(if $(filter file default undefined,$(origin RECIPE)),smoke,$(RECIPE))
offline-kit: $(COMMAND)
	@$(COMMAND) run --recipe $(KIT) --changes "$$CHANGES"
	@$(PY) scripts/offline_kit.py --run $(or $(MNIST_RKNN_OUTPUT),output)/$(basename $(notdir $(KIT)))

# A class on one machine: as root, as the students are users of their own. See docs/teaching.md.
class-trial: $(COMMAND)
	@$(PY) scripts/class_trial.py $(or $(FOLDER),$(error say where the students' folders go: make class-trial FOLDER=/srv/trial))

# Without its news and its search for updates: no pop-up, no request to the network. Warnings of the
# tools about each other are left out, as in a run without a browser. In the language that LANG or
# the system's locale says, with the notebooks of that language.
# STUDENT=folder: the notebooks are copied there and the results go there; the project may be read-only.
EDITION = $(shell LANG="$(LANG)" $(PY) -m mnist_rknn.language)
SETTINGS = $(if $(EDITION),$(CURDIR)/scripts/jupyter/$(EDITION):)$(CURDIR)/scripts/jupyter
FIRST = notebooks/$(if $(EDITION),$(EDITION)/)00_environment.ipynb
lab: $(COMMAND)
	$(if $(STUDENT),@$(PY) scripts/student_folder.py "$(STUDENT)" $(if $(FROM),--run "$(FROM)"))
	$(if $(STUDENT),MNIST_RKNN_OUTPUT="$(STUDENT)/output") PYTHONWARNINGS=ignore GLOG_minloglevel=2 JUPYTER_CONFIG_PATH=$(SETTINGS) $(PY) -m jupyterlab --notebook-dir="$(or $(STUDENT),.)" $(if $(STUDENT),"$(STUDENT)/")$(FIRST)

# --- development ----------------------------------------------------------------------

test: $(COMMAND)
	$(PY) -m pytest --numprocesses 2 --dist worksteal -m "not slow"

# Those that `test` leaves out too: whole variants of what it samples.
test-all: $(COMMAND)
	$(PY) -m pytest --numprocesses 2 --dist worksteal

lint: $(COMMAND)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports --no-cache
	$(VENV)/bin/mypy
	@$(PY) scripts/figures.py --check
	@$(PY) scripts/notebooks.py --check
	@$(PY) scripts/translations.py --check

benchmark: $(COMMAND)
	$(PY) scripts/benchmark.py $(OF_RECIPE)

# What README, docs and notebooks quote; CHECK=yes only says which text is behind.
figures: $(COMMAND)
	@$(PY) scripts/figures.py $(if $(CHECK),--check)

# What the notebooks show, from a run of the default recipe; only what is stale runs.
notebooks: $(COMMAND)
	@$(PY) scripts/notebooks.py $(if $(CHECK),--check) $(STEP)

# The editions in other languages, from their catalogues; ends with 1 where a translation is behind.
translations: $(COMMAND)
	@$(PY) scripts/translations.py $(if $(CHECK),--check)

# README, docs, notebooks and the report as static pages, in output/site; loads nothing from elsewhere.
SITE := $(VENV)/site
$(SITE)/.ready: docs/requirements-site.txt
	$(OF_A_KIND_TO_USE)
	$(PYTHON) -m venv $(SITE)
	$(SITE)/bin/python -m pip install --disable-pip-version-check --quiet --no-compile --no-deps --require-hashes -r $<
	@touch $@

site: $(SITE)/.ready
	@$(SITE)/bin/python docs/site/build.py --run $(OUT)
	@$(if $(CHECK),$(SITE)/bin/python docs/site/check.py $(or $(MNIST_RKNN_OUTPUT),output)/site)

# For a projector: slides of the notebooks in output/slides, which load nothing from elsewhere.
SLIDES := $(VENV)/slides
$(SLIDES)/.ready: docs/requirements-slides.txt | $(COMMAND)
	$(PY) -m pip install --disable-pip-version-check --quiet --no-compile --no-deps --require-hashes --upgrade --target $(SLIDES) -r $<
	@touch $@

slides: $(SLIDES)/.ready
	@$(PY) scripts/slides.py $(STEP) --run $(OUT)

# Resolve requirements.in anew into requirements.txt; needs the package `uv`.
lock:
	scripts/lock.sh

# Never by a shell's rm: the command looks what it removes.
clean:
	@test -x $(COMMAND) || { echo "error: the command is not set up: make setup first" >&2; exit 1; }
	@$(COMMAND) clean "$(RECIPE)"
