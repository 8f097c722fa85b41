# Everything starts here; nothing but Python 3.11+, make and the package index is needed.
# `make` alone lists what there is.

CONFIG ?= config/gateway.yaml
PYTHON ?= $(firstword $(foreach p,python3 python3.13 python3.12 python3.11,\
            $(if $(shell $(p) -c 'import sys; print(sys.version_info >= (3, 11) or "")' 2>/dev/null),$(p))))

BIN := .venv/bin
INSTALLED := .venv/.installed
BROKER_INSTALLED := .venv-broker/.installed
NODE_RED := tests/node-red/node_modules/.installed

# Debian keeps mosquitto where a user's PATH does not look.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin
export PIP_DISABLE_PIP_VERSION_CHECK := 1
SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo run test node-red home-assistant check conformance format bench soak addon lock mosquitto clean

help: ## List the targets
	@echo "ocpp-mqtt-gateway: MQTT devices on one side, an OCPP CSMS on the other."
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
	    printf '%-15s %s\n' "  make $$name" "$$text"; done

demo: $(INSTALLED) ## Watch a card, a cable and a meter become OCPP transactions (ONCE=1: play once, check, exit)
	@set -e; \
	if command -v mosquitto >/dev/null || scripts/install-package mosquitto; then \
	    broker=mosquitto; command='mosquitto -p {port}'; \
	else \
	    echo "==> Without mosquitto: a broker in Python takes its place (.venv-broker)."; \
	    $(MAKE) --no-print-directory $(BROKER_INSTALLED); \
	    broker=amqtt; command='.venv-broker/bin/python scripts/demo_broker.py {port}'; \
	fi; \
	exec $(BIN)/ocpp-gateway demo --broker "$$broker" --broker-command "$$command" $(if $(filter-out 0,$(ONCE)),--once)

run: $(INSTALLED) ## Run the gateway (CONFIG=config/gateway.yaml)
	@exec $(BIN)/ocpp-gateway run $(CONFIG)

test: $(INSTALLED) mosquitto $(if $(shell command -v npm),node-red) ## Run the tests (ARGS="-k card"; LONG=1 adds those that take minutes)
	$(BIN)/python -m pytest $(if $(filter-out 0,$(LONG)),-m "long or not long") $(ARGS)

node-red: $(NODE_RED) ## Install the Node-RED that the flows in config/node-red are tried with

check: $(INSTALLED) ## Lint, format, types, the laws of the architecture, generated documents
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	@$(BIN)/ocpp-gateway asyncapi | diff -u docs/asyncapi.json - || { \
	    echo "docs/asyncapi.json is out of date: run 'make format' and commit it."; exit 1; }
	$(BIN)/python -m tests.conformance.table --check
	@$(BIN)/ocpp-gateway acl --any-station | diff -u mosquitto/acl - || { \
	    echo "mosquitto/acl is out of date: run 'make format' and commit it."; exit 1; }

conformance: $(INSTALLED) mosquitto ## Play the compliance cases of OCPP 1.6 and write docs/conformance-ocpp16.md
	$(BIN)/python -m tests.conformance.table

format: $(INSTALLED) ## Repair what can be repaired: format, order of imports, generated documents
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .
	$(BIN)/ocpp-gateway asyncapi > docs/asyncapi.json.new
	mv docs/asyncapi.json.new docs/asyncapi.json
	$(BIN)/ocpp-gateway acl --any-station > mosquitto/acl.new
	mv mosquitto/acl.new mosquitto/acl

bench: $(INSTALLED) mosquitto ## Measure CPU per message, latency, memory per station; last line: BENCH {json}
	$(BIN)/python -m tests.benchmarks $(ARGS)

soak: $(INSTALLED) mosquitto ## Let 200 stations live for an hour: nothing lost, doubled or leaked (ARGS="--minutes 5 --stations 50")
	$(BIN)/python -m tests.soak $(ARGS)

home-assistant: $(INSTALLED) mosquitto ## Install a Home Assistant in .venv-homeassistant, and let it find a station
	@test -x .venv-homeassistant/bin/hass || { PYTHON="$(PYTHON)" scripts/make-venv .venv-homeassistant && \
	    .venv-homeassistant/bin/python -m pip install --quiet -r tests/requirements-homeassistant.txt; }
	$(BIN)/python -m pytest -m long tests/e2e/test_real_home_assistant.py

addon: $(INSTALLED) ## Make the Home Assistant add-on in dist/ocpp_mqtt_gateway
	@scripts/make-addon $(BIN)/python dist/ocpp_mqtt_gateway

lock: ## Pin the newest versions that pyproject.toml allows
	@$(MAKE) --no-print-directory PYTHON="$(PYTHON)" .venv-lock
	.venv-lock/bin/pip-compile $(COMPILE) -o requirements.lock pyproject.toml
	.venv-lock/bin/pip-compile $(COMPILE) --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml

# No index, host or path of the machine that pinned them belongs in the lock files.
COMPILE := --quiet --upgrade --generate-hashes --allow-unsafe --strip-extras --no-header --no-annotate \
           --no-emit-index-url --no-emit-trusted-host --no-emit-find-links

clean: ## Remove environments, caches and build results (data and configuration stay)
	rm -rf .venv .venv-broker .venv-homeassistant .venv-lock tests/node-red/node_modules build dist *.egg-info \
	    .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find gateway tests -name __pycache__ -prune -exec rm -rf {} +

mosquitto:
	@command -v mosquitto >/dev/null || scripts/install-package mosquitto || { \
	    echo "These tests talk to a real broker: install mosquitto, then try again. Nothing is skipped without it."; exit 1; }

$(INSTALLED): requirements-dev.lock pyproject.toml
	@PYTHON="$(PYTHON)" scripts/make-venv .venv
	@echo "==> Installing what the gateway and its tests need, as pinned in requirements-dev.lock"
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

$(BROKER_INSTALLED): scripts/requirements-broker.lock
	@PYTHON="$(PYTHON)" scripts/make-venv .venv-broker
	@echo "==> Installing amqtt, a broker in Python, into .venv-broker"
	@.venv-broker/bin/python -m pip install --quiet --require-hashes -r scripts/requirements-broker.lock
	@touch $@

# Without a network the other tests run all the same; those of the flows are skipped, with a loud line.
$(NODE_RED): tests/node-red/package-lock.json
	@echo "==> Installing Node-RED, as pinned in tests/node-red/package-lock.json"
	@cd tests/node-red && npm ci --no-audit --no-fund --silent && touch node_modules/.installed || \
	    echo "==> Node-RED could not be installed: its flows are not tried."

.venv-lock:
	@PYTHON="$(PYTHON)" scripts/make-venv .venv-lock
	@.venv-lock/bin/python -m pip install --quiet pip-tools
