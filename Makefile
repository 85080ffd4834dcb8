# Kurir's commands; `make` alone lists them.
.DEFAULT_GOAL := help
.PHONY: help demo up build test format lint tests bench deny FORCE

CARGO ?= cargo
PYTHON ?= python3
DIST := target/dist
# What the demo and the tests start: everything, and beside the gateway its twin that trusts the simulator.
WITH_SIMULATOR := --features kurir-gateway/simulator
OTHERS := kurir-webhook-dispatcher kurir-api kurir whatsapp-simulator
# Tests wait for conditions most of their time: four for each core of the smallest machine. More only make each other late.
export RUST_TEST_THREADS ?= 8
# waproto's build script watches a file that it writes itself: unless that is dated back, the next call compiles it, and
# all that stands on it, once more.
SETTLE := find target -path '*/build/waproto-*/out/*' -name '*.desc' -exec touch -d 2000-01-01 {} +

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

demo: ## the whole system with a simulated WhatsApp (ONCE=1 ends after the first webhook)
	$(CARGO) build --workspace --bins $(WITH_SIMULATOR)
	@$(PYTHON) deploy/demo/run.py demo

up: $(DIST)/kurir-gateway $(DIST)/kurir-webhook-dispatcher ## the whole system with the real WhatsApp: settings in .env, QR code in this terminal
	@$(PYTHON) deploy/demo/run.py up

build: $(DIST)/kurir-gateway $(DIST)/kurir-webhook-dispatcher $(DIST)/kurir-gateway-for-simulator ## release binaries in target/dist/

# Three calls, because cargo unifies features within one: what trusts the simulator must not reach the released gateway.
$(DIST)/kurir-gateway: FORCE
	$(CARGO) build --release -p kurir-gateway --bin kurir-gateway
	@mkdir -p $(DIST) && cp target/release/kurir-gateway $(DIST)/

$(DIST)/kurir-gateway-for-simulator: FORCE
	$(CARGO) build --release -p kurir-gateway --bin kurir-gateway-for-simulator --features simulator
	@mkdir -p $(DIST) && cp target/release/kurir-gateway-for-simulator $(DIST)/

$(DIST)/kurir-webhook-dispatcher: FORCE
	$(CARGO) build --release --bins $(addprefix -p ,$(OTHERS))
	@mkdir -p $(DIST) && cp $(addprefix target/release/,$(OTHERS)) $(DIST)/

test: format lint tests ## formatting, lints and all tests

format:
	$(CARGO) fmt --all --check

lint: ## lints as errors; prints the five longest files
	$(CARGO) clippy --workspace --all-targets $(WITH_SIMULATOR) -- -D warnings
	@$(SETTLE)
	@echo "the five longest files:"; find services shared cli simulator tests -name '*.rs' | grep -vE '/tests/|tests\.rs$$' | xargs wc -l | sort -rn | sed -n '2,6p'

# Built before, so that no test waits for a compiler: the demo's programs, and the released gateway that must refuse the
# simulator.
tests: $(DIST)/kurir-gateway
	$(CARGO) build --workspace --bins $(WITH_SIMULATOR)
	@$(SETTLE)
	$(CARGO) test --workspace $(WITH_SIMULATOR) --no-fail-fast

deny: ## licences, sources and bans of all dependencies
	@command -v cargo-deny >/dev/null || $(CARGO) install cargo-deny --locked --debug
	$(CARGO) deny --workspace check bans licenses sources

bench: ## what a delivery costs, beside a bare loop (docs/performance.md); takes some minutes
	$(CARGO) run --release -p kurir-benchmarks
