//! Expressions whose results differ between Spark and DataFusion left to itself.

use std::collections::BTreeMap;

use ottla_stream::Session;
use ottla_stream::conf::Conf;
use ottla_stream::output_mode::OutputMode;
use ottla_stream::schema::sql_type;
use tempfile::tempdir;

use crate::harness::{Job, Kafka};

/// Evaluates over one record whose value is `12`.
async fn evaluate(kafka: &Kafka, expression: &str) -> Result<String, String> {
    let checkpoint = tempdir().unwrap();
    let sql = format!(
        "SELECT {expression} AS x FROM (SELECT *, CAST(CAST(value AS STRING) AS INT) AS n FROM STREAM t)"
    );
    let outcome = Job::new(&sql).run(kafka, checkpoint.path()).await;
    match outcome.error {
        Some(error) => Err(error),
        None => Ok(outcome.rows()[0].to_owned()),
    }
}

#[tokio::test]
async fn results_are_spark_s() {
    let kafka = Kafka::start().await;
    kafka.create("t", 1).await;
    kafka.put("t", 0, ["12"]).await;
    for (expression, x) in [
        ("n / 5", "2.4"),
        ("n / 4", "3.0"),
        ("sqrt(n / 3)", "2.0"),
        ("CAST(n / 5 AS STRING)", "\"2.4\""),
        ("CAST(1.0E10 AS STRING)", "\"1.0E10\""),
        ("CAST(timestamp AS STRING)", "\"2023-11-14 22:13:20\""),
        ("CAST('2013-01-01 05:00:00' AS TIMESTAMP)", "\"2013-01-01T05:00:00.000Z\""),
        ("CAST(value AS STRING) || 'x'", "\"12x\""),
        ("CAST('a' AS BINARY)", "\"YQ==\""),
        ("CAST(n AS SHORT)", "12"),
        ("CAST('2013-01-01 05:00:00' AS TIMESTAMP_LTZ)", "\"2013-01-01T05:00:00.000Z\""),
        ("length(value)", "2"),
        ("coalesce(try_multiply(n, 9223372036854775807), -1)", "-1"),
        ("n % 5 * 2 - 1 + offset", "3"),
        ("hex(value)", "\"3132\""),
        ("date_trunc('DAY', timestamp)", "\"2023-11-14T00:00:00.000Z\""),
        ("get_json_object('{\"a\":[1,2]}', '$.a[1]')", "\"2\""),
        ("from_json('{\"A\":1,\"b\":[1.5]}', 'A INT, b ARRAY<DOUBLE>')", "{\"A\":1,\"b\":[1.5]}"),
        ("from_json('{\"A\":1,\"b\":[1.5]}', 'A INT, b ARRAY<DOUBLE>').a", "1"),
        (
            "from_json('{\"t\":\"27/11/2026\"}', 't DATE', map('dateFormat', 'dd/MM/yyyy')).t",
            "\"2026-11-27\"",
        ),
        (
            "from_json('{\"t\":\"2026-11-27T10:00:00+02:00\"}', 't TIMESTAMP').t",
            "\"2026-11-27T08:00:00.000Z\"",
        ),
        ("to_json(from_json('{\"A\":1}', 'A INT, b INT'))", "\"{\\\"A\\\":1}\""),
        ("from_json('{\"a\":[1,2]}', schema_of_json('{\"a\":[0.5]}')).a", "[1.0,2.0]"),
    ] {
        assert_eq!(evaluate(&kafka, expression).await, Ok(format!("{{\"x\":{x}}}")), "{expression}");
    }
    for (expression, message) in [
        ("n / 0", "[DIVIDE_BY_ZERO]"),
        ("n % offset", "[REMAINDER_BY_ZERO]"),
        ("offset + 9223372036854775807 + 1", "[ARITHMETIC_OVERFLOW] long overflow."),
        ("CAST(n AS INT) * CAST(2147483647 AS INT)", "[ARITHMETIC_OVERFLOW] integer overflow."),
        ("n / (offset * 0.5)", "[DIVIDE_BY_ZERO]"),
        ("CAST('twelve' AS INT)", "[CAST_INVALID_INPUT] The value 'twelve' of the type"),
        ("from_json('{}', 'a FOO')", "[UNSUPPORTED_DATATYPE] Unsupported data type \"FOO\""),
        ("from_json('{}', 'a INT').b", "[FIELD_NOT_FOUND] No such struct field `b` in `a`"),
        ("from_json(value, 'a INT')", "[DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE]"),
        ("to_json(n)", "[DATATYPE_MISMATCH.INVALID_JSON_SCHEMA]"),
        ("schema_of_json(CAST(value AS STRING))", "[DATATYPE_MISMATCH.NON_FOLDABLE_INPUT]"),
        (
            "from_json('x', 'a INT', map('mode', 'FAILFAST'))",
            "[MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION]",
        ),
    ] {
        let error = evaluate(&kafka, expression).await.unwrap_err();
        assert!(error.contains(message), "{expression}: {error}");
    }
    assert_eq!(evaluate(&kafka, "n / nullif(offset, 0)").await, Ok("{}".to_owned()));
}

/// The types as PySpark 4.1.1 tells them.
#[test]
fn a_sink_is_told_the_types_that_its_rows_will_have() {
    let sql = "SELECT 1 AS one, 3000000000 AS big, 5L AS long, partition / 2 AS half, partition % 2 AS rest, offset + 1 AS \
               next, CASE WHEN partition > 1 THEN 1 ELSE 2L END AS either, current_timestamp() AS now, upper(topic) AS \
               up, length(topic) AS len, CAST(1 AS DECIMAL(10,2)) AS dec, array(1, 2) AS arr, named_struct('a', 1) AS st \
               FROM STREAM t";
    let options = BTreeMap::from([("kafka.bootstrap.servers".to_owned(), "localhost:1".to_owned())]);
    let plan = Session::new(Conf::default()).unwrap().plan(sql, &options, OutputMode::Append).unwrap();
    let schema = plan.schema();
    let columns: Vec<_> = schema.fields().iter().map(|field| sql_type(field.data_type())).collect();
    assert_eq!(
        columns.join(", "),
        "INT, BIGINT, BIGINT, DOUBLE, INT, BIGINT, BIGINT, TIMESTAMP, STRING, INT, DECIMAL(10,2), ARRAY<INT>, STRUCT<a: \
         INT>"
    );
}
