#!/usr/bin/env bash
# Builds `ottla.exe` for 64-bit Windows on a Debian host, starts it under Wine, and uses it with Kafka's own
# console tools, which run on the host's Java.
#
# Wine lets a program delete or rename a file that is still mapped; Windows does not. So a pass here says
# that it builds, starts, serves, stops and starts again, not that the mapping rules hold.
set -euo pipefail
cd "$(dirname "$0")/.."

target="${CARGO_TARGET_DIR:-$PWD/target}"
work="$(mktemp -d)"
jars="$target/ci/kafka-jars"
broker="" bootstrap=""
passed=0 failed=0

# shellcheck source=ci/windows-toolchain.sh
. ci/windows-toolchain.sh "${OTTLA_WINDOWS_CACHE:-$HOME/.cache/ottla-windows}"

main() {
  trap cleanup EXIT
  cargo build --locked --release "${WINDOWS_CARGO_FLAGS[@]}" -p ottla
  [ -d "$jars" ] || fetch_jars

  check "starts, and says where it listens" start_broker
  check "kafka-topics creates a topic" create_topic
  check "kafka-topics describes its partitions" describe_topic
  check "kafka-console-producer sends 100 records" produce
  check "kafka-console-consumer gets each of them once, in a group" consume
  check "kafka-consumer-groups shows no lag" describe_group
  check "stops on Ctrl-C" stop_broker
  check "starts again on the same folder" start_broker
  check "has all records after the restart" count_records
  check "has the group's offsets after the restart" describe_group
  check "starts again after a kill" restart_after_kill
  check "has all records after the kill" count_records

  local outcome=ok
  [ "$failed" -eq 0 ] || { outcome=FAILED; cat "$work/broker.log"; }
  echo "test result: $outcome. $passed passed; $failed failed; ottla.exe under Wine"
  [ "$failed" -eq 0 ]
}

cleanup() {
  [ -z "$broker" ] || kill -9 "$broker" 2>/dev/null || true
  rm -rf "$work"
}

fetch_jars() {
  mvn -q -B -Dstyle.color=never -f tests/java/kafka-4.3.1/pom.xml dependency:copy-dependencies \
    -DincludeScope=runtime -DoutputDirectory="$jars.partial"
  mv "$jars.partial" "$jars"
}

check() {
  local name="$1" step="$2"
  if "$step" >"$work/output" 2>&1; then
    echo "test $name ... ok"
    passed=$((passed + 1))
  else
    echo "test $name ... FAILED"
    cat "$work/output"
    failed=$((failed + 1))
  fi
}

# In a folder with a space in its name, as many on Windows have.
start_broker() {
  : >"$work/ready"
  "$WINE" "$target/$WINDOWS_TARGET/release/ottla.exe" serve --listen 127.0.0.1:0 --ready json \
    --data-dir "Z:$work/my data" >"$work/ready" 2>>"$work/broker.log" &
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
  start_broker
}

kafka() {
  local tool="$1"
  shift
  timeout 120 java -Dorg.slf4j.simpleLogger.defaultLogLevel=error -cp "$jars/*" "$tool" --bootstrap-server "$bootstrap" "$@"
}

create_topic() { kafka org.apache.kafka.tools.TopicCommand --create --topic windows --partitions 3; }
describe_topic() {
  kafka org.apache.kafka.tools.TopicCommand --describe --topic windows | tee "$work/topic"
  grep -q 'PartitionCount: 3' "$work/topic"
}
produce() {
  seq -f 'record %g' 100 | kafka org.apache.kafka.tools.ConsoleProducer --topic windows
}
consume() {
  kafka org.apache.kafka.tools.consumer.ConsoleConsumer --topic windows --from-beginning --group readers \
    --max-messages 100 --timeout-ms 60000 >"$work/consumed"
  diff <(seq -f 'record %g' 100 | sort) <(sort "$work/consumed")
}
describe_group() {
  kafka org.apache.kafka.tools.consumer.group.ConsumerGroupCommand --describe --group readers | tee "$work/group"
  awk '$2 == "windows" { committed += $4; lag += $6 } END { exit !(committed == 100 && lag == 0) }' "$work/group"
}
count_records() {
  kafka org.apache.kafka.tools.GetOffsetShell --topic windows | tee "$work/offsets"
  awk -F: '{ end += $3 } END { exit end != 100 }' "$work/offsets"
}

main
