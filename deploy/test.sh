#!/usr/bin/env bash
# All tests, from nothing: starts the services, builds, runs. `make test` calls it.
# With arguments, they are passed to the Rust test runner as a filter and the rest is left out.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
say() { printf 'test: %s\n' "$*" >&2; }

need() { command -v "$1" >/dev/null || { say "missing: $1 ($2)"; exit 1; }; }
need cargo "https://rustup.rs"
need node "Debian package nodejs, version 20 or later; the tests run Baileys, an independent client"
need npm "Debian package npm"
need python3 "Debian package python3"

deploy/services.sh start
eval "$(deploy/services.sh env)"

prepare_peers() {
    say "installing the independent clients (npm: baileys, amqplib; pip: pika)"
    for d in tests/interop tests/publishers; do
        (cd "$d" && { [ -f node_modules/.package-lock.json ] && [ node_modules/.package-lock.json -nt package-lock.json ]; } || npm ci --no-audit --no-fund --loglevel=error)
    done
    if [ ! -x "$ROOT/.fanfare/venv/bin/python" ] || ! "$ROOT/.fanfare/venv/bin/python" -c 'import pika' 2>/dev/null; then
        mkdir -p "$ROOT/.fanfare"
        python3 -m venv "$ROOT/.fanfare/venv" || { say "python3 -m venv does not work here; install the Debian package python3-venv"; exit 1; }
        "$ROOT/.fanfare/venv/bin/pip" install --quiet --disable-pip-version-check -r tests/publishers/requirements.txt
    fi
}
mkdir -p .fanfare
prepare_peers >.fanfare/peers.log 2>&1 &
peers=$!

say "building"
cargo build --workspace --bins
wait "$peers" || { cat .fanfare/peers.log >&2; exit 1; }
export FANFARE_PYTHON="$ROOT/.fanfare/venv/bin/python"

say "running"
if command -v cargo-nextest >/dev/null; then
    cargo nextest run --workspace "$@"
else
    say "cargo-nextest is not installed; using cargo test"
    cargo test --workspace "$@"
fi
