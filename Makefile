# Needs make and Python 3.11 or newer; everything else goes into $(VENV).
VENV ?= .venv
BENCH_VENV ?= .venvs/bench
export VENV PYTHON DJANGO

.PHONY: help demo test chaos bench screenshots messages lint wheel

help:
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1	/'

demo: ## run the example: flows of jobs, live in the terminal, and the report they make
	@scripts/venv example
	@$(VENV)/bin/python manage.py demo $(ARGS)

test: ## run the tests, on each database that can be reached; ARGS="-k words" goes to pytest
	@scripts/venv test
	@scripts/axe
	@$(VENV)/bin/python scripts/run_tests.py $(ARGS)

chaos: ## flows under fire: DB=postgres SEED=7 SECONDS=60 FAULTS=kill,stop; ARGS=--help tells what else there is
	@scripts/venv test
	@$(VENV)/bin/python -m tests.chaos $(if $(DB),--db $(DB)) $(if $(SEED),--seed $(SEED)) \
		$(if $(SECONDS),--seconds $(SECONDS)) $(if $(FAULTS),--faults $(FAULTS)) $(ARGS)

bench: ## speed, beside other queues: PARTS=drain,flows PEERS=celery,huey DB=postgres ROUNDS=3 SCALE=0.3; ARGS=--help
	@VENV=$(BENCH_VENV) scripts/venv bench
	@$(BENCH_VENV)/bin/python -m benchmarks $(if $(PARTS),--parts $(PARTS)) $(if $(PEERS),--peers $(PEERS)) \
		$(if $(DB),--db $(DB)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(SCALE),--scale $(SCALE)) $(ARGS)

screenshots: ## the pictures of the admin in docs/images, of flows that run meanwhile; needs Chromium
	@scripts/venv test
	@folder=$$(mktemp -d) && DATABASE_URL=sqlite:///$$folder/shop.sqlite3 \
		$(VENV)/bin/python manage.py screenshots docs/images; status=$$?; rm -rf "$$folder"; exit $$status

messages: ## collect what can be translated, and compile the translations; needs gettext
	@scripts/venv test
	cd conveyor_django && for language in locale/*; do \
		$(abspath $(VENV))/bin/python -m django makemessages --locale $$(basename $$language) --no-obsolete --add-location file; \
	done && $(abspath $(VENV))/bin/python -m django compilemessages

lint: ## check style, types, floors and migrations
	@scripts/venv lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/lint-imports
	$(VENV)/bin/mypy
	$(VENV)/bin/python -m django makemigrations --check --dry-run --settings tests.settings
	$(VENV)/bin/python manage.py makemigrations --check --dry-run

wheel: ## build the wheel and use it in an empty environment
	@scripts/venv lint
	$(VENV)/bin/python scripts/check_wheel.py
