//! The same files as a stream in Ottla and in PySpark: the rows of each micro-batch are the same, whatever is wrong with
//! the files, and so is what is refused.
//!
//! Not on Windows, where PySpark needs Hadoop's native programs.
#![cfg(not(windows))]

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::datatypes::Schema;
use ottla_stream::options::Options;
use ottla_stream::output_mode::OutputMode;
use ottla_stream::test_kit::TestKit;
use ottla_stream::{schema, source};
use ottla_tests::{Program, Runtime, install, python, runtime};
use serde::Serialize;
use serde_json::{Value, json};

#[derive(Serialize)]
struct Case {
    name: &'static str,
    format: &'static str,
    columns: &'static str,
    options: Value,
    /// Name and text of each, the oldest first; of Parquet the query whose rows it has.
    files: &'static [(&'static str, &'static str)],
}

const JSON: &[(&str, &str)] = &[
    (
        "whole",
        "{\"id\":1,\"name\":\"ann\",\"tags\":[\"a\",\"b\"],\"at\":\"2026-01-01T10:00:00.5Z\",\"price\":1.25}\n",
    ),
    // Broken, of other types, null, missing, more than is asked for.
    (
        "mixed",
        "{\"id\":2\n{\"id\":\"two\",\"name\":3}\n{\"id\":null,\"tags\":null}\n{}\n{\"id\":5,\"more\":{\"x\":1},\"name\":\"eve\"}\nnull\n\
         \"text\"\n{\"id\":2147483648}\n{\"price\":123456789.123}\n{\"at\":\"yesterday\",\"id\":6}\n{\"ID\":7,\"Name\":\"upper\"}\n",
    ),
    ("lines", "\n  \n{\"id\":8}\r\n\r\n{\"id\":9}"),
    ("array", "[{\"id\":10},{\"id\":11,\"name\":\"x\"}]\n[]\n[1]\n"),
    ("nothing", ""),
];

const CSV: &[(&str, &str)] = &[
    ("whole", "id,name,day,price\n1,ann,2026-01-01,1.25\n"),
    (
        "mixed",
        "id,name,day,price\n2,\"quoted, with \\\"quotes\\\"\",2026-01-02,2\nthree,x,2026-01-03,3\n4,y\n5,z,2026-01-05,5,more\n\n\
         ,,,\n-,-,-,-\n6, spaces ,2026-1-6, 6\n7,\"\",02.01.2026,7e2\n",
    ),
    ("windows", "id,name,day,price\r\n8,crlf,2026-01-08,8.5\r\n"),
    ("other header", "day,id\n9,x\n"),
];

fn cases() -> Vec<Case> {
    let json =
        "id INT, name STRING, tags ARRAY<STRING>, at TIMESTAMP, price DECIMAL(6,2), _corrupt_record STRING";
    let csv = "id INT, name STRING, day DATE, price DOUBLE, _corrupt_record STRING";
    let case = |name, format, columns, options, files| Case { name, format, columns, options, files };
    vec![
        case("json", "json", json, json!({}), JSON),
        case("json_dropped", "json", json, json!({"mode": "DROPMALFORMED"}), JSON),
        case("json_failing", "json", json, json!({"mode": "FAILFAST"}), JSON),
        case("csv", "csv", csv, json!({"header": "true"}), CSV),
        case("csv_dropped", "csv", csv, json!({"header": "true", "mode": "DROPMALFORMED"}), CSV),
        case("csv_failing", "csv", csv, json!({"header": "true", "mode": "FAILFAST"}), CSV),
        case("csv_nulls", "csv", csv, json!({"nullValue": "-", "dateFormat": "dd.MM.yyyy"}), CSV),
        case("text", "text", "", json!({}), &[("a", "one\r\ntwo\n\nthree"), ("b", "")]),
        case("text_whole", "text", "", json!({"wholetext": "true"}), &[("a", "one\ntwo\n"), ("b", "")]),
        case(
            "parquet",
            "parquet",
            "id BIGINT, name STRING, at TIMESTAMP, price DECIMAL(6,2), tags ARRAY<STRING>, place STRUCT<x: INT, y: DOUBLE>, m \
             MAP<STRING, INT>",
            json!({}),
            &[
                (
                    "whole.parquet",
                    "SELECT 1L AS id, 'ann' AS name, TIMESTAMP'2026-01-01 10:00:00.123456' AS at, CAST(1.25 AS \
                     DECIMAL(6,2)) AS price, array('a', null) AS tags, named_struct('x', 1, 'y', 0.5D) AS place, map('k', \
                     1) AS m",
                ),
                // The schema has changed: a narrower type, columns that are missing, others, in another order.
                ("narrow.parquet", "SELECT 'bob' AS name, 2 AS id"),
                (
                    "more.parquet",
                    "SELECT true AS other, 3L AS ID, named_struct('y', 1.5D, 'x', 7, 'z', 1) AS place",
                ),
                ("none.parquet", "SELECT 4L AS id LIMIT 0"),
                ("nulls.parquet", "SELECT CAST(NULL AS BIGINT) AS id, CAST(NULL AS STRING) AS name"),
            ],
        ),
        case(
            "parquet_other_type",
            "parquet",
            "id BIGINT",
            json!({}),
            &[("one.parquet", "SELECT 1L AS id"), ("text.parquet", "SELECT 'two' AS id")],
        ),
        case("parquet_too_wide", "parquet", "id INT", json!({}), &[("one.parquet", "SELECT 1L AS id")]),
        case(
            "parquet_no_decimal",
            "parquet",
            "id DECIMAL(5,2)",
            json!({}),
            &[("one.parquet", "SELECT 1 AS id")],
        ),
        case(
            "parquet_wider",
            "parquet",
            "a DOUBLE, b DOUBLE, c DECIMAL(20,4), d DECIMAL(12,1), e BIGINT",
            json!({}),
            &[(
                "one.parquet",
                "SELECT 1 AS a, CAST(1.5 AS FLOAT) AS b, CAST(1.25 AS DECIMAL(10,2)) AS c, 7 AS d, CAST(3 AS TINYINT) AS e",
            )],
        ),
    ]
}

/// What PySpark says of a case.
struct Answer {
    batches: Vec<Vec<String>>,
    error: Option<String>,
}

impl Answer {
    fn read(line: &Value) -> Answer {
        let batches: Vec<Vec<String>> = serde_json::from_value(line["batches"].clone()).unwrap();
        Answer { batches, error: line["error"].as_str().map(str::to_owned) }
    }
}

async fn ottla(case: &Case, folder: &Path) -> Result<Vec<Vec<String>>, String> {
    let schema = (!case.columns.is_empty())
        .then(|| Arc::new(Schema::new(schema::parse_columns(case.columns, "UTC").unwrap())));
    let path = folder.join(case.name).join("in").display().to_string();
    let given = case.options.as_object().unwrap().iter();
    let given = given.map(|(key, value)| (key.as_str(), value.as_str().unwrap()));
    let options = given.chain([("path", path.as_str()), ("maxFilesPerTrigger", "1")]);
    let definition = source::define(case.format, &Options::from_iter(options), schema, "UTC");
    let mut kit = TestKit::new().unwrap();
    kit.declare("files", definition.map_err(|error| error.to_string())?);
    let checkpoint = folder.join(case.name).join("ottla");
    let rows = kit.run_available_now("SELECT * FROM STREAM files", OutputMode::Append, &checkpoint).await;
    rows.map_err(|error| error.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_read_as_pyspark_reads_them() {
    if !runtime::present(&[Runtime::Java, Runtime::Python]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let cases = cases();
    std::fs::write(folder.path().join("cases.json"), serde_json::to_string(&cases).unwrap()).unwrap();
    let program = install::source("python/spark_file_source.py");
    let spark = Program::new(python::with("requirements-spark.txt").await).shown_as("PySpark");
    let finished = spark.args([program.as_path(), folder.path()]).run().await;
    let answers: Vec<Value> =
        finished.lines().into_iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), cases.len(), "{finished}");
    let mut differences = Vec::new();
    for (case, answer) in cases.iter().zip(&answers) {
        let expected = Answer::read(answer);
        let found = ottla(case, folder.path()).await;
        let agrees = match (&found, &expected.error) {
            (Ok(batches), None) => *batches == expected.batches,
            (Err(error), Some(class)) => error.contains(class.as_str()),
            _ => false,
        };
        if !agrees {
            let Answer { batches, error } = expected;
            differences.push(format!("{}\n  Spark: {batches:#?} {error:?}\n  Ottla: {found:#?}", case.name));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
