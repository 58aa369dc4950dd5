//! `j.*` of a struct.

use crate::output_mode::OutputMode::Append;
use crate::test_kit::TestKit;

#[tokio::test]
async fn the_fields_of_a_struct_are_columns() {
    let mut kit = TestKit::new().unwrap();
    let stream = kit.stream("s", "k INT, J STRUCT<A: INT, b: STRUCT<c: STRING, k: INT>>").unwrap();
    stream.push(&[r#"{"k":1,"J":{"A":2,"b":{"c":"x","k":3}}}"#]).unwrap();
    for (sql, row) in [
        ("SELECT J.* FROM STREAM s", r#"{"A":2,"b":{"c":"x","k":3}}"#),
        (
            "SELECT k AS outer, j.*, j.b.* FROM STREAM s",
            r#"{"outer":1,"A":2,"b":{"c":"x","k":3},"c":"x","k":3}"#,
        ),
        (
            "SELECT t.*, t.j.b.* FROM STREAM s AS t",
            r#"{"k":1,"J":{"A":2,"b":{"c":"x","k":3}},"c":"x","k":3}"#,
        ),
        (
            "WITH w AS (SELECT j.b AS inner FROM STREAM s) SELECT inner.*, upper(inner.c) AS u FROM w",
            r#"{"c":"x","k":3,"u":"X"}"#,
        ),
        ("SELECT a + 1 AS next FROM (SELECT j.* FROM STREAM s)", r#"{"next":3}"#),
        ("SELECT * FROM (SELECT j.b.*, 7 AS n FROM STREAM s WHERE j.a = 2)", r#"{"c":"x","k":3,"n":7}"#),
        (
            "SELECT d.* FROM (SELECT from_json('{\"Id\":5,\"at\":\"2026-01-01T00:00:00Z\"}', 'Id INT, at TIMESTAMP') AS d \
             FROM STREAM s) WATERMARK d.at AS at DELAY OF INTERVAL 1 SECOND",
            r#"{"Id":5,"at":"2026-01-01T00:00:00.000Z"}"#,
        ),
    ] {
        let mut query = kit.start(sql, Append).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(query.process_all_available().await.unwrap(), [row], "{sql}");
    }
    for (sql, message) in [
        ("SELECT k.* FROM STREAM s", "[CANNOT_RESOLVE_STAR_EXPAND]"),
        ("SELECT nothing.* FROM STREAM s", "[UNRESOLVED_COLUMN.WITH_SUGGESTION]"),
    ] {
        let error = kit.start(sql, Append).await.err().unwrap().to_string();
        assert!(error.contains(message), "{sql}: {error}");
    }
}

/// A window of the time at which rows are processed.
#[tokio::test]
async fn groups_by_the_time_of_the_batch_are_those_of_each_batch() {
    let mut kit = TestKit::new().unwrap();
    let stream = kit.stream("s", "k INT").unwrap();
    let sql = "SELECT count(*) AS n FROM STREAM s GROUP BY current_timestamp()";
    let mut query = kit.start(sql, crate::output_mode::OutputMode::Update).await.unwrap();
    for _ in 0..2 {
        stream.push(&[r#"{"k":1}"#]).unwrap();
        assert_eq!(query.process_all_available().await.unwrap(), [r#"{"n":1}"#]);
    }
    assert_eq!(query.state_rows(), [2]);
    let sql = "SELECT window.end > current_timestamp AS ahead, count(*) AS n FROM STREAM s \
               GROUP BY window(current_timestamp(), '36500 days')";
    let mut query = kit.start(sql, crate::output_mode::OutputMode::Update).await.unwrap();
    assert_eq!(query.process_all_available().await.unwrap(), [r#"{"ahead":true,"n":2}"#]);
    stream.push(&[r#"{"k":1}"#]).unwrap();
    assert_eq!(query.process_all_available().await.unwrap(), [r#"{"ahead":true,"n":3}"#]);
}

#[tokio::test]
async fn a_column_may_be_made_of_others_of_its_list() {
    let mut kit = TestKit::new().unwrap();
    let stream = kit.stream("s", "k INT, v INT").unwrap();
    stream.push(&[r#"{"k":1,"v":2}"#]).unwrap();
    for (sql, row) in [
        ("SELECT v + 1 AS a, a * 2 AS b, b - a AS c FROM STREAM s", r#"{"a":3,"b":6,"c":3}"#),
        // A column of the stream goes before one of the list.
        ("SELECT v + 1 AS k, k * 10 AS b FROM STREAM s", r#"{"k":3,"b":10}"#),
        ("SELECT v AS a, (SELECT max(a) FROM (VALUES (7)) AS t(a)) AS m FROM STREAM s", r#"{"a":2,"m":7}"#),
    ] {
        let mut query = kit.start(sql, Append).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        assert_eq!(query.process_all_available().await.unwrap(), [row], "{sql}");
    }
}
