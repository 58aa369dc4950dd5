//! Groups across micro-batches.

use ottla_stream::output_mode::OutputMode;
use ottla_stream::test_kit::TestKit;
use tempfile::tempdir;

use crate::harness::{Job, Kafka};

const CARRIERS: &str = "SELECT get_json_object(CAST(value AS STRING), '$.carrier') AS carrier, count(*) \
     FROM STREAM flights GROUP BY carrier";

fn flights<'a>(carriers: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    carriers.iter().map(|carrier| format!("{{\"flight\":1,\"carrier\":\"{carrier}\"}}"))
}

#[tokio::test]
async fn complete_mode_gives_every_group_and_update_mode_the_changed_ones() {
    let kafka = Kafka::start().await;
    kafka.create("flights", 2).await;
    for (mode, second) in [
        (
            OutputMode::Complete,
            vec![
                r#"{"carrier":"AA","count(1)":2}"#,
                r#"{"carrier":"DL","count(1)":1}"#,
                r#"{"carrier":"UA","count(1)":4}"#,
            ],
        ),
        (OutputMode::Update, vec![r#"{"carrier":"UA","count(1)":4}"#, r#"{"carrier":"DL","count(1)":1}"#]),
    ] {
        let checkpoint = tempdir().unwrap();
        let topic = format!("flights-{mode}");
        kafka.create(&topic, 2).await;
        kafka.put(&topic, 0, flights(&["AA", "UA"])).await;
        kafka.put(&topic, 1, flights(&["UA", "AA"])).await;
        let job = Job::new(&CARRIERS.replace("flights", &format!("`{topic}`"))).output_mode(mode);
        let first = job.run(&kafka, checkpoint.path()).await;
        assert_eq!(first.error, None);
        assert_eq!(first.rows(), [r#"{"carrier":"AA","count(1)":2}"#, r#"{"carrier":"UA","count(1)":2}"#]);
        kafka.put(&topic, 1, flights(&["UA", "DL", "UA"])).await;
        let outcome = job.run(&kafka, checkpoint.path()).await;
        assert_eq!(outcome.rows(), second, "{mode}");
        let state = &outcome.progress[0].state_operators[0];
        assert_eq!((state.num_rows_total, state.num_rows_updated), (3, 2));
    }
}

#[tokio::test]
async fn every_aggregate_is_merged_over_batches() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("numbers", 1).await;
    let sql = "SELECT count(*) AS n, sum(x) AS s, avg(x) AS a, min(x) AS lo, max(x) AS hi, count(x) AS nx \
         FROM (SELECT CAST(CAST(value AS STRING) AS INT) AS x FROM STREAM numbers) WHERE x > 0";
    let job = Job::new(sql).output_mode(OutputMode::Complete).option("maxOffsetsPerTrigger", "2");
    kafka.put("numbers", 0, [5, 1, -7, 2, 9, 3]).await;
    let outcome = job.run(&kafka, checkpoint.path()).await;
    assert_eq!(outcome.rows().last(), Some(&r#"{"n":5,"s":20,"a":4.0,"lo":1,"hi":9,"nx":5}"#), "{outcome:?}");
}

#[tokio::test]
async fn aggregates_that_are_short_for_others_go_on_after_a_restart() {
    const SQL: &str = "SELECT max_by(name, x) AS top, min_by(name, x) AS low, count_if(x > 1) AS many, \
         first(name) AS one, last(name) AS other, approx_count_distinct(x) AS kinds, some(x = 7) AS seven, \
         every(x > 0) AS above, collect_list(x) AS all FROM STREAM numbers GROUP BY k";
    let mut kit = TestKit::new().unwrap();
    let numbers = kit.stream("numbers", "k INT, name STRING, x INT").unwrap();
    let mut query = kit.start(SQL, OutputMode::Update).await.unwrap();
    numbers.push(&[r#"{"k":1,"name":"a","x":1}"#, r#"{"k":1,"name":"b","x":5}"#]).unwrap();
    let first = query.process_all_available().await.unwrap();
    assert_eq!(
        first,
        [
            r#"{"top":"b","low":"a","many":1,"one":"a","other":"b","kinds":2,"seven":false,"above":true,"all":[1,5]}"#
        ]
    );
    let stopped = query.stop().await.unwrap();
    numbers.push(&[r#"{"k":1,"name":"c","x":7}"#, r#"{"k":1,"name":"d"}"#]).unwrap();
    let mut query = kit.start_again(SQL, OutputMode::Update, stopped).await.unwrap();
    let second = query.process_all_available().await.unwrap();
    assert_eq!(
        second,
        [
            r#"{"top":"c","low":"a","many":2,"one":"a","other":"d","kinds":3,"seven":true,"above":true,"all":[1,5,7]}"#
        ]
    );
}

#[tokio::test]
async fn words_are_split_and_counted() {
    let mut kit = TestKit::new().unwrap();
    let lines = kit.stream("lines", "value STRING").unwrap();
    let sql = "SELECT word, count(*) AS n FROM (SELECT explode(split(value, ' ')) AS word FROM STREAM lines) GROUP BY word";
    let mut query = kit.start(sql, OutputMode::Complete).await.unwrap();
    lines.push(&[r#"{"value":"apache spark"}"#, r#"{"value":"apache kafka"}"#]).unwrap();
    let mut rows = query.process_all_available().await.unwrap();
    rows.sort();
    assert_eq!(
        rows,
        [r#"{"word":"apache","n":2}"#, r#"{"word":"kafka","n":1}"#, r#"{"word":"spark","n":1}"#]
    );
}

#[tokio::test]
async fn sorting_and_having_work_on_complete_groups() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("words", 1).await;
    kafka.put("words", 0, ["a", "b", "a", "c", "a", "b"]).await;
    let sql = "SELECT CAST(value AS STRING) AS word, count(*) AS n FROM STREAM words GROUP BY value \
         HAVING count(*) > 1 ORDER BY n";
    let outcome = Job::new(sql).output_mode(OutputMode::Complete).run(&kafka, checkpoint.path()).await;
    assert_eq!(outcome.rows(), [r#"{"word":"b","n":2}"#, r#"{"word":"a","n":3}"#]);
}

#[tokio::test]
async fn a_changed_aggregation_does_not_take_over_the_state() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("words", 1).await;
    kafka.put("words", 0, ["a"]).await;
    let job = |sql: &str| Job::new(sql).output_mode(OutputMode::Update);
    job("SELECT value, count(*) FROM STREAM words GROUP BY value").run(&kafka, checkpoint.path()).await;
    kafka.put("words", 0, ["b"]).await;
    let changed = job("SELECT offset, count(*) FROM STREAM words GROUP BY offset");
    let error = changed.run(&kafka, checkpoint.path()).await.error.unwrap();
    assert!(error.contains("value Binary") && error.contains("wants keys (offset"), "{error}");
}

#[tokio::test]
async fn what_spark_refuses_is_refused_in_its_words() {
    let (kafka, checkpoint) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("t", 1).await;
    for (sql, mode, message) in [
        (
            "SELECT value, count(*) FROM STREAM t GROUP BY value",
            OutputMode::Append,
            "[STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION] Invalid streaming output mode: append. This output mode is \
             not supported for streaming aggregations without watermark on streaming DataFrames/DataSets. SQLSTATE: \
             42KDE",
        ),
        (
            "SELECT DISTINCT value FROM STREAM t",
            OutputMode::Append,
            "[STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION]",
        ),
        (
            "SELECT value FROM STREAM t",
            OutputMode::Complete,
            "[STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION] Invalid streaming output mode: complete. This output mode \
             is not supported for no streaming aggregations on streaming DataFrames/DataSets. SQLSTATE: 42KDE",
        ),
        (
            "SELECT value FROM STREAM t ORDER BY value",
            OutputMode::Append,
            "Sorting is not supported on streaming DataFrames/Datasets, unless it is on aggregated DataFrame/Dataset \
             in Complete output mode",
        ),
        (
            "SELECT value, count(*) c FROM STREAM t GROUP BY value ORDER BY c",
            OutputMode::Update,
            "Sorting is not supported on streaming DataFrames/Datasets",
        ),
        (
            "SELECT count(DISTINCT value) FROM STREAM t",
            OutputMode::Complete,
            "Distinct aggregations are not supported on streaming DataFrames/Datasets. Consider using \
             approx_count_distinct() instead.",
        ),
        (
            "SELECT value FROM STREAM t LIMIT 3",
            OutputMode::Update,
            "Limits are not supported on streaming DataFrames/Datasets in Update output mode",
        ),
        (
            "SELECT value, row_number() OVER (ORDER BY value) FROM STREAM t",
            OutputMode::Append,
            "[NON_TIME_WINDOW_NOT_SUPPORTED_IN_STREAMING]",
        ),
    ] {
        let error = Job::new(sql).output_mode(mode).run(&kafka, checkpoint.path()).await.error.unwrap();
        assert!(error.starts_with(message), "{sql}: {error}");
    }
}
