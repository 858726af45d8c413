#!/usr/bin/env bash
# Starts and stops the processes of Fanfare on this machine. `make demo`, `make up` and `make down` call it.
#
#   deploy/stack.sh demo      services, simulator, api, two session workers, a webhook worker, a webhook receiver;
#                             then the demonstration itself, whose last line is one JSON object
#   deploy/stack.sh up        services, api, one session worker, one webhook worker, for real use; settings from the
#                             environment and, for what it does not set, from .env
#   deploy/stack.sh load ...  drive what demo started with more than a demonstration, through its simulator; --help says how
#   deploy/stack.sh doctor    check what runs, with its own settings, and say what is wrong
#   deploy/stack.sh status    say what runs
#   deploy/stack.sh down      stop all of it, services too; the data stays (rm -rf .fanfare removes it)
#
# Where this machine has Prometheus, it watches what demo and up start; where it has Grafana too, the dashboards are shown.
# FANFARE_BIN names a folder with the binaries; without it they are built here.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$(pwd -P)
BIN=${FANFARE_BIN:-${CARGO_TARGET_DIR:-$ROOT/target}/release}
RUN=$ROOT/.fanfare/run
LOGS=$ROOT/.fanfare/log
READY_TIMEOUT_S=60
# Longer than the 35 s after which a process has cut itself off.
STOP_TIMEOUT_S=40
FIRST_METRICS_PORT=9464
# Fast enough for who looks at it right behind the start.
SCRAPE_INTERVAL=5s

say() { printf 'fanfare: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

build() {
    command -v curl >/dev/null || die "missing: curl (Debian package curl)"
    if [ -n "${FANFARE_BIN:-}" ]; then say "using the binaries in $FANFARE_BIN"; return; fi
    command -v cargo >/dev/null || die "missing: cargo (https://rustup.rs)"
    say "building (release; some minutes the first time)"
    cargo build --release --quiet "$@"
}

# A pid file may outlive its process, and the number may be somebody else's by then: ours carry this checkout's name.
running() {
    local pid
    pid=$(cat "$RUN/$1.pid" 2>/dev/null) && [ -n "$pid" ] && grep -qzxF "FANFARE_CHECKOUT=$ROOT" "/proc/$pid/environ" 2>/dev/null
}

any_running() {
    local f
    for f in "$RUN"/*.pid; do
        if running "$(basename "$f" .pid)"; then return 0; fi
    done
    return 1
}

# The stack whose processes these are: `up`, or `demo`, which the next demo replaces.
kind() { cat "$RUN/kind" 2>/dev/null || echo up; }

# Whether the process that was just launched is still there; it may not have got as far as its own environment.
there() { kill -0 "$(cat "$RUN/$1.pid")" 2>/dev/null; }

launch() {
    local name=$1; shift
    running "$name" && die "$name runs already; make down first"
    mkdir -p "$RUN" "$LOGS"
    # What the last one said must not be taken for the word of this one.
    rm -f "$LOGS/$name.out"
    FANFARE_CHECKOUT=$ROOT setsid "$@" </dev/null >"$LOGS/$name.out" 2>"$LOGS/$name.log" &
    echo $! >"$RUN/$name.pid"
}

# near HOST: where a process that listens on HOST is reached from here.
near() { case $1 in 0.0.0.0) echo 127.0.0.1 ;; ::) echo ::1 ;; *) echo "$1" ;; esac; }

# address HOST PORT
address() { case $1 in *:*) echo "[$1]:$2" ;; *) echo "$1:$2" ;; esac; }

port_taken() { (exec 3<>"/dev/tcp/$(near "$1")/$2") 2>/dev/null; }

# free_port HOST FIRST
free_port() { local p=$2; while port_taken "$1" "$p"; do p=$((p + 1)); done; echo "$p"; }

# A PORT that is set is what clients call, with AUTH: it does not move. Without one it is the first free from 3000 on.
choose_port() {
    local host=${HOST:-127.0.0.1}
    if [ -z "${PORT:-}" ]; then
        PORT=$(free_port "$host" 3000)
        [ "$PORT" = 3000 ] || say "port 3000 is taken; the API takes $PORT"
    fi
    export PORT
    [ "$PORT" != 0 ] || die "PORT is 0, which would be another port each time: name one, or leave it empty"
    if port_taken "$host" "$PORT"; then die "PORT: $PORT is taken by another process; set another one in .env or in the environment"; fi
}

# choose_metrics COUNT: the ports of so many processes. METRICS_ADDR names the first and the next ones are the others';
# without it they are what is free on loopback.
choose_metrics() {
    local port=$FIRST_METRICS_PORT
    METRICS_HOST=127.0.0.1 METRICS_PORTS=()
    if [ -n "${METRICS_ADDR:-}" ]; then
        [[ $METRICS_ADDR =~ ^\[?([^]]+)\]?:([1-9][0-9]*)$ ]] || die "METRICS_ADDR: must be address:port, such as 127.0.0.1:$FIRST_METRICS_PORT"
        METRICS_HOST=${BASH_REMATCH[1]} port=${BASH_REMATCH[2]}
    fi
    for ((; ${#METRICS_PORTS[@]} < $1; port++)); do
        if [ "$port" != "$PORT" ] && ! port_taken "$METRICS_HOST" "$port"; then
            METRICS_PORTS+=("$port")
        elif [ -n "${METRICS_ADDR:-}" ]; then
            die "METRICS_ADDR: port $port is taken; $1 ports are needed from the given one on"
        fi
    done
}

await() {
    local name=$1 url=$2 i
    for ((i = 0; i < READY_TIMEOUT_S * 10; i++)); do
        curl -fsS -o /dev/null --max-time 2 "$url" 2>/dev/null && return
        there "$name" || { tail -n 5 "$LOGS/$name.log" >&2; die "$name stopped at once; its log is $LOGS/$name.log"; }
        sleep 0.1
    done
    die "$name is not ready after ${READY_TIMEOUT_S} s; its log is $LOGS/$name.log"
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

# The api and the workers, with the settings that stand in the environment and the ports that were chosen.
launch_product() {
    local sessions=$1 i
    "$BIN/fanfare-api" migrate
    METRICS_ADDR=$(address "$METRICS_HOST" "${METRICS_PORTS[0]}") launch api "$BIN/fanfare-api" serve
    await api "http://$(address "$(near "${HOST:-127.0.0.1}")" "$PORT")/healthz"
    for ((i = 1; i <= sessions; i++)); do
        launch_worker "session-$i" session "${METRICS_PORTS[i]}"
    done
    launch_worker webhook-1 webhook "${METRICS_PORTS[sessions + 1]}"
}

launch_worker() {
    local name=$1 role=$2 port=$3
    METRICS_ADDR=$(address "$METRICS_HOST" "$port") launch "$name" "$BIN/fanfare-worker" "$role"
    await "$name" "http://$(address "$(near "$METRICS_HOST")" "$port")/readyz"
}

# Prometheus and Grafana, where this machine has them: they watch what was launched, and say where they are.
launch_watchers() {
    local sessions=$1 prometheus grafana
    if ! command -v prometheus >/dev/null; then
        say "no dashboards: they want Prometheus (Debian package prometheus) and Grafana (https://grafana.com/grafana/download); install both and start this again, or see docs/DASHBOARDS.md"
        return
    fi
    write_scrapes "$sessions"
    prometheus=$(free_port 127.0.0.1 9090)
    launch prometheus prometheus --config.file="$ROOT/.fanfare/prometheus.yml" --storage.tsdb.path="$ROOT/.fanfare/prometheus" \
        --storage.tsdb.retention.time=1d --web.listen-address="127.0.0.1:$prometheus"
    # What watches is no reason not to start what is watched.
    (await prometheus "http://127.0.0.1:$prometheus/-/ready") || return 0
    say "Prometheus: http://127.0.0.1:$prometheus"
    if ! command -v grafana >/dev/null; then
        say "no dashboards: they want Grafana (https://grafana.com/grafana/download) beside this Prometheus; install it and start this again, or see docs/DASHBOARDS.md"
        return
    fi
    grafana=$(free_port 127.0.0.1 3001)
    launch_grafana "$grafana" "http://127.0.0.1:$prometheus"
    (await grafana "http://127.0.0.1:$grafana/api/health") || return 0
    say "dashboards: http://127.0.0.1:$grafana/d/fanfare-overview"
}

# Whoever reaches loopback may look; nobody may change anything.
launch_grafana() {
    local data=$ROOT/.fanfare/grafana
    mkdir -p "$data"
    cp -r deploy/grafana/provisioning "$data/"
    sed -i "s|http://prometheus:9090|$2|; s|/var/lib/grafana/dashboards|$ROOT/deploy/grafana/dashboards|; s|timeInterval: .*|timeInterval: $SCRAPE_INTERVAL|" \
        "$data"/provisioning/*/fanfare.yaml
    GF_SERVER_HTTP_ADDR=127.0.0.1 GF_SERVER_HTTP_PORT=$1 GF_PATHS_DATA=$data GF_PATHS_LOGS=$data/log \
        GF_PATHS_PROVISIONING=$data/provisioning GF_AUTH_ANONYMOUS_ENABLED=true GF_AUTH_ANONYMOUS_ORG_ROLE=Viewer GF_ANALYTICS_REPORTING_ENABLED=false \
        GF_ANALYTICS_CHECK_FOR_UPDATES=false GF_AUTH_DISABLE_LOGIN_FORM=true GF_SECURITY_ADMIN_PASSWORD=$(random_key) \
        launch grafana grafana server --homepath "${GRAFANA_HOME:-/usr/share/grafana}"
}

# What is scraped where, with the rules of deploy/prometheus.
write_scrapes() {
    local file=$ROOT/.fanfare/prometheus.yml sessions=$1
    rm -f "$file"
    (umask 077; {
        echo "global: { scrape_interval: $SCRAPE_INTERVAL, evaluation_interval: $SCRAPE_INTERVAL }"
        echo "rule_files: [\"$ROOT/deploy/prometheus/rules.yml\", \"$ROOT/deploy/prometheus/alerts.yml\"]"
        echo "scrape_configs:"
        scrape fanfare-api "${METRICS_PORTS[0]}"
        scrape fanfare-session "${METRICS_PORTS[@]:1:sessions}"
        scrape fanfare-webhook "${METRICS_PORTS[sessions + 1]}"
    } >"$file")
}

# scrape ROLE PORT...
scrape() {
    local port targets=()
    for port in "${@:2}"; do targets+=("\"$(address "$(near "$METRICS_HOST")" "$port")\""); done
    echo "  - job_name: $1"
    if [ -n "${METRICS_TOKEN:-}" ]; then printf "    authorization: { credentials: '%s' }\n" "${METRICS_TOKEN//\'/\'\'}"; fi
    echo "    static_configs: [{ targets: [$(IFS=,; echo "${targets[*]}")], labels: { deployment: \"$(kind)\" } }]"
}

# For shells that call the API: write_env KIND NAME... writes these variables to .fanfare/KIND.env.
write_env() {
    local file=$ROOT/.fanfare/$1.env name
    rm -f "$file"
    (umask 077; for name in "${@:2}"; do printf '%s=%q\n' "$name" "${!name:-}"; done >"$file")
}

random_key() { head -c 32 /dev/urandom | base64 -w0; }

# The last line of a demonstration that did not begin. Its shape is that of `demo run`, which has a test for it.
not_begun() {
    echo '{"demo":"failed","recipients":100,"shown_once":null,"shown_twice":null,"lost":null,"undecryptable":null,"gap_ms":{"min":null,"max":null},"events":{},"webhooks_delivered":null}'
}

demo() {
    trap not_begun EXIT
    if any_running && [ "$(kind)" != demo ]; then die "what make $(kind) started in this checkout still runs; make down first"; fi
    build -p api -p worker -p simulator -p tests --bin fanfare-api --bin fanfare-worker --bin simulator --bin demo
    stop_processes
    mkdir -p "$RUN"
    echo demo >"$RUN/kind"
    local urls wanted
    deploy/services.sh start
    urls=$(deploy/services.sh fresh fanfare_demo)
    eval "$urls"
    launch simulator "$BIN/simulator" --listen 127.0.0.1:0 --control 127.0.0.1:0 --seed 1
    local i
    for ((i = 0; i < READY_TIMEOUT_S * 10; i++)); do
        [ -s "$LOGS/simulator.out" ] && break
        there simulator || { tail -n 5 "$LOGS/simulator.log" >&2; die "the simulator stopped at once"; }
        sleep 0.1
    done
    field() { sed -nE "s/.*\"$1\":\"([^\"]+)\".*/\1/p" "$LOGS/simulator.out" | head -n1; }
    export WHATSAPP_URL WHATSAPP_MEDIA_URL WHATSAPP_VERSION_URL WHATSAPP_ROOT_KEY SIMULATOR_CONTROL AUTH KEY_ENCRYPTION_KEY
    WHATSAPP_URL=$(field ws) WHATSAPP_ROOT_KEY=$(field root_public_key) SIMULATOR_CONTROL=$(field control)
    WHATSAPP_MEDIA_URL=$SIMULATOR_CONTROL WHATSAPP_VERSION_URL=$SIMULATOR_CONTROL/sw.js
    if [ -z "$WHATSAPP_URL" ] || [ -z "$WHATSAPP_ROOT_KEY" ] || [ -z "$SIMULATOR_CONTROL" ]; then
        die "the simulator did not say where it is; see $LOGS/simulator.out"
    fi
    AUTH=${AUTH:-$(random_key)} KEY_ENCRYPTION_KEY=${KEY_ENCRYPTION_KEY:-$(random_key)}
    export MIN=0.05 MAX=0.15 LOOK_UP_GAP=0 LOOK_UPS_PER_DAY=1000000 HOST=127.0.0.1 WEBHOOK_ALLOW_PRIVATE=true
    unset WEBHOOK
    launch receiver "$BIN/demo" receive --listen 127.0.0.1:0
    # Nobody else calls this one, so it may move.
    wanted=${PORT:-3000}
    PORT=$(free_port "$HOST" "$wanted")
    [ "$PORT" = "$wanted" ] || say "port $wanted is taken; the API takes $PORT"
    choose_port
    choose_metrics 4
    launch_product 2
    launch_watchers 2
    write_env demo AUTH HOST PORT AMQP_URL DATABASE_URL KEY_ENCRYPTION_KEY WHATSAPP_URL WHATSAPP_VERSION_URL WEBHOOK_ALLOW_PRIVATE SIMULATOR_CONTROL
    say "the system is up: API http://127.0.0.1:$PORT (AUTH in .fanfare/demo.env), logs in .fanfare/log; make down stops it"
    trap - EXIT
    "$BIN/demo" run --api "http://127.0.0.1:$PORT" --control "$SIMULATOR_CONTROL" --receiver-file "$LOGS/receiver.out"
}

# What the environment sets, be it to nothing, wins over .env.
read_env_file() {
    local exported
    exported=$(set -o posix; export -p)
    set -a
    # shellcheck disable=SC1091
    . ./.env
    set +a
    eval "$exported"
}

up() {
    if any_running; then die "what make $(kind) started in this checkout still runs; make down first"; fi
    if [ ! -f .env ]; then
        say "no .env yet: writing one from .env.example with new secrets"
        (umask 077; sed -e "s|^AUTH=.*|AUTH=$(random_key)|" -e "s|^KEY_ENCRYPTION_KEY=.*|KEY_ENCRYPTION_KEY=$(random_key)|" .env.example >.env)
    fi
    read_env_file
    choose_port
    choose_metrics 3
    local urls
    deploy/services.sh start
    build -p api -p worker
    mkdir -p "$RUN"
    echo up >"$RUN/kind"
    urls=$(deploy/services.sh env)
    eval "$urls"
    launch_product 1
    launch_watchers 1
    write_env up AUTH PORT AMQP_URL DATABASE_URL
    say "Fanfare is up: http://$(address "$(near "${HOST:-127.0.0.1}")" "$PORT") (AUTH in .fanfare/up.env), logs in .fanfare/log; make down stops it"
}

down() {
    stop_processes
    rm -f "$RUN/kind" "$ROOT/.fanfare/demo.env" "$ROOT/.fanfare/up.env"
    deploy/services.sh stop
}

# Only what demo started has a simulator: what up started is connected to WhatsApp.
load() {
    any_running || die "nothing runs in this checkout; make demo first"
    [ "$(kind)" = demo ] || die "what make up started has no simulator; make down, then make demo"
    build -p tests --bin load
    set -a
    # shellcheck disable=SC1091
    . "$ROOT/.fanfare/demo.env"
    set +a
    "$BIN/load" --api "http://127.0.0.1:$PORT" "$@"
}

# With the settings of what runs: those of the demonstration, or .env and what `up` chose.
doctor() {
    any_running || die "nothing runs in this checkout; make demo or make up first"
    if [ "$(kind)" = up ]; then read_env_file; fi
    set -a
    # shellcheck disable=SC1090
    . "$ROOT/.fanfare/$(kind).env"
    set +a
    LOG=error "$BIN/fanfare-api" doctor
}

status() {
    local f name
    for f in "$RUN"/*.pid; do
        [ -e "$f" ] || continue
        name=$(basename "$f" .pid)
        if running "$name"; then echo "$name: running (pid $(cat "$f"))"; else echo "$name: stopped"; fi
    done
    deploy/services.sh status
}

case "${1:-}" in
    demo) demo ;;
    up) up ;;
    load) shift; load "$@" ;;
    doctor) doctor ;;
    status) status ;;
    down) down ;;
    *) sed -n '2,/^set -euo/p' "${BASH_SOURCE[0]}" | sed -e 's/^# \{0,1\}//' -e '/^set -euo/d'; exit 2 ;;
esac
