#!/usr/bin/env bash
# Every interleaving of append and read that loom can tell apart.
set -euo pipefail
cd "$(dirname "$0")/.."
RUSTFLAGS="--cfg loom" cargo test --locked --release -p ottla-storage --lib publish
