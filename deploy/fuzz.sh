#!/usr/bin/env bash
# Looks for bytes from the other side of the wire that the library can't stand, with libFuzzer, on stable Rust.
#
#   deploy/fuzz.sh TARGET [SECONDS]     one of node, protobuf, signal, media, app_state, history; 600 seconds if not said
#   deploy/fuzz.sh keep TARGET          takes what was found into the corpus of the tests, as far as it reaches code that nothing there does
#
# What it begins with is worker/whatsapp/tests/corpus, which the tests run. What it finds on the way stands in
# worker/whatsapp/fuzz/corpus; what makes a target fail in worker/whatsapp/fuzz/artifacts, and on standard error.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../worker/whatsapp"
TARGETS="node protobuf signal media app_state history"
MAX_BYTES=4096

keep=
if [ "${1:-}" = keep ]; then keep=1; shift; fi
export TARGET=${1:-}
SECONDS_TO_RUN=${2:-600}
[[ " $TARGETS " == *" $TARGET "* && -n $TARGET ]] || { echo "fuzz: TARGET is one of: $TARGETS" >&2; exit 2; }

triple=$(rustc -vV | sed -n 's/^host: //p')
# A target folder of its own: with these flags everything is compiled otherwise.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/../../target}/fuzz
flags="-Cpasses=sancov-module"
for part in level=4 inline-8bit-counters pc-table trace-compares; do
    flags+=" -Cllvm-args=-sanitizer-coverage-$part"
done
RUSTFLAGS=$flags cargo build --quiet --manifest-path fuzz/Cargo.toml --target "$triple"

mkdir -p "fuzz/corpus/$TARGET" fuzz/artifacts "tests/corpus/$TARGET"
program=$CARGO_TARGET_DIR/$triple/debug/fuzz
if [ -n "$keep" ]; then
    exec "$program" -set_cover_merge=1 -use_counters=0 -use_cmp=0 -max_len="$MAX_BYTES" "tests/corpus/$TARGET" "fuzz/corpus/$TARGET"
fi
exec "$program" -max_total_time="$SECONDS_TO_RUN" -max_len="$MAX_BYTES" -timeout=10 -rss_limit_mb=1024 \
    -artifact_prefix="fuzz/artifacts/$TARGET-" -print_final_stats=1 "fuzz/corpus/$TARGET" "tests/corpus/$TARGET"
