#!/usr/bin/env bash
# Builds a debug `ottla.exe` and `ottla-stream.exe` for 64-bit Windows on a Debian host, starts them under Wine, and uses
# them with Kafka's own tools, which run on the host's Java.
#
# Wine lets a program delete, rename or cut a file that is still open or mapped; Windows does not. A debug build
# counts what is in use, and panics where Windows would refuse; a panic fails this script.
set -euo pipefail
cd "$(dirname "$0")/.."

target="${CARGO_TARGET_DIR:-$PWD/target}"
work="$(mktemp -d)"
# In a folder with a space in its name, as many on Windows have.
data="$work/my data"
jars="$target/ci/kafka-jars"
# Short runs: they need neither the optimizing compiler nor threads to collect garbage.
java=(java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$jars/*")
broker="" bootstrap="" client="" reader="" query=""
passed=0 failed=0

# shellcheck source=ci/windows-toolchain.sh
. ci/windows-toolchain.sh "${OTTLA_WINDOWS_CACHE:-$HOME/.cache/ottla-windows}"
# shellcheck source=ci/windows-steps.sh
. ci/windows-steps.sh

main() {
  trap cleanup EXIT
  cargo build --locked "${WINDOWS_CARGO_FLAGS[@]}" -p ottla -p ottla-stream
  [ -d "$jars" ] || fetch_jars

  check "needs no C compiler, here or on Linux or macOS" need_no_c_compiler
  check "starts, and says where it listens" start_broker
  check "kafka-topics creates a topic" create windows --partitions 3
  check "kafka-topics describes its partitions" describe_topic
  check "a topic whose name differs only in case is refused" refuse_other_case
  check "kafka-console-producer sends 100 records" produce
  check "kafka-console-consumer gets each of them once, in a group" consume
  check "kafka-consumer-groups shows no lag" describe_group

  check "ottla-stream.exe runs a job file with Windows line ends, and paths with spaces" run_job
  check "ottla-stream.exe is stopped by Ctrl-C and goes on where it was" stop_and_resume_job
  check "ottla-stream.exe is killed in the middle, and nothing is lost or doubled" kill_and_resume_job

  check "kafka-topics deletes a topic while one reads it, and one has stopped reading" delete_while_read
  check "its files go when the last reader has gone" finish_deletion
  check "its name is free again" create doomed --partitions 1
  check "retention deletes segments while one reads them" retain
  check "compaction keeps the last value of each key while one reads" compact
  check "kafka-delete-records deletes segments" delete_records
  check "kafka-producer-perf-test commits transactions" commit_transactions
  check "all offsets are noted" note_offsets

  check "stops on Ctrl-C" stop_broker
  check "starts again on the same folder" start_broker
  check "has everything after the restart" expect_everything
  check "a transaction is open" begin_transaction
  check "starts again after a kill" restart_after_kill
  check "has everything after the kill" expect_everything
  check "the transaction that the kill left open is aborted" expect_abort
  check "stops on Ctrl-C after the kill" stop_broker
  check "nothing touched a file in use, or panicked otherwise" expect_no_panic

  local outcome=ok
  [ "$failed" -eq 0 ] || { outcome=FAILED; cat "$work/broker.log"; }
  echo "test result: $outcome. $passed passed; $failed failed; ottla.exe and ottla-stream.exe under Wine"
  [ "$failed" -eq 0 ]
}

cleanup() {
  for process in $client $query $broker; do kill -9 "$process" 2>/dev/null || true; done
  rm -rf "$work"
}

fetch_jars() {
  mvn -q -B -Dstyle.color=never -f tests/java/kafka-4.3.1/pom.xml dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$jars.partial"
  mv "$jars.partial" "$jars"
}

# check NAME STEP [ARGUMENT...]. Within a step `set -e` does not hold, so its commands are joined by `&&`.
check() {
  local name="$1" started=$SECONDS
  shift
  if "$@" >"$work/output" 2>&1; then
    echo "test $name ... ok ($((SECONDS - started)) s)"
    passed=$((passed + 1))
  else
    echo "test $name ... FAILED"
    cat "$work/output"
    failed=$((failed + 1))
  fi
}

# Waits until a command succeeds.
eventually() {
  local limit=$((SECONDS + 120))
  until "$@"; do
    [ "$SECONDS" -lt "$limit" ] || { echo "never: $*"; return 1; }
    sleep 0.2
  done
}

need_no_c_compiler() {
  for platform in "$WINDOWS_TARGET" x86_64-pc-windows-msvc x86_64-unknown-linux-gnu aarch64-apple-darwin; do
    cargo tree --locked -p ottla -e normal,build --prefix none --target "$platform" >"$work/tree" || return
    ! grep -E '^(cc|cmake|bindgen|pkg-config|[^ ]*(-src|clang-sys)) ' "$work/tree" || return
  done
}

start_broker() {
  : >"$work/ready"
  "$WINE" "$target/$WINDOWS_TARGET/debug/ottla.exe" serve --listen 127.0.0.1:0 --ready json --data-dir "Z:$data" \
    --override log.retention.check.interval.ms=200 --override log.cleaner.backoff.ms=200 \
    --override log.segment.delete.delay.ms=100 >"$work/ready" 2>>"$work/broker.log" &
  broker=$!
  grep -q -m 1 bootstrap_servers < <(timeout 60 tail -n +1 -f --pid="$broker" "$work/ready")
  bootstrap="$(sed -n 's/.*"bootstrap_servers":"\([^"]*\)".*/\1/p' "$work/ready")"
  [ -n "$bootstrap" ]
}

stop_broker() {
  kill -INT "$broker"
  wait "$broker"
}

restart_after_kill() {
  kill -9 "$broker"
  wait "$broker" || true
  kill -9 "$client" 2>/dev/null
  client=""
  start_broker
}

# kafka CLASS [OPTION...]: one of Kafka's tools, to its end.
kafka() {
  timeout 120 "${java[@]}" "org.apache.kafka.tools.$1" --bootstrap-server "$bootstrap" "${@:2}"
}

# The same, while the script goes on.
start_client() {
  "${java[@]}" "org.apache.kafka.tools.$1" --bootstrap-server "$bootstrap" "${@:2}" >"$work/client" 2>&1 &
  client=$!
}

stop_client() {
  kill -9 "$client" && { wait "$client" || true; } && client=""
}

main
