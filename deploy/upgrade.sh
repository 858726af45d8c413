#!/usr/bin/env bash
# Goes from the build of an earlier commit to this one in mid-broadcast; `make upgrade FROM=<commit>` calls it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
ROOT=$PWD
EARLIER=$ROOT/.fanfare/upgrade
say() { printf 'upgrade: %s\n' "$*" >&2; }

from=${1:-}
if [ -z "$from" ] || ! commit=$(git rev-parse --verify --quiet "$from^{commit}"); then
    say "name the commit to come from: make upgrade FROM=<commit>"
    exit 1
fi
if [ ! -d "$EARLIER/tree" ]; then
    git worktree prune
    git worktree add --quiet --detach "$EARLIER/tree" "$commit"
fi
git -C "$EARLIER/tree" checkout --quiet --detach "$commit"

say "building $(git log -1 --format='%h %s' "$commit")"
(cd "$EARLIER/tree" && CARGO_TARGET_DIR=$EARLIER/target cargo build --quiet -p api -p worker)
say "building this tree"
cargo build --quiet --workspace --bins

deploy/services.sh start
urls=$(deploy/services.sh env)
eval "$urls"
"${CARGO_TARGET_DIR:-$ROOT/target}/debug/upgrade" --from "$EARLIER/target/debug"
