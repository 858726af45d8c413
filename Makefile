# Every target sets up what it needs, says what it is doing, and is taken down by `make down`.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
TARGET := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
export CARGO_TARGET_DIR := $(TARGET)

.PHONY: help demo up load doctor down test upgrade check bench fmt

help: ## list the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## (.*)/  make \1\t\2/' | expand -t 16

demo: ## the main job against the simulator: pair, broadcast to 100, pause, resume, webhooks; leaves the system up
	@deploy/stack.sh demo

up: ## the product for real use: RabbitMQ, PostgreSQL, api, session worker, webhook worker (settings in .env)
	@deploy/stack.sh up

load: ## drive what demo started, through its simulator: make load LOAD='--sessions 50 --rate 100 --seconds 300' (bounded)
	@deploy/stack.sh load $(LOAD)

doctor: ## check what demo or up started, and say what is wrong and what to do
	@deploy/stack.sh doctor

down: ## stop all that demo, up or test started
	@deploy/stack.sh down

test: ## all tests: units, protocol, services, end to end, Baileys, foreign publishers, generated clients
	@deploy/test.sh

upgrade: ## go from the build of a commit to this one in mid-broadcast: make upgrade FROM=<commit>
	@deploy/upgrade.sh $(FROM)

check: ## formatting, lints, docs, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p whatsapp --no-default-features -- -D warnings
	cargo clippy -p whatsapp --no-default-features --features server -- -D warnings
	cargo clippy -p whatsapp --no-default-features --features client -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	@command -v cargo-deny >/dev/null || { echo "installing cargo-deny"; cargo install --locked --quiet cargo-deny; }
	cargo deny check
	cargo deny --manifest-path worker/whatsapp/fuzz/Cargo.toml check --allow license-not-encountered bans licenses sources

bench: ## speed and memory, one JSON line per row, side by side with Baileys and the floor
	@deploy/bench.sh

fmt: ## format
	cargo fmt --all
