# Kurir's commands; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help demo up build build-for-simulator test format lint tests tests-build settings bench chaos fuzz deny

CARGO ?= cargo
PYTHON ?= python3
TARGET := $(or $(CARGO_TARGET_DIR),target)
DIST := target/dist
# What a release consists of, and what the demo starts.
PROGRAMS := kurir kurir-api kurir-gateway kurir-webhook-dispatcher
TOGETHER := $(patsubst %,-p %,$(PROGRAMS) whatsapp-simulator)
DEMO := kurir kurir-api kurir-gateway-for-simulator kurir-webhook-dispatcher whatsapp-simulator
# One set of features for the demo, the lints and the tests: each takes over what another one compiled.
FEATURES := --features kurir-gateway/simulator,kurir-contract/schema
# Tests wait for conditions most of their time: four for each core of the smallest machine. More only make each other late.
export RUST_TEST_THREADS ?= 8
# waproto's build script watches a file that it writes itself: unless that is dated back after the first build, the next
# one compiles waproto, and all that stands on it, once more.
SETTLE = find $(TARGET) -path '*/build/waproto-*/out/*' -name '*.desc' -exec touch -d 2000-01-01 {} +

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 22

demo: ## the whole system with a simulated WhatsApp (ONCE=1 ends after the first webhook)
	$(CARGO) build $(patsubst %,-p %,$(PROGRAMS) whatsapp-simulator kurir-contract) $(patsubst %,--bin %,$(DEMO)) $(FEATURES)
	@$(SETTLE)
	@$(PYTHON) deploy/demo/run.py demo

up: ## the whole system with the real WhatsApp: settings in .env, QR code in this terminal
	$(CARGO) build --profile local $(patsubst %,-p %,$(PROGRAMS)) $(patsubst %,--bin %,$(PROGRAMS))
	@$(SETTLE)
	@$(PYTHON) deploy/demo/run.py up

build: build-for-simulator ## release binaries in target/dist/
	$(CARGO) build --release $(TOGETHER) $(patsubst %,--bin %,$(PROGRAMS))
	@$(SETTLE)
	@mkdir -p $(DIST) && cp $(addprefix $(TARGET)/release/,$(PROGRAMS)) $(DIST)/

# A call of its own, because cargo unifies features within one: what trusts the simulator must not reach a release. Both calls
# are about the same packages, so that everything below the WhatsApp client has one set of features, and is compiled once. The
# simulator adds no more than a module of helpers for tests (`wacore-noise/test-util`), which nothing in the gateway calls.
build-for-simulator: ## the simulator, and the gateway that trusts it, in target/dist/
	$(CARGO) build --release $(TOGETHER) --bin kurir-gateway-for-simulator --bin whatsapp-simulator --features kurir-gateway/simulator
	@$(SETTLE)
	@mkdir -p $(DIST) && cp $(addprefix $(TARGET)/release/,kurir-gateway-for-simulator whatsapp-simulator) $(DIST)/

test: format lint tests ## formatting, lints and all tests

format:
	$(CARGO) fmt --all --check

lint: ## lints as errors; prints the five longest files
	$(CARGO) clippy --workspace --all-targets $(FEATURES) -- -D warnings
	@$(SETTLE)
	@echo "the five longest files:"; find services shared cli simulator tests -name '*.rs' | grep -vE '/tests/|tests\.rs$$' | xargs wc -l | sort -rn | sed -n '2,6p'

# The programs are built before, so that no test waits for a compiler; the first is the gateway with the features of a
# release, which must refuse the simulator.
tests: tests-build
	$(CARGO) test --workspace $(FEATURES) --no-fail-fast

tests-build:
	$(CARGO) build $(patsubst %,-p %,$(PROGRAMS)) --bin kurir-gateway
	@$(SETTLE)
	$(CARGO) build --workspace --bins $(FEATURES)
	@$(SETTLE)

settings: ## write docs/configuration.md again after a change of a setting
	KURIR_WRITE=1 $(CARGO) test --workspace $(FEATURES) --test it -- settings_page

screenshots: ## pictures of every page of the dashboard, in target/screenshots/
	KURIR_SCREENSHOTS=$(abspath $(TARGET))/screenshots $(CARGO) test --workspace $(FEATURES) --test it -- no_page_has_a_violation

book: ## the documents as a book, in docs/book/ (needs mdbook)
	mdbook build docs

chaos: tests-build ## kills and freezes everything under load for ten minutes, and checks that nothing is lost
	$(TARGET)/debug/kurir-chaos

fuzz: ## mutates the kept inputs of every parser for a minute each
	KURIR_FUZZ_SECONDS=60 $(CARGO) test --workspace $(FEATURES) --no-fail-fast fuzz_

deny: ## licences, sources, bans and advisories of all dependencies
	@CARGO=$(CARGO) .ci/deny

bench: ## what a delivery costs, beside a bare loop (docs/performance.md); takes some minutes
	$(CARGO) run --release -p kurir-benchmarks
