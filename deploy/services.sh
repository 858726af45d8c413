#!/usr/bin/env bash
# Private RabbitMQ and PostgreSQL of this checkout, from Debian's packages.
#
#   deploy/services.sh start    install what is missing (as root), start both, wait until they answer
#   deploy/services.sh env      print the exports of AMQP_URL and DATABASE_URL, for eval
#   deploy/services.sh fresh N  make database N and virtual host N anew and print the exports for them
#   deploy/services.sh status   say what runs
#   deploy/services.sh ctl ...  rabbitmqctl against this instance
#   deploy/services.sh diagnostics ...    rabbitmq-diagnostics against this instance
#   deploy/services.sh stop     stop both, leave the data
#   deploy/services.sh wipe     stop both and remove the data
#
# They listen on loopback only, on ports of their own, under an unprivileged user, with a password that is made with the
# data, and share nothing with the system's services of the same name. Where AMQP_URL and DATABASE_URL are both set,
# those are used and nothing is started. FANFARE_DIR (default: .fanfare in the checkout) is where the data, logs and pid
# files lie.
set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
RABBIT_BIN=/usr/lib/rabbitmq/bin
START_TIMEOUT_S=90

say() { printf 'services: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

given() { [ -n "${AMQP_URL:-}" ] && [ -n "${DATABASE_URL:-}" ]; }

# Whether somebody else's services are to be used. With one of the two, half the data would go to a place that nobody
# named.
external() {
    if given; then return 0; fi
    if [ -n "${AMQP_URL:-}" ]; then die "AMQP_URL is set and DATABASE_URL is not: set both, or neither"; fi
    if [ -n "${DATABASE_URL:-}" ]; then die "DATABASE_URL is set and AMQP_URL is not: set both, or neither"; fi
    return 1
}

# PostgreSQL refuses to run as root, so as root both run as the user that its package made.
run_user() { if [ "$(id -u)" = 0 ]; then echo postgres; else id -un; fi; }

as_user() {
    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all "$@"
    else
        "$@"
    fi
}

# A checkout below a closed folder (/root) can't be read by the user that we drop to: then /var/tmp holds the data.
choose_dir() {
    DIR=${FANFARE_DIR:-$ROOT/.fanfare}
    if [ "$(id -u)" = 0 ] && id postgres >/dev/null 2>&1; then
        mkdir -p "$DIR"
        if ! as_user test -x "$DIR" 2>/dev/null; then
            DIR=/var/tmp/fanfare-$(printf %s "$ROOT" | sha256sum | cut -c1-12)
            # Anybody may make a folder of this name before us.
            if [ -e "$DIR" ] && [ ! -O "$DIR" ]; then die "$DIR belongs to another user; set FANFARE_DIR"; fi
        fi
    fi
    S=$DIR/services
}

pg_bin() { local d; for d in /usr/lib/postgresql/*/bin /usr/local/pgsql/bin; do [ -x "$d/initdb" ] && { echo "$d"; return; }; done; return 1; }

install_missing() {
    local missing=()
    [ -x "$RABBIT_BIN/rabbitmq-server" ] || missing+=(rabbitmq-server)
    pg_bin >/dev/null || missing+=(postgresql)
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || die "missing: ${missing[*]}; install them, or set AMQP_URL and DATABASE_URL"
    [ "$(id -u)" = 0 ] || die "missing: ${missing[*]}; run 'sudo apt-get install -y --no-install-recommends ${missing[*]}', or set AMQP_URL and DATABASE_URL"
    say "installing ${missing[*]} (Debian packages)"
    mkdir -p "$ROOT/.fanfare"
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } \
        >"$ROOT/.fanfare/install.log" 2>&1 || die "the installation failed; see $ROOT/.fanfare/install.log"
}

port_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Ports below the ephemeral range, so that no outgoing connection takes one while we are stopped.
choose_ports() {
    [ -f "$S/ports" ] && return
    local base p found=()
    base=$((24000 + 0x$(printf %s "$ROOT" | sha256sum | cut -c1-4) % 6000))
    for ((p = base; ${#found[@]} < 4; p++)); do port_taken "$p" || found+=("$p"); done
    printf 'PG_PORT=%s\nAMQP_PORT=%s\nDIST_PORT=%s\nEPMD_PORT=%s\n' "${found[@]}" >"$S/ports"
}

# Made with the data, and kept beside it. Data from before there was one keeps its open door.
make_password() {
    local made
    for made in "$S/password" "$S/pg/PG_VERSION" "$S/rabbit/data"; do
        if [ -e "$made" ]; then return; fi
    done
    head -c 24 /dev/urandom | od -An -vtx1 | tr -d ' \n' >"$S/password.new"
    if [ "$(id -u)" = 0 ]; then chown postgres:postgres "$S/password.new"; fi
    mv "$S/password.new" "$S/password"
}

# Where the instance is, and who may enter.
read_instance() {
    # shellcheck disable=SC1091
    . "$S/ports"
    PASSWORD='' AMQP_USER=guest AMQP_LOGIN=guest:guest PG_LOGIN=fanfare
    if [ -f "$S/password" ]; then
        PASSWORD=$(cat "$S/password")
        AMQP_USER=fanfare AMQP_LOGIN=fanfare:$PASSWORD PG_LOGIN=fanfare:$PASSWORD
    fi
}

# A pid file may outlive its process, and the number may be somebody else's by then. Ours carry the data folder:
# PostgreSQL on its command line, RabbitMQ and epmd in their environment. Root in a container may not read the
# environment of other users, so there their own user looks.
alive() {
    local pid
    pid=$(head -n1 "$1" 2>/dev/null) || return 1
    [[ $pid =~ ^[0-9]+$ ]] || return 1
    marked "$pid" || { [ "$(id -u)" = 0 ] && marked "$pid" as_user; }
}

# marked PID [as_user]
marked() {
    "${@:2}" grep -qszxF -e "$S/pg" -e "HOME=$S/rabbit" "/proc/$1/cmdline" "/proc/$1/environ" 2>/dev/null
}

# Whether a process that was just launched is still there; it may not have got as far as its own environment.
there() { kill -0 "$(cat "$1")" 2>/dev/null; }

prepare() {
    mkdir -p "$S"
    if [ "$(id -u)" = 0 ]; then chown postgres:postgres "$S"; fi
    chmod 700 "$S"
    umask 077
    exec 9>"$S/lock"; flock 9
    choose_ports
    make_password
    read_instance
}

start_postgres() {
    local bin; bin=$(pg_bin)
    if alive "$S/pg/postmaster.pid"; then say "PostgreSQL runs already (port $PG_PORT)"; return; fi
    if port_taken "$PG_PORT"; then die "port $PG_PORT is taken by somebody else; remove $S/ports to choose again"; fi
    if [ ! -f "$S/pg/PG_VERSION" ]; then
        local auth=(--auth=trust)
        if [ -n "$PASSWORD" ]; then auth=(--auth=scram-sha-256 "--pwfile=$S/password"); fi
        as_user "$bin/initdb" -D "$S/pg" -U fanfare "${auth[@]}" --encoding=UTF8 --locale=C.UTF-8 --no-instructions \
            >"$S/initdb.log" 2>&1 || die "initdb failed; see $S/initdb.log"
    fi
    rm -f "$S/pg/postmaster.pid"
    # The settings stand on the command line, so that no file of the distribution can change them. A test run has many
    # databases open at once, hence the connections.
    (cd / && as_user "$bin/pg_ctl" -s -w -t "$START_TIMEOUT_S" -D "$S/pg" -l "$S/pg.log" -o "-c listen_addresses=127.0.0.1 -c port=$PG_PORT \
        -c unix_socket_directories='' -c max_connections=400 -c shared_buffers=128MB -c max_wal_size=2GB" start </dev/null >/dev/null) \
        || die "PostgreSQL did not start; see $S/pg.log"
    say "PostgreSQL is up (port $PG_PORT)"
}

# pg TOOL ...: one of PostgreSQL's own tools against this instance.
pg() {
    local bin; bin=$(pg_bin)
    PGPASSWORD=$PASSWORD "$bin/$1" -h 127.0.0.1 -p "$PG_PORT" -U fanfare "${@:2}"
}

create_database() {
    local found; found=$(pg psql -qtA -d postgres -c "SELECT 1 FROM pg_database WHERE datname = 'fanfare'")
    [ "$found" = 1 ] || pg createdb fanfare
}

rabbit_env() {
    RABBIT_ENV=(env -i "PATH=$PATH" LANG=C.UTF-8 "HOME=$S/rabbit"
        "RABBITMQ_CONF_ENV_FILE=$S/rabbit/none.conf" RABBITMQ_NODENAME="fanfare$AMQP_PORT@localhost"
        RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 "RABBITMQ_NODE_PORT=$AMQP_PORT" "RABBITMQ_DIST_PORT=$DIST_PORT"
        "RABBITMQ_MNESIA_BASE=$S/rabbit/data" "RABBITMQ_LOG_BASE=$S/rabbit/log"
        "RABBITMQ_GENERATED_CONFIG_DIR=$S/rabbit/generated" "RABBITMQ_CONFIG_FILE=$S/rabbit/rabbitmq.conf"
        "RABBITMQ_ADVANCED_CONFIG_FILE=$S/rabbit/advanced.config"
        "RABBITMQ_ENABLED_PLUGINS_FILE=$S/rabbit/enabled_plugins" "RABBITMQ_PID_FILE=$S/rabbit/beam.pid"
        "ERL_EPMD_PORT=$EPMD_PORT" ERL_EPMD_ADDRESS=127.0.0.1
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=-kernel inet_dist_use_interface {127,0,0,1}")
}

start_rabbit() {
    if alive "$S/rabbit/wrapper.pid"; then say "RabbitMQ runs already (port $AMQP_PORT)"; return; fi
    local p ports=("$AMQP_PORT" "$DIST_PORT")
    alive "$S/rabbit/epmd.pid" || ports+=("$EPMD_PORT")
    for p in "${ports[@]}"; do
        if port_taken "$p"; then die "port $p is taken by somebody else; remove $S/ports to choose again"; fi
    done
    mkdir -p "$S/rabbit"
    cat >"$S/rabbit/rabbitmq.conf" <<CONF
listeners.tcp.1 = 127.0.0.1:$AMQP_PORT
loopback_users = none
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 1GB
# Quorum queues keep their log in memory up to this size; the default of 512 MB alone comes near the limit above.
raft.wal_max_size_bytes = 67108864
max_message_size = 16777216
log.console = false
CONF
    # RabbitMQ makes its first user by this, and looks at it no more once there is one.
    if [ -n "$PASSWORD" ]; then printf 'default_user = %s\ndefault_pass = %s\n' "$AMQP_USER" "$PASSWORD" >>"$S/rabbit/rabbitmq.conf"; fi
    echo '[].' >"$S/rabbit/enabled_plugins"
    if [ "$(id -u)" = 0 ]; then chown -R postgres:postgres "$S/rabbit"; fi
    rabbit_env
    # epmd in the foreground and ours: else the virtual machine leaves a daemon behind.
    if ! alive "$S/rabbit/epmd.pid"; then
        detach "$S/rabbit/epmd.pid" "${RABBIT_ENV[@]}" epmd -port "$EPMD_PORT" -address 127.0.0.1
    fi
    # The wrapper turns a TERM into a clean stop, so its pid is the one to keep. Debian's wrappers in /usr/sbin insist
    # on root and on /var/lib/rabbitmq, so the ones of the package itself are called.
    detach "$S/rabbit/wrapper.pid" "${RABBIT_ENV[@]}" "$RABBIT_BIN/rabbitmq-server"
    local i
    for ((i = 0; i < START_TIMEOUT_S * 5; i++)); do
        port_taken "$AMQP_PORT" && { say "RabbitMQ is up (port $AMQP_PORT)"; return; }
        there "$S/rabbit/wrapper.pid" || break
        sleep 0.2
    done
    die "RabbitMQ did not start; see $S/rabbit/log and $S/rabbit/wrapper.out"
}

# detach PIDFILE COMMAND...: a session of its own, so that it outlives the shell, and the pid of COMMAND itself.
detach() {
    local pidfile=$1; shift
    (
        cd /
        if [ "$(id -u)" = 0 ]; then
            exec setsid setpriv --reuid=postgres --regid=postgres --init-groups --inh-caps=-all "$@"
        else
            exec setsid "$@"
        fi
    ) </dev/null >"${pidfile%.pid}.out" 2>&1 9>&- &
    echo $! >"$pidfile"
}

stop_pid() {
    local pidfile=$1 name=$2 i
    alive "$pidfile" || { rm -f "$pidfile"; return 0; }
    kill -TERM "$(head -n1 "$pidfile")"
    for ((i = 0; i < 300; i++)); do alive "$pidfile" || break; sleep 0.1; done
    # Each leads a session of its own. A wrapper that is killed alone would leave the virtual machine behind.
    if alive "$pidfile"; then say "$name does not stop; killing it"; kill -KILL -- "-$(head -n1 "$pidfile")"; fi
    rm -f "$pidfile"
}

start() {
    if external; then say "using AMQP_URL and DATABASE_URL from the environment"; return; fi
    install_missing
    choose_dir
    prepare
    start_rabbit &
    local rabbit=$!
    start_postgres 9>&-
    create_database
    wait "$rabbit" || exit 1
}

stop() {
    choose_dir
    [ -f "$S/ports" ] || { say "nothing to stop"; return; }
    exec 9>"$S/lock"; flock 9
    stop_pid "$S/rabbit/wrapper.pid" RabbitMQ &
    if alive "$S/pg/postmaster.pid"; then (cd / && as_user "$(pg_bin)/pg_ctl" -s -w -m fast -D "$S/pg" stop); fi
    wait
    stop_pid "$S/rabbit/epmd.pid" epmd
    say "stopped"
}

print_env() {
    if external; then printf 'export AMQP_URL=%q DATABASE_URL=%q\n' "$AMQP_URL" "$DATABASE_URL"; return; fi
    choose_dir
    [ -f "$S/ports" ] || die "not started yet; run deploy/services.sh start"
    read_instance
    print_urls %2f fanfare
}

# print_urls VHOST DATABASE
print_urls() {
    printf 'export AMQP_URL=amqp://%s@127.0.0.1:%s/%s DATABASE_URL=postgres://%s@127.0.0.1:%s/%s\n' \
        "$AMQP_LOGIN" "$AMQP_PORT" "$1" "$PG_LOGIN" "$PG_PORT" "$2"
}

# Somebody else's services are used as they are: nothing there is deleted.
fresh() {
    local name=$1
    if external; then print_env; return; fi
    choose_dir
    read_instance
    PGOPTIONS='-c client_min_messages=warning' pg dropdb --if-exists --force "$name"
    pg createdb "$name"
    # A virtual host of the same name, made right behind the deletion of the old one, answers INTERNAL_ERROR for a while:
    # so each has a name of its own.
    local vhost old
    vhost=$name-$(date +%s%N)
    for old in $(ctl -q list_vhosts name | grep "^$name-" || true); do ctl -q delete_vhost "$old" >/dev/null 2>&1 || true; done
    ctl -q add_vhost "$vhost" >/dev/null && ctl -q set_permissions -p "$vhost" "$AMQP_USER" '.*' '.*' '.*' >/dev/null
    print_urls "$vhost" "$name"
}

ctl() { rabbit rabbitmqctl "$@"; }

# rabbit TOOL ...: one of RabbitMQ's own tools against this instance.
rabbit() { rabbit_env; (cd / && as_user "${RABBIT_ENV[@]}" "$RABBIT_BIN/$1" "${@:2}"); }

status() {
    choose_dir
    alive "$S/pg/postmaster.pid" && echo "postgresql: running" || echo "postgresql: stopped"
    alive "$S/rabbit/wrapper.pid" && echo "rabbitmq: running" || echo "rabbitmq: stopped"
    echo "data: $S"
}

case "${1:-}" in
    start) start ;;
    env) print_env ;;
    status) status ;;
    stop) given || stop ;;
    wipe) given || { stop; choose_dir; rm -rf "$S"; } ;;
    fresh) fresh "${2:?a name}" ;;
    ctl)
        shift; choose_dir; read_instance
        ctl "$@" ;;
    diagnostics)
        shift; choose_dir; read_instance
        rabbit rabbitmq-diagnostics "$@" ;;
    *) sed -n '2,/^set -euo/p' "${BASH_SOURCE[0]}" | sed -e 's/^# \{0,1\}//' -e '/^set -euo/d'; exit 2 ;;
esac
