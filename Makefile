# Each target is a line or two; the work is in embedded/, playbooks/ and tests/.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PLAY = .venv/bin/ansible-playbook -i inventories/embedded
export PYTHONDONTWRITEBYTECODE =

MOLECULE = PATH="$(CURDIR)/.venv/bin:$$PATH" MOLECULE_COMMAND_BORDERS=false .venv/bin/molecule

.PHONY: demo down aws test lint unit molecule test-real-jenkins bench clean

demo: .venv/.runtime ## the sample application on an AWS embedded on this machine, from nothing to its URL
	@.venv/bin/python -m embedded up
	@$(PLAY) site.yml

down: .venv/.runtime ## stop and remove all that demo and aws made
	@.venv/bin/python -m embedded down

aws: .venv/.runtime ## the embedded AWS alone, with the lines that point a shell at it
	@.venv/bin/python -m embedded up
	@.venv/bin/python -m embedded env

test: lint unit molecule ## linters, then unit, contract, role, integration and end-to-end tests
	@.venv/bin/python -m pytest tests/fault tests/integration tests/e2e

molecule: .venv/.dev ## every role on real hosts of its own, Debian 12 and 13
	@$(MOLECULE) test --all

test-real-jenkins: .venv/.dev ## the scenarios with Jenkins against its real packages, where their repository can be reached
	@SLIPWAY_JENKINS=real $(MOLECULE) test -s jenkins -s jenkins_plugins -s jenkins_job

unit: .venv/.dev ## the tests that need neither engine nor AWS
	@.venv/bin/python -m pytest tests/unit tests/contract

lint: .venv/.dev
	@.venv/bin/ruff check .
	@.venv/bin/mypy
	@.venv/bin/yamllint --strict .
	@ANSIBLE_INVENTORY=inventories/embedded .venv/bin/ansible-lint --offline -q
	@.venv/bin/cfn-lint --include-checks I -- files/cloudformation/*.yml

bench: .venv/.runtime ## side by side with what a user would pick instead; results in benchmarks/results/
	@.venv/bin/python -m benchmarks.cfn_stack
	@.venv/bin/python -m benchmarks.ecr_push

clean: down ## also the virtual environment
	rm -rf .venv benchmarks/.venv

.venv/.runtime: requirements.txt embedded/requirements.txt
	@PYTHON=$(PYTHON) embedded/venv.sh embedded/requirements.txt && touch $@

.venv/.dev: requirements-dev.txt .venv/.runtime
	@PYTHON=$(PYTHON) embedded/venv.sh requirements-dev.txt && touch $@
