# Pantala: every command that a developer needs. `make help` lists them.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
CRD := crds/pantala.dev_inferencemodels.yaml
PYTEST ?= $(BIN)/pytest
PYTEST_ARGS ?=
WORKERS ?= 2

.PHONY: help setup demo demo-down test unit lint format crds image bench tools tools-test tools-mesh tools-adapter tools-keda tools-p2p soak e2e-kind clean

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Install the Debian packages that are missing (as root) and the Python environment

$(STAMP): pyproject.toml constraints.txt tests/cluster/debian-packages.txt
	@tests/cluster/setup.sh || [ "$$(id -u)" != 0 ] || exit 1
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing the Python environment (about a minute)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

tools: setup ## Build Kubernetes, etcd, KWOK and Helm into the user's cache (about 8 minutes, once)
	@$(BIN)/python -m tests.cluster build > /dev/null
	@$(BIN)/python -m tests.cluster build helm > /dev/null

tools-test: tools ## Build what only tests need: kubeconform, and API server 1.31 (about 5 minutes, once)
	@$(BIN)/python -m tests.cluster build kubeconform kube-apiserver-1.31 > /dev/null

tools-mesh: setup ## Build istiod, for the tests of mesh traffic (about 4 minutes, once)
	@$(BIN)/python -m tests.cluster build istiod gateway-api

tools-adapter: setup ## Build the Prometheus Adapter, metrics-server and the Prometheus Operator, for tests of autoscaling (about 8 minutes, once)
	@$(BIN)/python -m tests.cluster build prometheus-adapter metrics-server prometheus-operator

tools-keda: setup ## Build KEDA, for the tests of its scalers (about 7 minutes, once)
	@$(BIN)/python -m tests.cluster build keda-adapter keda-operator keda-config

tools-p2p: setup ## Build Dragonfly's dfdaemon and stores, for the tests of peer-to-peer (about 10 minutes, once)
	@tests/cluster/setup.sh tests/cluster/debian-packages-p2p.txt
	@$(BIN)/python -m tests.cluster build dfdaemon versitygw fake-gcs-server

demo: tools ## Start a real Kubernetes, install Pantala, serve a model with Triton and one with TorchServe
	@$(BIN)/python -m tests.demo up

demo-down: setup ## Remove the cluster of the demo and all that belongs to it
	@$(BIN)/python -m tests.demo down

test: tools-test ## Run all tests, two files at a time; a tier whose tools are missing is named as skipped
	@$(PYTEST) -m "not bench" --numprocesses $(WORKERS) --dist loadfile $(PYTEST_ARGS)

unit: setup ## Run the tests that need no cluster (seconds)
	@$(PYTEST) -m "not bench and not apiserver and not e2e" $(PYTEST_ARGS)

lint: setup ## Check style, types, layers and that generated files are up to date
	@$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/python -m pantala.api.crd | diff -u $(CRD) - || { echo "run: make crds" >&2; exit 1; }

format: setup ## Format the code
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

crds: setup ## Generate the CRD, its copy in the chart and the reference from the types
	@$(BIN)/python -m pantala.api.crd > $(CRD)
	@$(BIN)/python -m pantala.api.reference > docs/reference.md
	@$(BIN)/python charts/sync-crds.py

image: setup ## Build Pantala's image for the local cluster, without Docker (Dockerfile: the release's)
	@$(BIN)/python -m tests.cluster.images build pantala

soak: tools-test ## Run tests that have a long form in it: gigabytes, many rounds (half an hour)
	@PANTALA_SOAK=1 $(PYTEST) -m soak -s $(PYTEST_ARGS)

bench: tools-test ## Measure: models per second against a bare client, the fetcher against rclone
	@$(PYTEST) -m bench -s tests/bench $(PYTEST_ARGS)

e2e-kind: setup ## Run the end-to-end tests on kind (needs Docker and kind)
	@PANTALA_PROVIDER=kind $(PYTEST) -m e2e $(PYTEST_ARGS)

clean: ## Remove what was made in this folder; the user's cache stays
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
