//! What topics and clocks can do to a query: it goes on as Spark's does, or says what is wrong, and its checkpoint stays
//! usable.

use std::fs;
use std::path::Path;

use ottla_stream::output_mode::OutputMode;
use tempfile::tempdir;

use crate::harness::{Job, Kafka, TimedRecord};

#[tokio::test(flavor = "multi_thread")]
async fn tombstones_and_records_without_key_or_text_are_rows() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("t", 1).await;
    let records: &[TimedRecord<'_>] = &[
        (0, Some(b"k"), None),
        (1, None, Some(b"v")),
        (2, None, None),
        (3, Some(b""), Some(b"")),
        (4, Some(b"\xff"), Some(b"{\"n\":\xc3\x28}")),
    ];
    kafka.put_records("t", records).await;
    let sql = "SELECT CAST(key AS STRING) AS k, CAST(value AS STRING) AS v, value IS NULL AS gone, length(value) AS bytes, \
               from_json(CAST(value AS STRING), 'n INT').n AS n FROM STREAM t";
    let outcome = Job::new(sql).run(&kafka, checkpoint.path()).await;
    assert_eq!(outcome.error, None);
    assert_eq!(
        outcome.rows(),
        [
            r#"{"k":"k","gone":true}"#,
            r#"{"v":"v","gone":false,"bytes":1}"#,
            r#"{"gone":true}"#,
            r#"{"k":"","v":"","gone":false,"bytes":0}"#,
            "{\"k\":\"\u{fffd}\",\"v\":\"{\\\"n\\\":\u{fffd}(}\",\"gone\":false,\"bytes\":8}",
        ]
    );
    let counts =
        "SELECT CAST(key AS STRING) AS k, count(*) AS rows, count(value) AS values FROM STREAM t GROUP BY k";
    let counts = Job::new(counts).output_mode(OutputMode::Complete);
    let outcome = counts.run(&kafka, tempdir().unwrap().path()).await;
    let mut rows = outcome.rows();
    rows.sort_unstable();
    assert_eq!(
        rows,
        [
            r#"{"k":"","rows":1,"values":1}"#,
            r#"{"k":"k","rows":1,"values":0}"#,
            "{\"k\":\"\u{fffd}\",\"rows\":1,\"values\":1}",
            r#"{"rows":2,"values":1}"#,
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn times_that_no_calendar_has_are_rows_too() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("t", 1).await;
    kafka
        .put_records("t", &[(-1, None, Some(b"none")), (253_402_300_800_000, None, Some(b"year 10000"))])
        .await;
    let job = Job::new("SELECT CAST(value AS STRING) AS v, timestamp FROM STREAM t");
    let outcome = job.run(&kafka, checkpoint.path()).await;
    assert_eq!(outcome.error, None);
    assert_eq!(
        outcome.rows(),
        [
            r#"{"v":"none","timestamp":"1969-12-31T23:59:59.999Z"}"#,
            r#"{"v":"year 10000","timestamp":"+10000-01-01T00:00:00.000Z"}"#,
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn one_record_from_the_future_makes_what_follows_late_and_it_is_counted() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("t", 1).await;
    let job = "SELECT window.start AS st, count(*) AS n FROM STREAM t WATERMARK timestamp DELAY OF INTERVAL 1 MINUTE \
               GROUP BY window(timestamp, '1 minute')";
    let job = Job::new(job);
    kafka.put_records("t", &[(1_700_000_000_000, None, None), (4_000_000_000_000, None, None)]).await;
    let first = job.run(&kafka, checkpoint.path()).await;
    assert_eq!(first.rows(), [r#"{"st":"2023-11-14T22:13:00.000Z","n":1}"#]);
    kafka.put_records("t", &[(1_700_000_060_000, None, None), (4_000_000_060_000, None, None)]).await;
    let second = job.run(&kafka, checkpoint.path()).await;
    assert_eq!((second.error.as_deref(), second.rows()), (None, vec![]));
    assert_eq!(second.progress[0].state_operators[0].num_rows_dropped_by_watermark, 1);
}

/// The clock of the machine was a century ahead when the first batch ran, and has been set right since.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_was_ahead_is_no_matter() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("t", 1).await;
    let job = Job::new(
        "SELECT CAST(value AS STRING) AS v, year(current_timestamp()) > 2100 AS ahead, count(*) AS n \
         FROM STREAM t GROUP BY v, ahead",
    )
    .output_mode(OutputMode::Update);
    kafka.put("t", 0, ["a"]).await;
    job.run_until_crash(&kafka, checkpoint.path(), Some((0, ottla_stream::Step::OffsetsLogged))).await;
    set_clock_of_batch(checkpoint.path(), 4_200_000_000_000);
    kafka.put("t", 0, ["a"]).await;
    let outcome = job.run(&kafka, checkpoint.path()).await;
    assert_eq!(outcome.error, None);
    // A batch that runs again has its own time, and the next one that of the clock.
    assert_eq!(outcome.rows(), [r#"{"v":"a","ahead":true,"n":1}"#, r#"{"v":"a","ahead":false,"n":1}"#]);
}

fn set_clock_of_batch(checkpoint: &Path, ms: i64) {
    let file = checkpoint.join("offsets").join("0");
    let text = fs::read_to_string(&file).unwrap();
    let (before, behind) = text.split_once("\"batchTimestampMs\":").unwrap();
    let (_, behind) = behind.split_once(',').unwrap();
    fs::write(&file, format!("{before}\"batchTimestampMs\":{ms},{behind}")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn records_whose_schema_changes_are_null_malformed_or_an_error_and_the_query_can_be_changed() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("t", 1).await;
    kafka
        .put(
            "t",
            0,
            [
                r#"{"id":1,"price":5}"#,
                r#"{"id":2,"price":"5.50","currency":"EUR"}"#,
                r#"{"id":3,"price":{"net":4}}"#,
                r#"{"ID":"four"}"#,
                r#"["another","kind"]"#,
            ],
        )
        .await;
    let select = |schema: &str, options: &str| {
        let parsed = format!("from_json(CAST(value AS STRING), '{schema}'{options})");
        Job::new(&format!("SELECT j.* FROM (SELECT {parsed} AS j FROM STREAM t)"))
    };
    let failing = select("id INT, price INT", ", map('mode', 'FAILFAST')");
    for _ in 0..2 {
        let error = failing.run(&kafka, checkpoint.path()).await.error.unwrap();
        assert!(error.contains("[MALFORMED_RECORD_IN_PARSING"), "{error}");
        // The record as far as it could be read, as in Spark.
        assert!(error.contains("record parsing: [2,null]."), "{error}");
    }
    // With the mode changed, the same checkpoint goes on with the batch that failed.
    let outcome = select("id INT, price INT", "").run(&kafka, checkpoint.path()).await;
    assert_eq!(outcome.error, None);
    assert_eq!(outcome.rows(), [r#"{"id":1,"price":5}"#, r#"{"id":2}"#, r#"{"id":3}"#, "{}", "{}"]);
    let told = serde_json::to_value(&outcome.progress[0]).unwrap()["observedMetrics"].clone();
    assert_eq!(told, serde_json::json!({"malformed": {"rows": 3}}));
    // And with more columns.
    kafka.put("t", 0, [r#"{"id":6,"price":6,"currency":"USD"}"#]).await;
    let outcome = select("id INT, price INT, currency STRING", "").run(&kafka, checkpoint.path()).await;
    assert_eq!(outcome.rows(), [r#"{"id":6,"price":6,"currency":"USD"}"#]);
}
