# Everything that is made goes to .build, and `make clean` removes it. Nothing else is written to: not HOME, not the system,
# but for the tools that `make bench` installs.
# PYTHON=... chooses the Python (3.11 or later, with venv); python3 otherwise.

# These go abreast, as do the slow ones below, and what takes longest begins first; the others measure, and have the machine alone.
GATES := integration sanity units lint types docs importer docs-check

# The oldest and the newest of what the product runs with; `make test` has what is between them, but for 3.12.
ENDS := \
	"matrix/sanity 3.12" "matrix/units 3.13 newest" "matrix/units 3.10" \
	"matrix/round-trip 2.18.0 3.11 progress" "matrix/round-trip newest 3.13 progress"
MATRIX := $(ENDS) "matrix/units 3.12" "matrix/round-trip newest 3.12"

.DEFAULT_GOAL := help
.PHONY: help test test-hosts test-matrix torture bench demo build lock clean $(GATES)
.NOTPARALLEL:

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## deploy the service here, upload a file, interrupt it, resume it (SRC=/path: your own file)
	@tests/gates/demo

test: ## all gates, on this machine's own Python (FULL=1: and the hosts, and the oldest and newest it runs with, as CI does)
	@status=0; \
	tests/gates/run --abreast $(if $(FULL),"gates/hosts story") $(addprefix gates/,$(GATES)) $(if $(FULL),$(ENDS) "gates/hosts watching") || status=1; \
	tests/gates/run "gates/torture --short" "gates/bench --smoke" || status=1; \
	exit $$status

test-hosts: ## the role on real systemd hosts, as root: boots them, without a way to the internet
	@tests/gates/run --abreast "gates/hosts story" "gates/hosts watching"

test-matrix: ## all other Pythons, other ansible-cores
	@tests/gates/run --abreast $(MATRIX)

torture: ## what goes wrong, on purpose and all of it, as root; writes docs/reliability.md (make test has the short form)
	@tests/gates/torture --long

bench: ## our speed beside that of other tools, which it installs, as root (SMOKE=1: whether it works)
	@tests/gates/bench --install $(if $(SMOKE),--smoke)

lint: ## ruff, shellcheck, yamllint, ansible-lint
types: ## mypy --strict
sanity: ## ansible-test sanity
docs-check: ## antsibull-docs, antsibull-changelog
docs: ## the documentation's site, to .build/docs
importer: ## galaxy-importer on the built package
units: ## unit tests
integration: ## real service, real modules
build: ## the package, to .build/dist
lock: ## the newest libraries into the lock files of the roles

$(GATES) build lock:
	@tests/gates/$@

clean: ## stop what the demonstration left running, remove everything that was made
	@tests/demo/run clean
	rm -rf .build
