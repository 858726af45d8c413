#!/usr/bin/env bash
# Starts and stops the processes of Fanfare on this machine. `make demo`, `make up` and `make down` call it.
#
#   deploy/stack.sh demo      services, simulator, api, two session workers, a webhook worker, a webhook receiver;
#                             then the demonstration itself, whose last line is one JSON object
#   deploy/stack.sh up        services, api, one session worker, one webhook worker, for real use; settings from .env
#   deploy/stack.sh status    say what runs
#   deploy/stack.sh down      stop all of it, services too; the data stays (rm -rf .fanfare removes it)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
BIN=${CARGO_TARGET_DIR:-$ROOT/target}/release
RUN=$ROOT/.fanfare/run
LOG=$ROOT/.fanfare/log
READY_TIMEOUT_S=60
STOP_TIMEOUT_S=30

say() { printf 'fanfare: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

build() {
    command -v cargo >/dev/null || die "missing: cargo (https://rustup.rs)"
    say "building (release; some minutes the first time)"
    cargo build --release --quiet "$@"
}

# A pid file may outlive its process, and the number may be somebody else's by then: ours carry this checkout's name.
running() {
    local pid
    pid=$(cat "$RUN/$1.pid" 2>/dev/null) && [ -n "$pid" ] && grep -qzxF "FANFARE_CHECKOUT=$ROOT" "/proc/$pid/environ" 2>/dev/null
}

# Whether the process that was just launched is still there; it may not have got as far as its own environment.
there() { kill -0 "$(cat "$RUN/$1.pid")" 2>/dev/null; }

launch() {
    local name=$1; shift
    running "$name" && die "$name runs already; make down first"
    mkdir -p "$RUN" "$LOG"
    # What the last one said must not be taken for the word of this one.
    rm -f "$LOG/$name.out"
    FANFARE_CHECKOUT=$ROOT setsid "$@" </dev/null >"$LOG/$name.out" 2>"$LOG/$name.log" &
    echo $! >"$RUN/$name.pid"
}

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
free_port() { local p=$1; while port_taken "$p"; do p=$((p + 1)); done; echo "$p"; }

await() {
    local name=$1 url=$2 i
    for ((i = 0; i < READY_TIMEOUT_S * 10; i++)); do
        curl -fsS -o /dev/null --max-time 2 "$url" 2>/dev/null && return
        there "$name" || { tail -n 5 "$LOG/$name.log" >&2; die "$name stopped at once; its log is $LOG/$name.log"; }
        sleep 0.1
    done
    die "$name is not ready after ${READY_TIMEOUT_S} s; its log is $LOG/$name.log"
}

stop_one() {
    local name=$1 pid i
    running "$name" || { rm -f "$RUN/$name.pid"; return 0; }
    pid=$(cat "$RUN/$name.pid")
    kill -TERM "$pid"
    for ((i = 0; i < STOP_TIMEOUT_S * 10; i++)); do running "$name" || break; sleep 0.1; done
    if running "$name"; then say "$name does not stop; killing it"; kill -KILL "$pid"; fi
    rm -f "$RUN/$name.pid"
}

stop_processes() {
    local f names=()
    for f in "$RUN"/*.pid; do [ -e "$f" ] && names+=("$(basename "$f" .pid)"); done
    for f in "${names[@]}"; do stop_one "$f" & done
    wait
}

# The api and the workers, with the settings that stand in the environment.
launch_product() {
    local sessions=$1 i
    local wanted=${PORT:-3000}
    PORT=$(free_port "$wanted")
    [ "$PORT" = "$wanted" ] || say "port $wanted is taken; the API takes $PORT"
    export PORT
    "$BIN/fanfare-api" migrate
    METRICS_ADDR=127.0.0.1:$(free_port 9464) launch api "$BIN/fanfare-api" serve
    await api "http://127.0.0.1:$PORT/healthz"
    for ((i = 1; i <= sessions; i++)); do
        launch_worker "session-$i" session
    done
    launch_worker webhook-1 webhook
}

launch_worker() {
    local name=$1 role=$2 port
    port=$(free_port 9465)
    METRICS_ADDR=127.0.0.1:$port launch "$name" "$BIN/fanfare-worker" "$role"
    await "$name" "http://127.0.0.1:$port/readyz"
}

random_key() { head -c 32 /dev/urandom | base64 -w0; }

demo() {
    build -p api -p worker -p simulator -p tests --bin fanfare-api --bin fanfare-worker --bin simulator --bin demo
    stop_processes
    deploy/services.sh start
    eval "$(deploy/services.sh fresh fanfare_demo)"
    launch simulator "$BIN/simulator" --listen 127.0.0.1:0 --control 127.0.0.1:0 --seed 1
    local i
    for ((i = 0; i < READY_TIMEOUT_S * 10; i++)); do
        [ -s "$LOG/simulator.out" ] && break
        there simulator || { tail -n 5 "$LOG/simulator.log" >&2; die "the simulator stopped at once"; }
        sleep 0.1
    done
    field() { sed -nE "s/.*\"$1\":\"([^\"]+)\".*/\1/p" "$LOG/simulator.out" | head -n1; }
    export WHATSAPP_URL WHATSAPP_ROOT_KEY SIMULATOR_CONTROL AUTH KEY_ENCRYPTION_KEY
    WHATSAPP_URL=$(field ws) WHATSAPP_ROOT_KEY=$(field root_public_key) SIMULATOR_CONTROL=$(field control)
    [ -n "$WHATSAPP_URL" ] && [ -n "$WHATSAPP_ROOT_KEY" ] && [ -n "$SIMULATOR_CONTROL" ] || die "the simulator did not say where it is; see $LOG/simulator.out"
    AUTH=${AUTH:-$(random_key)} KEY_ENCRYPTION_KEY=${KEY_ENCRYPTION_KEY:-$(random_key)}
    export MIN=0.05 MAX=0.15 HOST=127.0.0.1 WEBHOOK_ALLOW_PRIVATE=true LOG_DIR=$LOG
    unset WEBHOOK
    launch receiver "$BIN/demo" receive --listen 127.0.0.1:0
    launch_product 2
    printf 'AUTH=%s\nPORT=%s\nAMQP_URL=%s\nDATABASE_URL=%s\nSIMULATOR_CONTROL=%s\n' "$AUTH" "$PORT" "$AMQP_URL" "$DATABASE_URL" "$SIMULATOR_CONTROL" >"$ROOT/.fanfare/demo.env"
    say "the system is up: API http://127.0.0.1:$PORT (AUTH in .fanfare/demo.env), logs in .fanfare/log; make down stops it"
    "$BIN/demo" run --api "http://127.0.0.1:$PORT" --control "$SIMULATOR_CONTROL" --receiver-file "$LOG/receiver.out"
}

up() {
    build -p api -p worker
    if [ ! -f .env ]; then
        say "no .env yet: writing one from .env.example with new secrets"
        sed -e "s|^AUTH=.*|AUTH=$(random_key)|" -e "s|^KEY_ENCRYPTION_KEY=.*|KEY_ENCRYPTION_KEY=$(random_key)|" .env.example >.env
        chmod 600 .env
    fi
    set -a
    # shellcheck disable=SC1091
    . ./.env
    set +a
    [ -n "${AMQP_URL:-}" ] || unset AMQP_URL
    [ -n "${DATABASE_URL:-}" ] || unset DATABASE_URL
    deploy/services.sh start
    eval "$(deploy/services.sh env)"
    launch_product 1
    say "Fanfare is up: http://127.0.0.1:$PORT, logs in .fanfare/log; make down stops it"
}

status() {
    local f name
    for f in "$RUN"/*.pid; do
        [ -e "$f" ] || continue
        name=$(basename "$f" .pid)
        running "$name" && echo "$name: running (pid $(cat "$f"))" || echo "$name: stopped"
    done
    deploy/services.sh status
}

case "${1:-}" in
    demo) demo ;;
    up) up ;;
    status) status ;;
    down) stop_processes; deploy/services.sh stop ;;
    *) sed -n '2,/^set -euo/p' "${BASH_SOURCE[0]}" | sed -e 's/^# \{0,1\}//' -e '/^set -euo/d'; exit 2 ;;
esac
