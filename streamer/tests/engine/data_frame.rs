//! Queries built in Rust.

use std::sync::Arc;

use ottla_stream::Session;
use ottla_stream::conf::Conf;
use ottla_stream::data_frame::{DataFrame, JoinType};
use ottla_stream::output_mode::OutputMode;
use ottla_stream::sink::ForeachBatch;
use ottla_stream::trigger::Trigger;
use parking_lot::Mutex;
use tempfile::tempdir;

use crate::harness::Kafka;

fn session() -> Session {
    let mut session = Session::new(Conf::default()).unwrap();
    session.set("spark.sql.session.timeZone", "UTC").unwrap();
    session
}

fn read(session: &Session, kafka: &Kafka, topic: &str) -> DataFrame {
    let reader = session.read_stream().format("kafka").option("subscribe", topic);
    let reader = reader.option("kafka.bootstrap.servers", kafka.broker.bootstrap_servers());
    reader.option("startingOffsets", "earliest").load().unwrap()
}

#[derive(Clone, Default)]
struct Rows(Arc<Mutex<Vec<String>>>);

impl Rows {
    fn add(&self, batch: &ForeachBatch) {
        let text =
            datafusion::arrow::util::pretty::pretty_format_batches(&batch.batches).unwrap().to_string();
        let rows = text.lines().filter(|line| line.starts_with('|')).skip(1);
        self.0.lock().extend(rows.map(|row| row.split_whitespace().collect::<String>()));
    }

    fn sorted(&self) -> Vec<String> {
        let mut rows = self.0.lock().clone();
        rows.sort();
        rows
    }
}

/// Everything that the frame has by now.
async fn collect(frame: &DataFrame, mode: OutputMode) -> Vec<String> {
    let rows = Rows::default();
    let taken = rows.clone();
    let writer = frame.write_stream().output_mode(mode).trigger(Trigger::AvailableNow);
    let query = writer.foreach_batch(move |batch| {
        taken.add(&batch);
        std::future::ready(Ok(()))
    });
    query.start().unwrap().await_termination().await.unwrap();
    rows.sorted()
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_conditions_and_groups_are_spark_sql() {
    let kafka = Kafka::start().await;
    kafka.create("words", 1).await;
    kafka.put("words", 0, ["a,b", "c", "a"]).await;
    let session = session();
    let words = read(&session, &kafka, "words")
        .select(["explode(string_to_array(CAST(value AS STRING), ',')) AS Word", "timestamp"])
        .with_column("upper", "upper(word)")
        .filter("word != 'c'");
    assert_eq!(words.columns().unwrap(), ["Word", "timestamp", "upper"]);
    assert_eq!(collect(&words.select(["word"]), OutputMode::Append).await, ["|a|", "|a|", "|b|"]);
    assert_eq!(collect(&words.group_by(["upper"]).count(), OutputMode::Complete).await, ["|A|2|", "|B|1|"]);
    let once = words.with_watermark("timestamp", "10 seconds").drop_duplicates(["word"]).select(["word"]);
    assert_eq!(collect(&once, OutputMode::Append).await, ["|a|", "|b|"]);
    let both = words.select(["word"]).union(&words.select(["upper"]));
    assert_eq!(collect(&both, OutputMode::Append).await, ["|A|", "|A|", "|B|", "|a|", "|a|", "|b|"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_are_joined_with_files() {
    let (kafka, folder) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("flights", 1).await;
    kafka.put("flights", 0, ["SFO", "XXX"]).await;
    let file = folder.path().join("air ports.csv");
    std::fs::write(&file, "Code,Name,Runways\nSFO,\"San Francisco, CA\",4\nLJU,Ljubljana,1\n").unwrap();
    let mut session = session();
    let path = file.display().to_string().replace('\\', "\\\\");
    let airports = session
        .sql(&format!(
            "CREATE TEMPORARY VIEW airports USING csv OPTIONS (path '{path}', header 'true', inferSchema true);
             SELECT * FROM airports"
        ))
        .await
        .unwrap();
    assert_eq!(airports.columns().unwrap(), ["Code", "Name", "Runways"]);
    let flights = read(&session, &kafka, "flights").select(["CAST(value AS STRING) AS code"]).alias("f");
    let joined = flights.join(&airports.alias("a"), "f.code = a.code", JoinType::LeftOuter);
    let named = joined.select(["f.code", "a.name", "runways + 1"]);
    assert_eq!(collect(&named, OutputMode::Append).await, ["|SFO|SanFrancisco,CA|5|", "|XXX|||"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_records_of_all_joined_frames_are_counted() {
    let kafka = Kafka::start().await;
    let session = session();
    let mut frames = Vec::new();
    for (topic, records) in [("a", ["{", r#"{"id":1}"#]), ("b", [r#"{"id":1}"#, r#"{"id":"x"}"#])] {
        kafka.create(topic, 1).await;
        kafka.put(topic, 0, records).await;
        let ids = "from_json(CAST(value AS STRING), 'id INT').id AS id";
        frames.push(read(&session, &kafka, topic).select([ids]).alias(topic));
    }
    let joined = frames[0].join(&frames[1], "a.id = b.id", JoinType::Inner).select(["a.id"]);
    let rows = Rows::default();
    let taken = rows.clone();
    let query = joined
        .write_stream()
        .foreach_batch(move |batch| {
            taken.add(&batch);
            std::future::ready(Ok(()))
        })
        .start()
        .unwrap();
    query.process_all_available().await.unwrap();
    assert_eq!(rows.sorted(), ["|1|"]);
    let progress = serde_json::to_value(query.last_progress().unwrap()).unwrap();
    assert_eq!(progress["observedMetrics"], serde_json::json!({"malformed": {"rows": 2}}));
    query.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handle_tells_of_its_query() {
    let (kafka, folder) = (Kafka::start().await, tempdir().unwrap());
    kafka.create("t", 1).await;
    kafka.put("t", 0, ["x"]).await;
    let (session, rows) = (session(), Rows::default());
    let taken = rows.clone();
    let writer = read(&session, &kafka, "t").select(["CAST(value AS STRING) AS v"]).write_stream();
    let writer = writer
        .query_name("letters")
        .option("checkpointLocation", folder.path().join("cp").display().to_string());
    let query = writer
        .foreach_batch(move |batch| {
            taken.add(&batch);
            std::future::ready(Ok(()))
        })
        .start()
        .unwrap();
    query.process_all_available().await.unwrap();
    kafka.put("t", 0, ["y"]).await;
    query.process_all_available().await.unwrap();
    assert_eq!(rows.sorted(), ["|x|", "|y|"]);
    let progress = query.last_progress().unwrap();
    assert_eq!((progress.id.as_str(), progress.name.as_deref()), (query.id(), Some("letters")));
    assert_eq!((progress.run_id.clone(), query.is_active()), (query.run_id().to_string(), true));
    assert_eq!(query.recent_progress().len(), 2);
    query.stop().await.unwrap();
    assert!(!query.is_active() && query.exception().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_error_is_told_at_the_start() {
    let kafka = Kafka::start().await;
    let session = session();
    let frame = read(&session, &kafka, "t");
    for (frame, message) in [
        (frame.select(["valeu"]).filter("also wrong"), "[UNRESOLVED_COLUMN.WITH_SUGGESTION]"),
        (frame.with_watermark("timestamp", "a while"), "[CANNOT_PARSE_INTERVAL] Unable to parse 'a while'"),
        (frame.with_watermark("value", "1 second"), "[EVENT_TIME_IS_NOT_ON_TIMESTAMP_TYPE]"),
        (frame.drop_duplicates_within_watermark(["key"]), "without watermark"),
        (frame.group_by(["key"]).count(), "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION"),
    ] {
        let error = frame.write_stream().format("console").start().err().unwrap().to_string();
        assert!(error.contains(message), "{error}");
    }
    let error = frame.write_stream().format("json").start().err().unwrap().to_string();
    assert!(error.starts_with("checkpointLocation must be specified"), "{error}");
    let error = session.read_stream().format("nosuch").load().err().unwrap().to_string();
    assert!(error.starts_with("[DATA_SOURCE_NOT_FOUND] Failed to find the data source: nosuch."), "{error}");
}
