//! Jobs of several statements, as a user runs them.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

use crate::harness::Job;
use crate::job_file::Bench;

fn event(second: u32, user: &str) -> String {
    format!("2026-01-01 00:00:{second:02}|{user}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_windowed_job_is_written_as_spark_writes_it() {
    let bench = Bench::start().await;
    bench.kafka.create("events", 1).await;
    let job = "SET TIME ZONE 'UTC';
        -- the topic
        CREATE TABLE Clicks USING kafka
          OPTIONS (subscribe 'events', startingOffsets 'earliest', maxOffsetsPerTrigger 3);
        CREATE OR REPLACE TEMPORARY VIEW parsed AS
          SELECT CAST(split_part(CAST(value AS STRING), '|', 1) AS TIMESTAMP) AS ts,
                 split_part(CAST(value AS STRING), '|', 2) AS User
          FROM STREAM clicks;
        SELECT window.start AS `Start`, User, count(*) AS n
        FROM parsed WATERMARK ts DELAY OF INTERVAL 5 SECONDS AS p
        GROUP BY window(ts, '10 seconds'), user;";
    bench.kafka.put("events", 0, [event(1, "ann"), event(2, "ann"), event(3, "bob")]).await;
    bench.kafka.put("events", 0, [event(21, "ann"), event(4, "late"), event(22, "ann")]).await;
    let run = bench.run(job, &["--progress", "--starting-offsets", "earliest"]).succeeded();
    let mut rows = run.rows();
    rows.sort();
    let expected = [
        r#"{"Start":"2026-01-01T00:00:00.000Z","User":"ann","n":2}"#,
        r#"{"Start":"2026-01-01T00:00:00.000Z","User":"bob","n":1}"#,
        r#"{"Start":"2026-01-01T00:00:00.000Z","User":"late","n":1}"#,
    ];
    assert_eq!(rows, expected);
    let progress: Vec<_> = run.lines().into_iter().filter(|line| line.starts_with("{\"progress\"")).collect();
    assert_eq!(progress.len(), 3, "two batches with data, and one because the watermark moved: {progress:?}");
    assert!(bench.path("cp").join("commits").join("2").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn streaming_tables_and_flows_run_side_by_side_each_with_its_checkpoint() {
    let bench = Bench::start().await;
    for topic in ["one", "two"] {
        bench.kafka.create(topic, 1).await;
    }
    bench.kafka.put("one", 0, ["a", "b"]).await;
    bench.kafka.put("two", 0, ["c"]).await;
    let out = bench.path("a folder");
    let job = format!(
        "CREATE STREAMING TABLE files USING json OPTIONS (path '{}') AS
           SELECT CAST(value AS STRING) AS v FROM STREAM one;
         CREATE STREAMING TABLE copies USING kafka OPTIONS (topic 'copies');
         CREATE FLOW first AS INSERT INTO copies BY NAME SELECT value FROM STREAM one;
         CREATE FLOW second AS INSERT INTO copies BY NAME SELECT value FROM STREAM two;",
        out.display().to_string().replace('\\', "\\\\")
    );
    bench.kafka.create("copies", 1).await;
    bench.run(&job, &["--starting-offsets", "earliest"]).succeeded();
    for name in ["files", "first", "second"] {
        assert!(bench.path("cp").join(name).join("commits").join("0").exists(), "{name}");
    }
    assert!(out.join("_spark_metadata").join("0").exists());
    let copies = Job::new("SELECT CAST(value AS STRING) AS v FROM STREAM copies");
    let outcome = copies.run(&bench.kafka, &bench.path("reader")).await;
    let mut rows = outcome.rows();
    rows.sort_unstable();
    assert_eq!(rows, [r#"{"v":"a"}"#, r#"{"v":"b"}"#, r#"{"v":"c"}"#]);
}

#[tokio::test]
async fn generators_make_rows() {
    let bench = Bench::start().await;
    bench.kafka.create("t", 1).await;
    bench.kafka.put("t", 0, ["a,b", "c"]).await;
    let lists = "(SELECT CAST(value AS STRING) AS v, string_to_array(CAST(value AS STRING), ',') AS xs FROM STREAM t)";
    for (select, expected) in [
        (
            "SELECT v, explode(xs) AS x FROM L",
            &[r#"{"v":"a,b","x":"a"}"#, r#"{"v":"a,b","x":"b"}"#, r#"{"v":"c","x":"c"}"#][..],
        ),
        ("SELECT explode(xs) FROM L WHERE v = 'c'", &[r#"{"col":"c"}"#]),
        (
            "SELECT posexplode(xs) FROM L WHERE v != 'c'",
            &[r#"{"pos":0,"col":"a"}"#, r#"{"pos":1,"col":"b"}"#],
        ),
        (
            "SELECT v, x FROM L AS l LATERAL VIEW explode(xs) e AS x WHERE e.x = 'b'",
            &[r#"{"v":"a,b","x":"b"}"#],
        ),
        (
            "SELECT l.v, e.x FROM L AS l, LATERAL explode(l.xs) AS e(x) WHERE v = 'c'",
            &[r#"{"v":"c","x":"c"}"#],
        ),
        (
            "SELECT v, x FROM L LATERAL VIEW OUTER explode(CASE WHEN v = 'c' THEN xs END) e AS x",
            &[r#"{"v":"a,b"}"#, r#"{"v":"c","x":"c"}"#],
        ),
    ] {
        let checkpoint = tempdir().unwrap();
        let outcome = Job::new(&select.replace("FROM L", &format!("FROM {lists}")))
            .run(&bench.kafka, checkpoint.path())
            .await;
        assert_eq!(outcome.error, None, "{select}");
        assert_eq!(outcome.rows(), expected, "{select}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_spark_refuses_ends_with_an_error() {
    let bench = Bench::start().await;
    for (job, message) in [
        (
            "SELECT count(*) FROM STREAM t WATERMARK timestamp DELAY OF INTERVAL 1 SECOND GROUP BY value",
            "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION",
        ),
        (
            "SELECT * FROM STREAM t WATERMARK value DELAY OF INTERVAL 1 SECOND",
            "[EVENT_TIME_IS_NOT_ON_TIMESTAMP_TYPE] The event time `value` has the invalid type",
        ),
        ("CREATE TEMPORARY VIEW v AS SELECT 1", "the job has no query"),
        (
            "CREATE TABLE t USING kafka OPTIONS (subscribe 'a'); CREATE TABLE T USING kafka OPTIONS (subscribe 'b')",
            "[TABLE_OR_VIEW_ALREADY_EXISTS]",
        ),
        ("SET spark.sql.ansi.enable=true; SELECT * FROM STREAM t", "unknown setting spark.sql.ansi.enable"),
        ("SELECT * FROM t", "[TABLE_OR_VIEW_NOT_FOUND] The table or view `t` cannot be found."),
        ("INSERT INTO t SELECT * FROM STREAM s", "[TABLE_OR_VIEW_NOT_FOUND]"),
        ("CREATE STREAMING TABLE t USING jsn AS SELECT * FROM STREAM s", "[DATA_SOURCE_NOT_FOUND]"),
        (
            "CREATE STREAMING TABLE t USING json OPTIONS (path 'x') AS SELECT count(*) FROM STREAM s",
            "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION",
        ),
    ] {
        let run = bench.run(job, &[]);
        assert_eq!(run.output.status.code(), Some(1), "{job}");
        assert!(run.stderr().contains(message), "{job}: {}", run.stderr());
    }
}

#[test]
fn a_job_is_explained_without_a_broker() {
    let folder = tempdir().unwrap();
    let job = folder.path().join("job.sql");
    fs::write(
        &job,
        "CREATE STREAMING TABLE out USING noop AS SELECT window(timestamp, '10 seconds'), count(*) AS n FROM STREAM t \
         WATERMARK timestamp DELAY OF INTERVAL 10 SECONDS GROUP BY window(timestamp, '10 seconds')",
    )
    .unwrap();
    let explain = |flags: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ottla-stream"));
        let output = command.args([Path::new("explain"), &job]).args(flags).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let text = explain(&[]);
    for part in [
        "Query: out\nSink: noop",
        "Watermark: 10000 ms behind",
        "Stateful operator 0: stateStoreSave",
        "== Optimized Logical Plan ==",
        "EventTimeWatermark: ",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let json: serde_json::Value = serde_json::from_str(&explain(&["--plan-format", "json"])).unwrap();
    assert_eq!(json["explanation"]["watermarkDelaysMs"], serde_json::json!([10_000]));
    assert_eq!(json["explanation"]["columns"], serde_json::json!(["window", "n"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn state_that_is_larger_than_the_memory_limit_is_whole() {
    const KEYS: u64 = 50_000;
    let bench = Bench::start().await;
    bench.kafka.create("keys", 1).await;
    bench.kafka.put("keys", 0, (0..2 * KEYS).map(|n| format!("a key of some length: {}", n % KEYS))).await;
    let job = "CREATE TABLE keys USING kafka
          OPTIONS (subscribe 'keys', startingOffsets 'earliest', maxOffsetsPerTrigger 20000);
        SELECT CAST(value AS STRING) AS k, count(*) AS n FROM STREAM keys GROUP BY k;";
    let flags = ["--progress", "--output-mode", "update", "--memory-limit", "1m"];
    let run = bench.run(job, &flags).succeeded();
    assert_eq!(run.rows().iter().filter(|row| row.ends_with("\"n\":2}")).count() as u64, KEYS);
    let lines = run.lines();
    let progress = lines.iter().rfind(|line| line.starts_with("{\"progress\"")).unwrap();
    let progress: serde_json::Value = serde_json::from_str(progress).unwrap();
    let state = &progress["progress"]["stateOperators"][0];
    assert_eq!(state["numRowsTotal"], KEYS);
    let memory = state["memoryUsedBytes"].as_u64().unwrap();
    // The keys alone are larger.
    assert!(memory <= 1 << 20, "{memory} bytes");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_reads_the_topic_that_another_one_of_its_job_writes() {
    let bench = Bench::start().await;
    for topic in ["raw", "clean"] {
        bench.kafka.create(topic, 1).await;
    }
    bench.kafka.put("raw", 0, ["a", "b"]).await;
    bench.kafka.put("clean", 0, ["before"]).await;
    let job = "CREATE TABLE raw USING kafka OPTIONS (subscribe 'raw', startingOffsets 'earliest');
        CREATE STREAMING TABLE cleaned USING kafka OPTIONS (topic 'clean') AS
          SELECT upper(CAST(value AS STRING)) AS value FROM STREAM raw;
        SELECT topic, CAST(value AS STRING) AS value FROM STREAM cleaned;";
    let run = bench.run(job, &[]).succeeded();
    let mut rows = run.rows();
    rows.sort();
    assert_eq!(rows, ["A", "B", "before"].map(|value| format!(r#"{{"topic":"clean","value":"{value}"}}"#)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_reads_the_files_that_others_of_its_job_write_as_soon_as_they_are_there() {
    let bench = Bench::start().await;
    bench.kafka.create("raw", 1).await;
    bench.kafka.put("raw", 0, ["1,a", "2,b"]).await;
    for format in ["parquet", "csv", "json"] {
        let job = format!(
            "SET TIME ZONE 'UTC';
            CREATE TABLE raw USING kafka OPTIONS (subscribe 'raw', startingOffsets 'earliest');
            CREATE STREAMING TABLE first_{format} USING {format} PARTITIONED BY (name) OPTIONS (path '{}') AS
              SELECT split_part(CAST(value AS STRING), ',', 2) AS name,
                CAST(split_part(CAST(value AS STRING), ',', 1) AS INT) AS Id, timestamp AS at FROM STREAM raw;
            CREATE STREAMING TABLE second_{format} (id BIGINT, upper STRING) USING {format} OPTIONS (path '{}');
            CREATE FLOW f_{format} AS INSERT INTO second_{format} BY NAME
              SELECT upper(name) AS Upper, id + 1 AS id FROM STREAM first_{format} WHERE at > TIMESTAMP'2000-01-01';
            SELECT * FROM STREAM second_{format};",
            bench.path(&format!("one {format}")).display(),
            bench.path(&format!("two {format}")).display(),
        );
        let mut rows = bench.run(&job, &[]).succeeded().rows();
        rows.sort();
        assert_eq!(rows, [r#"{"id":2,"upper":"A"}"#, r#"{"id":3,"upper":"B"}"#], "{format}");
        fs::remove_dir_all(bench.path("cp")).unwrap();
    }
    let job = "CREATE STREAMING TABLE t USING json OPTIONS (path 'x'); SELECT * FROM STREAM t;";
    let refused = bench.run(job, &[]).stderr();
    assert!(refused.contains("the columns of the streaming table t are not known yet"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn flows_find_the_columns_of_their_table_by_name_or_by_place() {
    let bench = Bench::start().await;
    bench.kafka.create("raw", 1).await;
    bench.kafka.put("raw", 0, ["x"]).await;
    let table = |columns: &str, flows: &str| {
        format!(
            "CREATE TABLE raw USING kafka OPTIONS (subscribe 'raw', startingOffsets 'earliest');
            CREATE STREAMING TABLE t {columns} USING json-lines; {flows}"
        )
    };
    let flows = "CREATE FLOW one AS INSERT INTO t BY NAME SELECT 1 AS a, 'x' AS b FROM STREAM raw;
        CREATE FLOW two AS INSERT INTO t BY NAME SELECT 'y' AS B, 2.5D AS c FROM STREAM raw;
        CREATE FLOW three AS INSERT INTO t SELECT {C} FROM STREAM raw;";
    for (columns, third, rows) in [
        (
            "",
            "3 AS x, 'z' AS y, 4.0D AS z",
            [r#"{"a":1,"b":"x"}"#, r#"{"a":3,"b":"z","c":4.0}"#, r#"{"b":"y","c":2.5}"#],
        ),
        (
            "(c STRING, b STRING, a INT)",
            "4 AS x, 'z' AS y, 3 AS z",
            [r#"{"b":"x","a":1}"#, r#"{"c":"2.5","b":"y"}"#, r#"{"c":"4","b":"z","a":3}"#],
        ),
    ] {
        let mut found = bench.run(&table(columns, &flows.replace("{C}", third)), &[]).succeeded().rows();
        found.sort();
        assert_eq!(found, rows, "{columns}");
        fs::remove_dir_all(bench.path("cp")).unwrap();
    }
    let shared = table("", flows).replace("USING json-lines", "USING csv OPTIONS (path 'x')");
    let refused = bench.run(&shared.replace("{C}", "1, 'x', 2.5D"), &[]).stderr();
    assert!(refused.contains("two flows write the files of t"), "{refused}");
    for (flow, message) in [
        ("BY NAME SELECT 1 AS a, 2 AS z FROM STREAM raw", "EXTRA_COLUMNS"),
        ("SELECT 1 AS a FROM STREAM raw", "[INSERT_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS]"),
        ("BY NAME SELECT 'x' AS a FROM STREAM raw", "Cannot safely cast `a` \"STRING\" to \"INT\""),
    ] {
        let run = bench.run(&table("(a INT, b STRING)", &format!("INSERT INTO t {flow};")), &[]);
        assert_eq!(run.output.status.code(), Some(1), "{flow}");
        assert!(run.stderr().contains(message), "{flow}: {}", run.stderr());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_rows_are_counted_and_go_to_the_topic_that_the_job_names() {
    let bench = Bench::start().await;
    bench.kafka.create("orders", 1).await;
    bench.kafka.create("broken", 1).await;
    let records = [r#"{"id":1}"#, r#"{"id":"#, r#"{"id":"one"}"#, "", r#"{"id":4}"#];
    bench.kafka.put("orders", 0, records).await;
    let job = "SET ottla.malformedRows = broken;
        SELECT from_json(CAST(value AS STRING), 'id INT').id AS id FROM STREAM orders;";
    let run = bench.run(job, &["--progress", "--starting-offsets", "earliest"]).succeeded();
    assert_eq!(run.rows(), [r#"{"id":1}"#, "{}", "{}", "{}", r#"{"id":4}"#]);
    let lines = run.lines();
    let progress = lines.iter().find(|line| line.starts_with("{\"progress\"")).unwrap();
    let progress: serde_json::Value = serde_json::from_str(progress).unwrap();
    let malformed = serde_json::json!({"malformed": {"rows": 2}});
    assert_eq!(progress["progress"]["observedMetrics"], malformed);
    let broken = Job::new("SELECT CAST(value AS STRING) AS broken FROM STREAM broken");
    let broken = broken.run(&bench.kafka, tempdir().unwrap().path()).await;
    let row = |record: &str| serde_json::json!({"batchId": 0, "record": record}).to_string();
    let rows = [records[1], records[2]].map(|record| serde_json::json!({"broken": row(record)}).to_string());
    assert_eq!(broken.rows(), rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_records_of_files_are_told_of_as_well() {
    let bench = Bench::start().await;
    for (format, content, malformed) in
        [("json", "{\"id\":1}\n{\"id\":\n{\"id\":\"x\"}\n[1]\n", 3), ("csv", "1\ntwo\n3,4\n", 2)]
    {
        let folder = bench.path(format);
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("part"), content).unwrap();
        let job = format!(
            "CREATE TABLE files (id INT) USING {format} OPTIONS (path '{}', mode 'DROPMALFORMED');
            CREATE STREAMING TABLE {format} USING noop AS SELECT id FROM STREAM files;",
            folder.display()
        );
        let run = bench.run(&job, &["--progress"]).succeeded();
        let lines = [run.lines(), run.stderr().lines().map(str::to_owned).collect()].concat();
        let told = format!("\"observedMetrics\":{{\"malformed\":{{\"rows\":{malformed}}}}}");
        assert!(lines.iter().any(|line| line.contains(&told)), "{format}: {lines:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn late_rows_go_to_the_topic_that_the_job_names() {
    let bench = Bench::start().await;
    bench.kafka.create("seconds", 1).await;
    bench.kafka.create("late", 1).await;
    bench.kafka.put("seconds", 0, ["01", "20", "21", "02"]).await;
    let job = "SET spark.sql.session.timeZone = UTC;
        SET ottla.lateRows = late;
        CREATE TABLE seconds USING kafka OPTIONS (subscribe 'seconds', startingOffsets 'earliest', maxOffsetsPerTrigger 1);
        CREATE TEMPORARY VIEW v AS
          SELECT CAST(concat('2026-01-01T00:00:', CAST(value AS STRING), 'Z') AS TIMESTAMP) AS ts FROM STREAM seconds;
        SELECT window.start AS st, count(*) AS n FROM STREAM v WATERMARK ts DELAY OF INTERVAL 0 SECONDS
          GROUP BY window(ts, '5 seconds');";
    let run = bench.run(job, &[]).succeeded();
    assert_eq!(run.rows(), [r#"{"st":"2026-01-01T00:00:00.000Z","n":1}"#]);
    let late = Job::new("SELECT CAST(value AS STRING) AS late FROM STREAM late");
    let late = late.run(&bench.kafka, tempdir().unwrap().path()).await;
    let row =
        r#"{"batchId":3,"watermark":"2026-01-01T00:00:20.000Z","row":{"ts":"2026-01-01T00:00:02.000Z"}}"#;
    assert_eq!(late.rows(), [serde_json::json!({ "late": row }).to_string()]);
}
