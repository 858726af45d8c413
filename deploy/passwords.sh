#!/usr/bin/env bash
# Makes the secrets of a deployment: fills in those that .env lacks, each at random, and touches no other line.
#
#   deploy/passwords.sh [FILE]     FILE is .env of this checkout without one; where there is none it begins as .env.example
#
# The file is for its owner's eyes alone (mode 600). What it holds stays: run it as often as you like.
set -euo pipefail
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
FILE=${1:-$ROOT/.env}
umask 077

say() { printf 'passwords: %s\n' "$*" >&2; }

# In URLs nothing needs escaping.
random_hex() { head -c "$1" /dev/urandom | od -An -vtx1 | tr -d ' \n'; }

value() { sed -n "s/^$1=//p" "$2" | tail -n1; }

# fill NAME VALUE: unless it has one.
fill() {
    if [ -n "$(value "$1" "$NEW")" ]; then return; fi
    if grep -q "^$1=" "$NEW"; then sed -i "s|^$1=.*|$1=$2|" "$NEW"; else printf '%s=%s\n' "$1" "$2" >>"$NEW"; fi
    MADE+=("$1")
}

MADE=()
# Changed beside it and moved: a reader finds the old file or the new one.
NEW=$(mktemp "$FILE.XXXXXX")
trap 'rm -f "$NEW"' EXIT
if [ -f "$FILE" ]; then cat "$FILE" >"$NEW"; else cat "$ROOT/.env.example" >"$NEW"; fi
if [ -s "$NEW" ] && [ -n "$(tail -c1 "$NEW")" ]; then echo >>"$NEW"; fi
for name in AUTH KEY_ENCRYPTION_KEY; do fill "$name" "$(random_hex 32)"; done
for name in POSTGRES_PASSWORD RABBITMQ_PASSWORD GRAFANA_PASSWORD; do fill "$name" "$(random_hex 24)"; done
chmod 600 "$NEW"
mv "$NEW" "$FILE"
trap - EXIT
if [ ${#MADE[@]} = 0 ]; then say "$FILE has all of them"; else say "made ${MADE[*]} in $FILE; keep KEY_ENCRYPTION_KEY elsewhere too"; fi
