//! Watermarks and windows give, batch by batch, what Spark gives: golden/event_time.json, made by event_time.py.

use serde_json::Value;
use tempfile::tempdir;

use crate::harness::{Job, Kafka, Outcome};

const GOLDEN: &str = include_str!("../golden/event_time.json");

/// The records as Spark's file source reads them.
const VIEW: &str = "CREATE TEMPORARY VIEW v AS SELECT \
     CAST(get_json_object(json, '$.ts') AS TIMESTAMP) AS ts, get_json_object(json, '$.k') AS k, \
     CAST(get_json_object(json, '$.v') AS INT) AS v FROM (SELECT CAST(value AS STRING) AS json FROM STREAM input);";

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn batches(value: &Value) -> &Vec<Value> {
    value.as_array().unwrap()
}

fn job(query: &Value) -> Job {
    let sql = format!("{VIEW}\n{}", text(&query["sql"]));
    let mode = text(&query["mode"]).parse().unwrap();
    Job::new(&sql).output_mode(mode).option("maxOffsetsPerTrigger", "4")
}

async fn kafka_with_input(golden: &Value) -> Kafka {
    let kafka = Kafka::start().await;
    kafka.create("input", 1).await;
    for batch in batches(&golden["input"]) {
        kafka.put("input", 0, batches(batch).iter().map(text)).await;
    }
    kafka
}

/// As the golden file has it: rows, event time and operators of each batch.
fn given(outcome: &Outcome) -> Vec<Value> {
    let batches = outcome.batches.iter().zip(&outcome.progress);
    let given = batches.map(|(batch, progress)| {
        let mut rows = batch.rows.clone();
        rows.sort();
        let operators: Vec<_> = progress
            .state_operators
            .iter()
            .map(|operator| {
                serde_json::json!([
                    operator.operator_name,
                    operator.num_rows_total,
                    operator.num_rows_updated,
                    operator.num_rows_removed,
                    operator.num_rows_dropped_by_watermark,
                ])
            })
            .collect();
        serde_json::json!({ "rows": rows, "eventTime": progress.event_time, "operators": operators })
    });
    given.collect()
}

#[tokio::test]
async fn each_batch_is_spark_s() {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let kafka = kafka_with_input(&golden).await;
    for query in batches(&golden["queries"]) {
        let (sql, mode) = (text(&query["sql"]), text(&query["mode"]));
        let outcome = job(query).run(&kafka, tempdir().unwrap().path()).await;
        match query.get("refused") {
            Some(refused) => {
                let error = outcome.error.unwrap_or_else(|| panic!("{mode} {sql}: Spark refuses it"));
                // Spark goes on with advice on its own settings.
                let wanted = text(refused).split(" Please refer").next().unwrap();
                assert!(error.starts_with(wanted), "{mode} {sql}: {error}\nSpark: {wanted}");
            }
            None => {
                assert_eq!(outcome.error, None, "{mode} {sql}");
                let given = given(&outcome);
                for (id, (given, spark)) in given.iter().zip(batches(&query["batches"])).enumerate() {
                    assert_eq!(given, spark, "batch {id} of {mode} {sql}");
                }
                assert_eq!(given.len(), batches(&query["batches"]).len(), "{mode} {sql}");
            }
        }
    }
}
