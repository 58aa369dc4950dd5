#!/usr/bin/env bash
# Sourced by windows.sh: what is tried, with Kafka's tools.
# shellcheck disable=SC2154  # the variables of the script that sources this one

create() { kafka TopicCommand --create --topic "$@"; }

describe_topic() {
  kafka TopicCommand --describe --topic windows | tee "$work/topic"
  grep -q 'PartitionCount: 3' "$work/topic"
}

# On a file system that does not tell upper case from lower, both would have the same directories.
refuse_other_case() {
  ! create Windows --partitions 3 && describe_topic
}

hundred_records() { seq -f 'record %g' 100; }

produce() { hundred_records | kafka ConsoleProducer --topic windows; }

consume() {
  kafka consumer.ConsoleConsumer --topic windows --from-beginning --group readers \
    --max-messages 100 --timeout-ms 60000 >"$work/consumed" &&
    diff <(hundred_records | sort) <(sort "$work/consumed")
}

describe_group() {
  kafka consumer.group.ConsumerGroupCommand --describe --group readers | tee "$work/group"
  awk '$2 == "windows" { committed += $4; lag += $6 } END { exit !(committed == 100 && lag == 0) }' "$work/group"
}

# What the job writes, in a folder with a space in its name.
written="my rows"

# A path of the work folder as it is written in SQL: Z:\\tmp\\…
sql_path() { printf 'Z:%s' "$work/$1" | sed 's|/|\\\\|g'; }

write_job() {
  sed 's/$/\r/' >"$work/my job.sql" <<SQL
CREATE TABLE words USING kafka
  OPTIONS (subscribe 'words', startingOffsets 'earliest', maxOffsetsPerTrigger '30');
CREATE STREAMING TABLE lines USING json OPTIONS (path '$(sql_path "$written")', outputMode 'append') AS
  SELECT CAST(value AS STRING) AS line FROM STREAM words;
CREATE STREAMING TABLE counts USING sqlite
  OPTIONS (path '$(sql_path counts.db)', dbtable 'counts', primaryKey 'kind', outputMode 'update') AS
  SELECT substring(line, 1, 6) AS kind, count(*) AS n FROM STREAM lines GROUP BY substring(line, 1, 6);
SELECT count(*) AS n FROM STREAM lines;
SQL
}

# start_query TRIGGER
start_query() {
  "$WINE" "$target/$WINDOWS_TARGET/debug/ottla-stream.exe" run "Z:$work/my job.sql" --trigger "$1" \
    --bootstrap-server "$bootstrap" --checkpoint "Z:$work/my checkpoint" --output-mode update --format json \
    >"$work/rows" 2>>"$work/query.log" &
  query=$!
}

run_to_the_end() {
  start_query available-now && wait "$query"
}

# has_written COUNT: of each record one line, and the state has counted them.
has_written() {
  tail -n 1 "$work/rows" | grep -qx "{\"n\":$1}" && [ "$(lines_written | sort -u | wc -l)" -eq 100 ] &&
    [ "$(lines_written | wc -l)" -eq "$1" ]
}

# The files that the sink's log lists.
lines_written() {
  sed -n 's|.*/\(part-[^"]*\)".*|\1|p' "$work/$written"/_spark_metadata/* | sort -u |
    while read -r file; do cat "$work/$written/$file"; done
}

produce_words() { hundred_records | kafka ConsoleProducer --topic words; }

run_job() {
  create words --partitions 3 && produce_words && write_job && run_to_the_end && has_written 100
}

stop_and_resume_job() {
  start_query '0 seconds' && produce_words && eventually has_counted 200 && kill -INT "$query" && wait "$query" &&
    produce_words && run_to_the_end && has_written 300
}

# has_counted MIN
has_counted() {
  local counted
  counted="$(tail -n 1 "$work/rows" | tr -dc 0-9)"
  [ "${counted:-0}" -ge "$1" ]
}

kill_and_resume_job() {
  start_query '0 seconds' && produce_words && eventually has_counted 310 && kill -9 "$query"
  wait "$query"
  produce_words && run_to_the_end && has_written 500
}

fill() { kafka ProducerPerformance --topic "$1" --num-records "$2" --record-size 1000 --throughput -1; }

# offsets earliest|latest [OPTION...]
offsets() { kafka GetOffsetShell --exclude-internal-topics --time "$@"; }

# Bytes of a number, big-endian: int SIZE VALUE.
int() { printf "%0$((2 * $1))x" "$2" | sed 's/../\\x&/g'; }

# Opens a connection that asks for a whole partition (Fetch, version 4), reads where the answer begins and nothing
# more. The answer does not fit into the sockets' buffers, so the broker holds the maps that it sends from.
stop_reading() {
  local topic="$1" all
  all="$(int 4 0x3fffffff)"
  exec {reader}<>"/dev/tcp/${bootstrap%:*}/${bootstrap##*:}" &&
    printf '%b' "$(int 4 $((53 + ${#topic})))$(int 2 1)$(int 2 4)$(int 4 7)$(int 2 0xffff)" \
      "$(int 4 0xffffffff)$(int 4 0)$(int 4 0)$all$(int 1 0)" \
      "$(int 4 1)$(int 2 ${#topic})$topic$(int 4 1)$(int 4 0)$(int 8 0)$all" >&"$reader" &&
    [ "$(timeout 60 head -c 4 <&"$reader" | wc -c)" -eq 4 ]
}

go_away() { exec {reader}>&-; }

has_lines() { [ "$(wc -l <"$1")" -ge "$2" ]; }
files_of() { find "$data" -path "$data/$1*" -type f; }
has_files() { [ -n "$(files_of "$1")" ]; }
has_no_files() { ! has_files "$1"; }
has_one_segment() { [ "$(files_of "$1-0" | grep -c '\.log')" -eq 1 ]; }

delete_while_read() {
  create doomed --partitions 1 && fill doomed 24000 &&
    start_client consumer.ConsoleConsumer --topic doomed --from-beginning && eventually has_lines "$work/client" 24000 &&
    stop_reading doomed && kafka TopicCommand --delete --topic doomed &&
    ! kafka TopicCommand --list | grep doomed && has_files doomed && stop_client
}

finish_deletion() { go_away && eventually has_no_files doomed; }

retain() {
  create retained --partitions 1 --config segment.bytes=1048576 && fill retained 24000 && stop_reading retained &&
    alter retained retention.ms=1000 && eventually is_empty retained && go_away &&
    eventually has_one_segment retained && is_empty retained
}

alter() {
  timeout 120 "${java[@]}" kafka.admin.ConfigCommand --bootstrap-server "$bootstrap" \
    --alter --entity-type topics --entity-name "$1" --add-config "$2"
}

is_empty() {
  [ "$(offsets earliest --topic "$1")" = "$1:0:24000" ] && [ "$(offsets latest --topic "$1")" = "$1:0:24000" ]
}

keyed_records() {
  seq 24000 | awk '{ printf "key %d:value %d %0900d\n", $1 % 50, $1, 0 }'
}

compact() {
  create compacted --partitions 1 --config segment.bytes=1048576 --config min.cleanable.dirty.ratio=0.01 &&
    keyed_records | kafka ConsoleProducer --topic compacted \
      --reader-property parse.key=true --reader-property key.separator=: &&
    stop_reading compacted && alter compacted cleanup.policy=compact && eventually is_cleaned compacted &&
    has_last_values && go_away && has_last_values
}

# Up to the segment that is written to, the one that begins last.
is_cleaned() {
  local last
  last="$(files_of "$1-0" | sed -n 's/.*\/0*\([0-9]*\)\.log$/\1/p' | sort -n | tail -n 1)"
  grep -qx "$1 0 $last" "$data/cleaner-offset-checkpoint"
}

has_last_values() {
  kafka consumer.ConsoleConsumer --topic compacted --from-beginning --timeout-ms 5000 \
    --formatter-property print.key=true --formatter-property key.separator=: >"$work/compacted"
  [ "$(wc -l <"$work/compacted")" -lt 3000 ] && diff <(keyed_records | last_values) <(last_values <"$work/compacted")
}

last_values() { awk -F: '{ last[$1] = $2 } END { for (key in last) print key, last[key] }' | sort; }

delete_records() {
  printf '{"version":1,"partitions":[{"topic":"trimmed","partition":0,"offset":10000}]}' >"$work/trim.json" &&
    create trimmed --partitions 1 --config segment.bytes=1048576 && fill trimmed 12000 &&
    kafka DeleteRecordsCommand --offset-json-file "$work/trim.json" &&
    [ "$(offsets earliest --topic trimmed)" = trimmed:0:10000 ] && eventually has_few_segments
}

# Of the twelve that 12 MB took.
has_few_segments() { [ "$(files_of trimmed-0 | grep -c '\.log')" -le 4 ]; }

commit_transactions() {
  create committed --partitions 1 &&
    kafka ProducerPerformance --topic committed --num-records 2000 --record-size 100 --throughput 2000 \
      --transactional-id committing --transaction-duration-ms 50 &&
    consume_committed && kafka TransactionsCommand list | grep 'committing.*CompleteCommit'
}

consume_committed() {
  kafka consumer.ConsoleConsumer --topic committed --from-beginning --isolation-level read_committed \
    --max-messages 2000 --timeout-ms 60000 >"$work/committed" && [ "$(wc -l <"$work/committed")" -eq 2000 ]
}

begin_transaction() {
  create open --partitions 1 &&
    start_client ProducerPerformance --topic open --num-records 1000000 --record-size 100 --throughput 100 \
      --transactional-id left-open --transaction-duration-ms 600000 --command-property transaction.timeout.ms=30000 &&
    eventually is_in_state left-open Ongoing
}

is_in_state() { kafka TransactionsCommand list | grep "$1.*$2"; }

expect_abort() { eventually is_in_state left-open CompleteAbort; }

all_offsets() {
  for time in earliest latest; do offsets "$time" --topic 'committed|compacted|doomed|retained|trimmed|windows'; done
}

note_offsets() { all_offsets >"$work/offsets" && has_lines "$work/offsets" 16; }

expect_everything() {
  diff "$work/offsets" <(all_offsets) && describe_topic && describe_group && consume_committed && has_last_values
}

expect_no_panic() { ! grep -A 3 panicked "$work/broker.log"; }
