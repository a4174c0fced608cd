# Each target is a line or two; the work is in embedded/, playbooks/ and tests/.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
PLAY = .venv/bin/ansible-playbook -i inventories/embedded
export PYTHONDONTWRITEBYTECODE =

MOLECULE = PATH="$(CURDIR)/.venv/bin:$$PATH" MOLECULE_COMMAND_BORDERS=false .venv/bin/molecule

# A lane's own exit code, not that of sed.
SHELL = bash
.SHELLFLAGS = -o pipefail -c

.PHONY: demo demo-commit status down aws test lane-hosts lane-aws lint unit molecule soak test-real-jenkins bench clean

demo: .venv/.runtime ## the sample application and its pipeline on an AWS embedded on this machine, from nothing
	@.venv/bin/python -m embedded up --for-demo
	@$(PLAY) site.yml
	@.venv/bin/python -m embedded commands-to-try

demo-commit: .venv/.runtime ## change the application's colour by a commit, and see it go live (COLOUR=pink)
	@.venv/bin/python -m embedded commit --colour "$(COLOUR)"

status: .venv/.runtime ## the demo on one screen: pipeline, releases, Jenkins, service
	@$(PLAY) playbooks/status.yml

down: .venv/.runtime ## stop and remove all that demo and aws made
	@.venv/bin/python -m embedded down

aws: .venv/.runtime ## the embedded AWS alone, with the lines that point a shell at it
	@.venv/bin/python -m embedded up
	@.venv/bin/python -m embedded env

# What waits for containers most of the time runs in two lanes; a lane's name begins each of its lines.
LANE = 2>&1 | sed -u "s/^/$@ | /"

test: lint unit ## linters, then unit, contract, role, integration and end-to-end tests
	@.venv/bin/python -m embedded engine
	@$(MAKE) --no-print-directory -j2 lane-hosts lane-aws

# These need hosts, and no AWS: with them the two lanes take about as long.
ON_HOSTS = $(patsubst %,tests/integration/test_%.py,hosts role_docker role_jenkins)

lane-hosts:
	@$(MOLECULE) test --all $(LANE)
	@.venv/bin/python -m pytest $(ON_HOSTS) tests/e2e $(LANE)

lane-aws:
	@.venv/bin/python -m pytest tests/fault tests/integration $(ON_HOSTS:%=--ignore=%) $(LANE)

molecule: .venv/.dev ## every role on real hosts of its own, Debian 12 and 13
	@$(MOLECULE) test --all

test-real-jenkins: .venv/.dev ## the scenarios with Jenkins against its real packages, where their repository can be reached
	@SLIPWAY_JENKINS=real $(MOLECULE) test -s jenkins -s jenkins_plugins -s jenkins_job

soak: .venv/.dev ## 200 releases aborted at random moments, and ten at once of one service
	@SLIPWAY_ABORTS=200 SLIPWAY_ABORTS_SERVICES=4 SLIPWAY_AT_ONCE=10 .venv/bin/python -m pytest -s tests/e2e/test_aborts.py

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
	@.venv/bin/python -m benchmarks.release
	@.venv/bin/python -m benchmarks.pipeline

clean: down ## also the virtual environment
	rm -rf .venv benchmarks/.venv

PINS = roles/release_runner/files/constraints.txt constraints-dev.txt

.venv/.runtime: requirements.txt embedded/requirements.txt $(PINS)
	@PYTHON=$(PYTHON) embedded/venv.sh embedded/requirements.txt && touch $@

.venv/.dev: requirements-dev.txt .venv/.runtime
	@PYTHON=$(PYTHON) embedded/venv.sh requirements-dev.txt && touch $@
