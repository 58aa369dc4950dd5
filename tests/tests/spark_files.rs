//! Folders of file sinks go from Ottla to PySpark and back.
//!
//! Not on Windows, where PySpark needs Hadoop's native programs.
#![cfg(not(windows))]

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::SessionContext;
use futures::stream;
use ottla_stream::options::Options;
use ottla_stream::output_mode::OutputMode;
use ottla_stream::sink::file::committed_files;
use ottla_stream::sink::{self, SinkBatch, SinkContext};
use ottla_tests::{Program, Runtime, install, python, runtime};
use serde_json::{Value, json};

/// What each batch brings: a word, a number and a time.
fn rows(batch: i64) -> RecordBatch {
    let times = TimestampMicrosecondArray::from(vec![Some(1_372_665_600_123_456), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("word", Arc::new(StringArray::from(vec![Some("a, \"b\"\\c"), Some("ü/=%")]))),
        ("n", Arc::new(Int64Array::from(vec![batch, -batch]))),
        ("at", Arc::new(times.with_timezone("Europe/Berlin"))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

/// Writes eleven batches, so that the log of nine of them is compacted, and leaves a file that no log names.
async fn write(
    format: &str,
    folder: &Path,
    columns: &[usize],
    partition_by: &[&str],
    options: &[(&str, &str)],
) {
    let schema = Arc::new(rows(0).schema().project(columns).unwrap());
    let context = SinkContext {
        query_id: "files".to_owned(),
        query_name: None,
        checkpoint: folder.to_owned(),
        time_zone: "Europe/Berlin".parse().unwrap(),
        bootstrap_servers: String::new(),
        partition_columns: partition_by.iter().map(|name| (*name).to_owned()).collect(),
        schema: schema.clone(),
        session: SessionContext::new(),
    };
    let mut options = Options::from_iter(options.iter().copied());
    options.set("path", &folder.display().to_string());
    let mut sink = sink::open(format, &options, &context).unwrap();
    for id in 0..11 {
        let batch = rows(i64::try_from(id).unwrap()).project(columns).unwrap();
        let rows = RecordBatchStreamAdapter::new(schema.clone(), stream::iter([Ok(batch)]));
        let batch = SinkBatch {
            id,
            output_mode: OutputMode::Append,
            schema: schema.clone(),
            partitions: vec![Box::pin(rows)],
            end_offsets: Vec::new(),
        };
        assert_eq!(sink.write_batch(batch).await.unwrap(), 2);
    }
    std::fs::write(folder.join("part-00000-left-by-a-kill"), "no row").unwrap();
}

/// The rows as the script prints them, sorted.
fn expected(row: impl Fn(i64, bool) -> Value) -> Vec<Value> {
    let mut rows: Vec<Value> = (0..11).flat_map(|batch| [row(batch, true), row(-batch, false)]).collect();
    rows.sort_by_key(ToString::to_string);
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn spark_reads_what_ottla_wrote_and_the_other_way_round() {
    if !runtime::present(&[Runtime::Java, Runtime::Python]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    // A space and a percent sign have to be quoted in the log's URIs.
    let folder = |name: &str| dir.path().join(format!("100% {name}"));
    let [json, csv, parquet, text, split, own] =
        ["json", "csv", "parquet", "text", "split", "own"].map(folder);
    write("json", &json, &[0, 1, 2], &[], &[("compression", "gzip")]).await;
    write("csv", &csv, &[0, 1, 2], &[], &[("header", "true")]).await;
    write("parquet", &parquet, &[0, 1, 2], &[], &[]).await;
    write("text", &text, &[0], &[], &[]).await;
    write("parquet", &split, &[0, 1], &["word"], &[]).await;
    let arguments =
        [("json", &json), ("csv", &csv), ("parquet", &parquet), ("text", &text), ("parquet", &split)]
            .map(|(format, folder)| format!("{format}={}", folder.display()));

    let program = install::source("python/spark_files.py");
    let spark = Program::new(python::with("requirements-spark.txt").await).shown_as("PySpark");
    let finished = spark.args([program.as_path(), own.as_path()]).args(arguments).run().await;
    let read: Vec<Value> =
        finished.lines().into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [json, csv, parquet, text, split] = read.as_slice() else { panic!("{finished}") };
    let word = |is_first| if is_first { "a, \"b\"\\c" } else { "ü/=%" };
    let time = |is_first: bool, text: &str| is_first.then(|| text.to_owned());

    assert_eq!(json["columns"], json!([["at", "string"], ["n", "bigint"], ["word", "string"]]));
    let zoned = |is_first| time(is_first, "2013-07-01T10:00:00.123+02:00");
    check(json, &expected(|n, first| json!([zoned(first), n.to_string(), word(first)])));
    assert_eq!(csv["columns"], json!([["word", "string"], ["n", "int"], ["at", "timestamp"]]));
    let millis = |is_first| time(is_first, "2013-07-01 08:00:00.123000");
    check(csv, &expected(|n, first| json!([word(first), n.to_string(), millis(first)])));
    assert_eq!(parquet["columns"], json!([["word", "string"], ["n", "bigint"], ["at", "timestamp"]]));
    let micros = |is_first| time(is_first, "2013-07-01 08:00:00.123456");
    check(parquet, &expected(|n, first| json!([word(first), n.to_string(), micros(first)])));
    check(text, &expected(|_, first| json!([word(first)])));
    assert_eq!(split["columns"], json!([["n", "bigint"], ["word", "string"]]));
    check(split, &expected(|n, first| json!([n.to_string(), word(first)])));

    let files = committed_files(&own.join("out")).unwrap().unwrap();
    assert_eq!(files.len(), 12);
    let lines = files.iter().map(|file| std::fs::read_to_string(file.path().unwrap()).unwrap());
    let expected: Vec<_> = (0..12).map(|number| format!("line {number}\n")).collect();
    let mut lines: Vec<_> = lines.collect();
    lines.sort_by_key(|line| line.trim().rsplit(' ').next().unwrap().parse::<u32>().unwrap());
    assert_eq!(lines, expected);
}

fn check(read: &Value, expected: &[Value]) {
    let mut rows = read["rows"].as_array().unwrap().clone();
    rows.sort_by_key(ToString::to_string);
    assert_eq!(rows, expected, "{}", read["folder"]);
}
