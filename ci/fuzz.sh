#!/usr/bin/env bash
# Each fuzz target for FUZZ_SECONDS (20). A crash leaves its input in fuzz/artifacts/.
#
# cargo-fuzz needs compiler flags that only a nightly, or a stable one that is told to, takes.
set -euo pipefail
cd "$(dirname "$0")/.."
export RUSTC_BOOTSTRAP=1

# Installed into the target folder, so that it is built once for a clone and nothing of the user's changes.
tools="${CARGO_TARGET_DIR:-$PWD/target}/ci/tools"
cargo install --quiet --locked --root "$tools" cargo-fuzz
export PATH="$tools/bin:$PATH"

targets="$(cargo fuzz list)"
for target in $targets; do
  cargo fuzz run --fuzz-dir fuzz "$target" -- -max_total_time="${FUZZ_SECONDS:-20}"
done
echo "test result: ok. $(wc -w <<<"$targets") passed; 0 failed; each fuzzed for ${FUZZ_SECONDS:-20} s"
