# Two commands do all the set-up: `make demo` and `make test`. The first needs the network once, later ones do not.
export PATH := $(PATH):/usr/sbin:/sbin
RUN := .venv/bin/python -m
LOCK = build/uv/bin/uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --quiet --custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)
COMPILE = $(LOCK) pyproject.toml --extra demo --extra gpio --group build
TAGS_x86_64 := manylinux2014_x86_64 manylinux_2_28_x86_64 manylinux_2_34_x86_64
TAGS_aarch64 := manylinux2014_aarch64 manylinux_2_28_aarch64 manylinux_2_34_aarch64

.PHONY: help demo test check faults fuzz bench soak docs pictures lock wheels clean
help: ## say what there is (the default)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' Makefile

demo: ## simulated devices, gateway, broker and a subscriber that shows every event (ONCE=1: ends after the story)
	@deploy/environment.sh demo
	@.venv/bin/gateway demo $(if $(ONCE),--once)

test: ## every test
	@deploy/environment.sh test
	$(RUN) pytest

check: ## ruff, mypy --strict, the style budget
	@deploy/environment.sh test
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) pytest -q tests/test_style.py

faults: ## tests/faults in their long form: kills, lines, cards, clocks, no memory (about 10 minutes; ROUNDS=1: as in make test)
	@deploy/environment.sh test
	FAULT_ROUNDS=$(or $(ROUNDS),6) $(RUN) pytest -sv tests/faults

fuzz: ## every intake under bytes that nobody foresaw (SECONDS=60 for all; TARGET=http: those; KEEP=1: the corpus learns)
	@deploy/environment.sh test
	@$(MAKE) -s build/fuzz/.made
	@PYTHONPATH=build/fuzz SECONDS=$(SECONDS) TARGET=$(TARGET) KEEP=$(KEEP) $(RUN) tests.fuzz

build/fuzz/.made: tests/fuzz/requirements.lock # a folder of its own, so that .venv stays what its lock says
	@rm -rf build/fuzz
	@$(RUN) pip install -qq --require-hashes --only-binary=:all: --target build/fuzz -r $<
	@$(RUN) pip --version >/dev/null && ls -d build/fuzz/atheris >/dev/null 2>&1 || { echo "atheris has wheels for x86-64 only"; exit 1; }
	@touch $@

bench: ## the figures, with what they should be: a table and build/bench.json (about 7 minutes)
	@deploy/environment.sh test
	@mkdir -p build
	$(RUN) tests.bench

soak: ## does anything grow: 10 minutes at 500 events/s, the uplink coming and going (SECONDS=60: shorter)
	@deploy/environment.sh test
	@mkdir -p build
	$(RUN) tests.bench.soak $(SECONDS)

docs: ## write the generated references under docs/
	@deploy/environment.sh demo
	.venv/bin/python -P docs/generate.py # -P: docs/drivers is no package

pictures: ## make docs/images from the demo: the page as duty staff see it
	@deploy/environment.sh test
	.venv/bin/python -P docs/images.py

lock: build/uv/bin/uv ## lock the dependencies again after pyproject.toml changed (UPGRADE=1: to the newest)
	$(COMPILE) -o requirements.lock
	$(COMPILE) --extra onvif -c requirements.lock -o deploy/onvif.lock
	$(COMPILE) --extra onvif --group test -c deploy/onvif.lock -o tests/requirements.lock
	$(LOCK) --group fuzz -o tests/fuzz/requirements.lock
	$(LOCK) --group peers -o tests/peers/requirements.lock

build/uv/bin/uv:
	@deploy/environment.sh demo
	$(RUN) venv build/uv
	build/uv/bin/python -m pip install -qq uv

wheels: $(foreach arch,x86_64 aarch64,$(foreach python,3.11 3.12 3.13,wheels-$(arch)-$(python))) ## prove that no box needs a compiler
wheels-%:
	@deploy/environment.sh demo
	@folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	$(RUN) pip download -qq --no-deps --only-binary=:all: --require-hashes -r deploy/onvif.lock -d "$$folder" \
		--implementation cp --python-version $(lastword $(subst -, ,$*)) \
		$(addprefix --platform ,$(TAGS_$(firstword $(subst -, ,$*)))) && \
	echo "$(firstword $(subst -, ,$*)), Python $(lastword $(subst -, ,$*)): $$(ls "$$folder" | wc -l) wheels, no compiler"

clean: ## remove .venv, build and every cache
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
