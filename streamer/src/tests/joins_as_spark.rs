//! Joins and deduplication, batch by batch, as Spark 4.1.1 did them; `tests/golden/joins/make.py` asked it.

use serde::Deserialize;
use serde_json::Value;
use tempfile::tempdir;

use super::streams::{BatchOutcome, Pieces, Query, Row};
use crate::operators::dedup::Remember;
use crate::output_mode::OutputMode;

#[derive(Deserialize)]
struct Case {
    name: String,
    query: String,
    dedup: Vec<Value>,
    policy: String,
    #[serde(default = "append")]
    mode: String,
    steps: Vec<CaseStep>,
}

fn append() -> String {
    "append".to_owned()
}

#[derive(Deserialize)]
struct CaseStep {
    inputs: Inputs,
    batches: Vec<CaseBatch>,
}

#[derive(Deserialize)]
struct Inputs {
    a: Vec<CaseRow>,
    #[serde(default)]
    b: Vec<CaseRow>,
}

#[derive(Deserialize)]
struct CaseRow {
    k: Option<String>,
    ts: String,
    v: i32,
}

#[derive(Deserialize, Debug, PartialEq)]
struct CaseBatch {
    batch: u64,
    rows: Vec<String>,
    watermark: Option<String>,
    /// Name, rows in all, updated, removed, dropped as late.
    operators: Vec<(String, u64, u64, u64, u64)>,
}

#[derive(Deserialize)]
struct Refusal {
    query: String,
    mode: String,
    dedup: Vec<Value>,
    message: Option<String>,
}

impl CaseRow {
    fn row(&self) -> Row {
        let keys = ["x", "y", "z", "q"];
        let k = self.k.as_deref().map(|key| *keys.iter().find(|known| **known == key).unwrap());
        let (minute, second) = self.ts.rsplit_once(' ').unwrap().1.split_at(5);
        let minute: i64 = minute[3..].parse().unwrap();
        let second: i64 = second[1..].parse().unwrap();
        Row { k, second: minute * 60 + second, v: self.v }
    }
}

fn put(pieces: &Pieces, rows: &[CaseRow]) {
    pieces.put(&rows.iter().map(CaseRow::row).collect::<Vec<_>>());
}

fn query(sql: &str, mode: &str, dedup: &[Value]) -> Query {
    let mode = mode.parse::<OutputMode>().unwrap();
    let dedup = (!dedup.is_empty()).then(|| {
        let columns = dedup[0].as_array().unwrap().iter().map(|column| column.as_str().unwrap().to_owned());
        let remember = if dedup[1] == true { Remember::WithinWatermark } else { Remember::Always };
        let stream = dedup.get(2).and_then(Value::as_str).unwrap_or("a");
        (columns.collect(), remember, stream.to_owned())
    });
    Query { mode, dedup, ..Query::new(sql) }
}

/// Columns that are null are not told by Spark's `toJSON`.
fn comparable(row: &str) -> Value {
    fn without_nulls(value: Value) -> Value {
        match value {
            Value::Object(fields) => {
                let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
                Value::Object(fields.map(|(name, value)| (name, without_nulls(value))).collect())
            }
            other => other,
        }
    }
    without_nulls(serde_json::from_str(row).unwrap())
}

fn sorted(rows: &[String]) -> Vec<String> {
    let mut rows: Vec<_> = rows.iter().map(|row| comparable(row).to_string()).collect();
    rows.sort();
    rows
}

fn told(outcome: &BatchOutcome) -> CaseBatch {
    let progress = outcome.progress.as_ref().unwrap();
    let operators = progress.state_operators.iter().map(|operator| {
        (
            operator.operator_name.to_owned(),
            operator.num_rows_total,
            operator.num_rows_updated,
            operator.num_rows_removed,
            operator.num_rows_dropped_by_watermark,
        )
    });
    CaseBatch {
        batch: outcome.id,
        rows: sorted(&outcome.rows),
        watermark: progress.event_time.get("watermark").cloned(),
        operators: operators.collect(),
    }
}

async fn differences(case: &Case) -> Vec<String> {
    let mut query = query(&case.query, &case.mode, &case.dedup);
    query.conf.insert("spark.sql.streaming.multipleWatermarkPolicy".to_owned(), case.policy.clone());
    let checkpoint = tempdir().unwrap();
    let mut differences = Vec::new();
    for (number, step) in case.steps.iter().enumerate() {
        put(&query.a, &step.inputs.a);
        put(&query.b, &step.inputs.b);
        let batches = query.run(checkpoint.path()).await;
        let batches: Vec<_> = batches.iter().map(told).collect();
        let expected = step.batches.iter().map(|batch| CaseBatch {
            rows: sorted(&batch.rows),
            watermark: batch.watermark.clone(),
            operators: batch.operators.clone(),
            ..*batch
        });
        let expected: Vec<_> = expected.collect();
        if batches != expected {
            differences.push(format!("{} step {number}:\n  {batches:?}\nSpark:\n  {expected:?}", case.name));
            break;
        }
    }
    differences
}

#[tokio::test]
async fn each_batch_gives_and_tells_what_sparks_did() {
    let cases: Vec<Case> =
        serde_json::from_str(include_str!("../../tests/golden/joins/results.json")).unwrap();
    let mut all = Vec::new();
    for case in &cases {
        all.extend(differences(case).await);
    }
    assert!(all.is_empty(), "{} of {} cases differ:\n{}", all.len(), cases.len(), all.join("\n"));
}

#[tokio::test]
async fn what_spark_refuses_is_refused_in_its_words_and_nothing_else() {
    let refusals: Vec<Refusal> =
        serde_json::from_str(include_str!("../../tests/golden/joins/refusals.json")).unwrap();
    let mut differences = Vec::new();
    for refusal in &refusals {
        let answer = query(&refusal.query, &refusal.mode, &refusal.dedup).plan().await.err();
        let answer = answer.map(|error| error.to_string());
        let same = match (&answer, &refusal.message) {
            (None, None) => true,
            // Spark adds where it was, or which query it was; we add what to do.
            (Some(answer), Some(message)) => {
                let message =
                    message.rsplit_once("terminated with exception: ").map_or(message.as_str(), |(_, it)| it);
                let end = [". Please refer", "; line 1", ". SQLSTATE"]
                    .iter()
                    .filter_map(|end| message.find(end))
                    .min();
                answer.contains(&message[..end.unwrap_or(message.len())])
            }
            _ => false,
        };
        if !same {
            differences
                .push(format!("{} {}:\n  {answer:?}\n  {:?}", refusal.mode, refusal.query, refusal.message));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
