# What people and CI run. Everything that is needed is built on first use and kept in the user's cache folder.
SHELL := /bin/bash
.DEFAULT_GOAL := help
TOOL := go tool -modfile=tools/go.mod
# A test binary of GUEST_PACKAGES changes the kernel's network: IN_GUEST runs it in a guest, never on this machine.
GUEST_PACKAGES := ./nodeagent/kernel/... ./nodeagent/dhcp/... ./nodeagent/lldp ./nodeagent/probe/... ./nodeagent/host ./cmd/bridgehead-agent
IN_GUEST := go run github.com/bridgehead-dev/bridgehead/e2e/vmrun -add ip -add bridge

.PHONY: help
help: ## Show this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## Tell the story on two nodes with kubelets: a bridge, two VMs with unique MACs, and their pods reach each other on VLAN 100
	@echo "Compiling the demo, a minute if nothing is cached; it says then what it does, with a total."
	@go run ./e2e/stories/demo

.PHONY: up
up: ## As demo, but stay until interrupted, with a KUBECONFIG to use
	@echo "Compiling the demo, a minute if nothing is cached; it says then what it does, with a total."
	@go run ./e2e/stories/demo -stay

.PHONY: test
test: ## Run all tests but most of test-systems, about an hour; or those of PKG=./folder RUN=TestName
	@echo "First what tests need that is not cached yet: up to 18 minutes on two cores, once.$(if $(PKG),, Then all tests: about an hour.)"
	@go run ./e2e/controlplane/build >/dev/null
ifdef PKG
	go test -timeout 40m $(if $(RUN),-run '$(RUN)') $(PKG)
else
	go test -timeout 60m $$(go list ./... | grep -v -e /e2e/onnodes$$ -e /e2e/systems$$)
	go test -race -timeout 30m ./macpool/... ./webhooks/...
	@$(MAKE) --no-print-directory test-guest
	@$(MAKE) --no-print-directory test-nodes
	@$(MAKE) --no-print-directory test-systems RUN=TestTheTableOfNetworkManager/NetworkManager_is_restarted
endif

.PHONY: test-nodes
test-nodes: ## Run the tests on nodes with kubelets: the story, the README, and faults; or RUN=TestName
	go test -timeout 60m $(if $(RUN),-run '$(RUN)') ./e2e/onnodes

.PHONY: test-roles
test-roles: ## Run the stories, and fail where the roles of the manifests are not what the audit logs say is needed
	go test -timeout 60m ./e2e/stories -roles

.PHONY: test-systems
test-systems: ## Run the tests on Debian's systemd with NetworkManager or systemd-networkd; or RUN=TestName
	go test -timeout 60m $(if $(RUN),-run '$(RUN)') ./e2e/systems

.PHONY: test-unit
test-unit: ## Run the tests that need neither control plane nor guest, in less than two minutes
	go test $$(go list ./... | grep -v /e2e/)

.PHONY: test-guest
test-guest: ## Run the tests that change a kernel's network, in guests; or those of PKG=./folder RUN=TestName
	@$(IN_GUEST) -prepare
	CGO_ENABLED=0 go test -timeout 40m -tags guest $(if $(RUN),-run '$(RUN)') -exec "$(IN_GUEST)" $(or $(PKG),$(GUEST_PACKAGES))
ifndef PKG
	CGO_ENABLED=0 go test -tags guest,noipv6 -run TestAKernelWithoutIPv6 -exec "$(IN_GUEST) -append ipv6.disable=1" ./nodeagent/kernel
endif

.PHONY: mutants
mutants: ## Break the code on purpose, one line of testdata/mutants.yaml at a time; fail if no test notices
	@go run ./e2e/mutants $(PKG)

# The name that the image gets: make image IMAGE=registry.example.org/bridgehead:v1.0.0
IMAGE ?= bridgehead:dev

.PHONY: image
image: ## Make the container image for all platforms, in dist, without a container daemon; PUSH=yes sends it to IMAGE
	@go run ./release --image $(IMAGE) $(if $(PUSH),--push)

.PHONY: release
release: ## Make the image and, in dist, the install.yaml of every kind of cluster and the chart with its name and digest; PUSH=yes sends it
	@go run ./release --image $(IMAGE) --manifests manifests --chart charts/bridgehead $(if $(PUSH),--push)

.PHONY: bench
bench: ## Compare admissions with ours, with a webhook that gives addresses and remembers nothing, and with none; writes bench.json
	@go run ./e2e/bench -json bench.json

.PHONY: bench-scale
bench-scale: ## Measure how start, memory, assignment and sweeps of a replica grow with 1,000 to 100,000 VMs, or SIZES=1000,10000; the API server is in memory
	@go run ./e2e/benchscale -json bench-scale.json $(if $(SIZES),-sizes $(SIZES))

.PHONY: bench-netstate
bench-netstate: ## Compare reading, planning and applying network state with ip -batch and bridge -batch, in one guest
	@CGO_ENABLED=0 go run -exec "$(IN_GUEST)" ./e2e/benchnetstate

.PHONY: bench-node
bench-node: ## Measure policies, bridges made by hand and idle agents on nodes in qemu, and fleets of hollow nodes
	@go run ./e2e/benchnode -json bench-node.json

.PHONY: chaos
chaos: ## Create, update and delete VMs and pods while replicas, API server and etcd fail, for ten minutes or FOR=1m; print what clients saw
	@go run ./e2e/chaos $(if $(FOR),-for $(FOR))

.PHONY: chaos-node
chaos-node: ## Kill agents, cut power and networks, apply policies that cut nodes off, all or ONLY='low MAC'; print what becomes of it
	@go run ./e2e/chaosnode $(if $(ONLY),-only '$(ONLY)')

.PHONY: lint
lint: ## Check style and imports
	$(TOOL) golangci-lint run ./...

.PHONY: fmt
fmt: ## Format the code
	$(TOOL) golangci-lint fmt ./...

.PHONY: generate
generate: ## Write again what is generated: deep copies, CRDs, the chart
	$(TOOL) controller-gen object crd paths=./api/... output:crd:dir=manifests/crds
	go generate ./...

.PHONY: check-generate
check-generate: generate ## Fail if what is generated is not what is committed
	git diff --exit-code
