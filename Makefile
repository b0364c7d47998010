# Everything a developer runs. `make help` lists it.

export LC_ALL := C.UTF-8
SCENARIO ?=
MEASURE ?=
CASE ?=
SHORT ?=

.DEFAULT_GOAL := help
.PHONY: help demo demo-down test test-unit test-integration test-fuzz test-lab lint sanity build bench failover fuzz

help: ## lists the targets
	@awk -F ': ## ' '/^[a-z-]+: ## / { printf "  make %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: ## starts the lab, converges it, probes it with real packets and prints a table
	@tests/tools/part demo

demo-down: ## stops the lab and removes everything that it left on this machine
	@tests/lab/lab down

test: ## every test below; what .ci/run calls
	@tests/tools/part test

lint: ## ansible-lint, yamllint, ruff, shellcheck, changelog fragments
	@tests/tools/part lint

sanity: ## ansible-test sanity on a copy
	@tests/tools/part sanity

build: ## builds the tarball in build/ and installs it from there
	@tests/tools/part build

test-unit: ## unit tests, with coverage
	@tests/tools/part test-unit

test-integration: ## tests against the real haproxy and kube-apiserver on this machine
	@tests/tools/part test-integration

test-fuzz: ## property tests against the real haproxy, 1,000 cases of each
	@tests/tools/part test-fuzz

test-lab: ## molecule scenarios and the demo on the lab's guests; SCENARIO=default runs one scenario
	@tests/tools/part test-lab $(SCENARIO)

bench: ## measures what docs/performance.md promises, and rewrites it; MEASURE=churn measures one of dispatch, serve, churn, converge, ipvs, failover, first_answer
	@tests/tools/part bench $(MEASURE)

failover: ## measures what is felt of failures and maintenance in the lab, and rewrites docs/reliability.md; CASE=router_plug runs one case, SHORT=1 a few
	@tests/tools/part failover $(CASE) $(if $(SHORT),--short)

fuzz: ## the same with 100,000 cases of each; NORTHGATE_FUZZ_CASES sets another number
	@tests/tools/part fuzz
