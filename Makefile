# Two commands for a newcomer: `make demo` and `make test`. Both install what is missing, and say what.

.PHONY: install run demo stop test check format bench clean

install:
	@scripts/install

run: install
	@scripts/start

demo: install
	@scripts/start
	@scripts/demo

stop:
	@scripts/stop

test: install
	@scripts/test $(ARGS)

check: install
	@.venv/bin/ruff format --check hostd tests bench
	@.venv/bin/ruff check hostd tests bench
	@.venv/bin/mypy
	@.venv/bin/lint-imports

format:
	@.venv/bin/ruff format hostd tests bench
	@.venv/bin/ruff check --fix hostd tests bench

bench: install
	@scripts/bench $(ARGS)
