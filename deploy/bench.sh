#!/usr/bin/env bash
# Measures speed and memory; `make bench` calls it. One JSON line per row on stdout, progress on stderr.
#
#   deploy/bench.sh              everything
#   deploy/bench.sh micro        only some parts: micro sends pictures jobs sockets flood idle costs
#   deploy/bench.sh --help       the rest
#
# Exit code 1 says that a part could not be measured; a target that is missed is said in its row.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
BIN=${CARGO_TARGET_DIR:-$ROOT/target}/release

say() { printf 'bench: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

command -v cargo >/dev/null || die "missing: cargo (https://rustup.rs)"
command -v node >/dev/null || die "missing: node 20 or later; it runs Baileys, which is measured beside us"
command -v npm >/dev/null || die "missing: npm; it installs Baileys"

if [ ! -d tests/interop/node_modules/baileys ]; then
    say "installing Baileys (npm ci in tests/interop)"
    npm ci --prefix tests/interop --no-audit --no-fund --silent >&2 || die "npm ci failed in tests/interop"
fi

say "building (release; some minutes the first time)"
cargo build --release --quiet -p api -p worker
cargo build --release --quiet -p simulator -p tests --bins

deploy/services.sh start
urls=$(deploy/services.sh env)
eval "$urls"
exec "$BIN/bench" "$@"
