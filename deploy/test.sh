#!/usr/bin/env bash
# All tests, from nothing: starts the services, builds, runs. `make test` calls it.
# With arguments, they are passed to the Rust test runner as a filter: `deploy/test.sh pause`, or what cargo-nextest
# takes where it is installed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
say() { printf 'test: %s\n' "$*" >&2; }

need() { command -v "$1" >/dev/null || { say "missing: $1 ($2)"; exit 1; }; }
need cargo "https://rustup.rs"
need node "Debian package nodejs, version 20 or later; the tests run Baileys, an independent client"
need npm "Debian package npm"
need python3 "Debian package python3"

need systemd-analyze "Debian package systemd; it need not run"

# The page is tested in a browser. CHROMIUM names one that is not Debian's.
install_chromium() {
    export CHROMIUM=${CHROMIUM:-$(command -v chromium || echo /usr/bin/chromium)}
    if [ -x "$CHROMIUM" ]; then return; fi
    command -v apt-get >/dev/null || { say "missing: chromium; install it, or set CHROMIUM to one"; exit 1; }
    [ "$(id -u)" = 0 ] || { say "missing: chromium; run 'sudo apt-get install -y --no-install-recommends chromium', or set CHROMIUM to one"; exit 1; }
    say "installing chromium (Debian package)"
    mkdir -p .fanfare
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium; } \
        >.fanfare/install-chromium.log 2>&1 || { say "the installation failed; see .fanfare/install-chromium.log"; exit 1; }
}
install_chromium

# The metrics are scraped, and the alerts tried.
install_prometheus() {
    if command -v prometheus >/dev/null && command -v promtool >/dev/null; then return; fi
    command -v apt-get >/dev/null || { say "missing: prometheus and promtool; install them"; exit 1; }
    [ "$(id -u)" = 0 ] || { say "missing: prometheus; run 'sudo apt-get install -y --no-install-recommends prometheus'"; exit 1; }
    say "installing prometheus (Debian package)"
    mkdir -p .fanfare
    # Its package starts a service of its own, which no test wants.
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -qq --no-install-recommends prometheus; } \
        >.fanfare/install-prometheus.log 2>&1 || { say "the installation failed; see .fanfare/install-prometheus.log"; exit 1; }
}
install_prometheus
nextest=$(command -v cargo-nextest || true)
if [ -z "$nextest" ] && [[ ${1:-} == -E* ]]; then
    say "-E is an option of cargo-nextest, which is not installed (cargo install --locked cargo-nextest); a part of the test's name works without it: deploy/test.sh pause"
    exit 1
fi

deploy/services.sh start
urls=$(deploy/services.sh env)
eval "$urls"

prepare_peers() {
    say "installing the independent clients (npm: baileys, amqplib, openapi-typescript, modelina, playwright-core, axe-core; pip: pika, schemathesis, openapi-python-client, datamodel-code-generator, moto, kubernetes-validate, check-jsonschema)"
    for d in tests/interop tests/publishers tests/clients tests/page; do
        if [ ! "$d/node_modules/.package-lock.json" -nt "$d/package-lock.json" ]; then
            npm ci --prefix "$d" --no-audit --no-fund --loglevel=error
        fi
    done
    local venv=$ROOT/.fanfare/venv wanted
    # What is installed is what these name: a copy lies beside it once all of it is.
    wanted=$(cat tests/{publishers,clients,stores,deploy}/requirements.txt)
    if [ ! -x "$venv/bin/python" ] || [ "$wanted" != "$(cat "$venv/installed.txt" 2>/dev/null)" ]; then
        mkdir -p "$ROOT/.fanfare"
        python3 -m venv "$venv" || { say "python3 -m venv does not work here; install the Debian package python3-venv"; exit 1; }
        "$venv/bin/pip" install --quiet --disable-pip-version-check -r tests/publishers/requirements.txt \
            -r tests/clients/requirements.txt -r tests/stores/requirements.txt -r tests/deploy/requirements.txt
        printf '%s\n' "$wanted" >"$venv/installed.txt"
    fi
}
mkdir -p .fanfare
prepare_peers >.fanfare/peers.log 2>&1 &
peers=$!

say "building"
cargo build --workspace --bins --examples
wait "$peers" || { cat .fanfare/peers.log >&2; exit 1; }
export FANFARE_PYTHON="$ROOT/.fanfare/venv/bin/python"

say "running"
if [ -n "$nextest" ]; then
    cargo nextest run --workspace "$@"
else
    say "cargo-nextest is not installed; using cargo test"
    cargo test --workspace "$@"
fi
