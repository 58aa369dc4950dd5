//! Jobs as texts, from the statement to the names in it.

use std::sync::Arc;

use super::*;

/// Knows some functions, or all.
struct Known(Option<&'static [&'static str]>);

impl Names for Known {
    fn is_function(&self, name: &str) -> bool {
        self.0.is_none_or(|known| known.contains(&name))
    }

    fn is_table(&self, name: &str) -> bool {
        name == "airports"
    }

    fn view(&self, name: &str) -> Option<Arc<View>> {
        (name == "recent").then(|| {
            let query = query("SELECT CAST(value AS STRING) AS Message FROM STREAM `my-topic`");
            Arc::new(View { columns: Vec::new(), query })
        })
    }
}

fn job(text: &str) -> Vec<StatementKind> {
    let statements = parse_job(text).unwrap_or_else(|error| panic!("{error}"));
    statements.into_iter().map(|statement| statement.kind).collect()
}

fn query(text: &str) -> QueryText {
    match job(text).pop() {
        Some(StatementKind::Query(query)) => query,
        other => panic!("{other:?}"),
    }
}

fn select(text: &str) -> StreamingSelect {
    query(text).resolve(&Known(None)).unwrap_or_else(|error| panic!("{error}"))
}

fn error(text: &str) -> SqlError {
    let mut statements = match parse_job(text) {
        Ok(statements) => statements,
        Err(error) => return error,
    };
    match statements.pop().map(|statement| statement.kind) {
        Some(StatementKind::Query(query)) => {
            query.resolve(&Known(Some(&["count", "sum", "upper"]))).expect_err(text)
        }
        other => panic!("{other:?}"),
    }
}

fn topics(text: &str) -> Vec<String> {
    select(text).streams.into_iter().map(|stream| stream.name).collect()
}

#[test]
fn streams_are_found_in_every_place() {
    assert_eq!(topics("SELECT CAST(value AS STRING) AS message FROM STREAM `my-topic`"), ["my-topic"]);
    assert_eq!(topics("select * from stream(My_Topic);"), ["My_Topic"]);
    assert_eq!(topics("SELECT * FROM STREAM a AS x WHERE x.key IS NULL"), ["a"]);
    assert_eq!(topics("SELECT value FROM STREAM a UNION ALL SELECT value FROM STREAM(`a`)"), ["a", "a"]);
    assert_eq!(topics("WITH v AS (SELECT * FROM STREAM t) SELECT * FROM v"), ["t"]);
    assert_eq!(topics("SELECT * FROM STREAM stream"), ["stream"]);
}

#[test]
fn comments_line_endings_and_semicolons_are_fine() {
    let text = "\u{feff}-- my job\r\nSELECT value /* bytes */\r\nFROM STREAM t -- all\r\n;\r\n";
    assert_eq!(topics(text), ["t"]);
}

#[test]
fn columns_are_named_as_spark_names_them() {
    let text = "SELECT count(*), sum(id), CAST(value AS STRING), CAST(CAST(value AS STRING) AS INT), id + 1 * 2, \
         get_json_object(CAST(`Value` AS STRING), '$.x'), -id, id > 1 AND id < 3, 'lit', 1.5, NULL, id IS NULL, \
         id IN (1,2), id BETWEEN 1 AND 2, CASE WHEN id = 1 THEN 'a' ELSE 'b' END, Id, t.ID, NOT id = 1, \
         'a' || 'b', count(DISTINCT id), id <> 1, id LIKE 'a', UPPER(x) AS `Größe` FROM STREAM t GROUP BY id";
    let names: Vec<_> = select(text).columns;
    let expected = [
        "count(1)",
        "sum(id)",
        "value",
        "CAST(CAST(value AS STRING) AS INT)",
        "(id + (1 * 2))",
        "get_json_object(CAST(Value AS STRING), $.x)",
        "(- id)",
        "((id > 1) AND (id < 3))",
        "lit",
        "1.5",
        "NULL",
        "(id IS NULL)",
        "(id IN (1, 2))",
        "between(id, 1, 2)",
        "CASE WHEN (id = 1) THEN a ELSE b END",
        "Id",
        "ID",
        "(NOT (id = 1))",
        "concat(a, b)",
        "count(DISTINCT id)",
        "(NOT (id = 1))",
        "id LIKE a",
        "Größe",
    ];
    assert_eq!(names, expected.map(|name| OutputColumn::Named(name.to_owned())));
}

#[test]
fn a_wildcard_takes_the_columns_that_are_left() {
    let planned = ["c0", "key", "value", "c3"].map(str::to_owned);
    let select = select("SELECT 1, *, Offset AS `At` FROM STREAM t");
    assert_eq!(select.column_names(&planned), ["1", "key", "value", "At"]);
}

// The places below are those that Spark 4.1.1 gives.

#[test]
fn syntax_errors_point_to_line_and_column() {
    for (text, near, line, column) in [
        ("SELECT\n  value\nFORM STREAM t1", "'STREAM'", 3, 5),
        ("SELECT value, count(*) FROM STREAM t1 GROUP BY value +", "end of input", 1, 54),
        ("SELECT value,, key FROM STREAM t1", "','", 1, 13),
        ("SELECT 'abc", "'''", 1, 7),
        ("SELECT\n  value AS message,\n  key\n FROM STREAM t1 WHERE", "end of input", 4, 21),
    ] {
        let error = error(text).to_string();
        let start = format!(
            "[PARSE_SYNTAX_ERROR] Syntax error at or near {near}. SQLSTATE: 42601 (line {line}, pos {column})\n\n== SQL ==\n"
        );
        assert!(error.starts_with(&start), "{error}");
        assert!(error.contains(&format!("\n{}^^^\n", "-".repeat(column))), "{error}");
    }
}

#[test]
fn unknown_names_point_to_their_place() {
    let position = Position { line: 2, column: 7 };
    assert_eq!(
        error("SELECT upper(key),\n       nofunc(value) FROM STREAM t"),
        SqlError::UnresolvedRoutine { name: "nofunc".to_owned(), position }
    );
    let position = Position { line: 1, column: 14 };
    assert_eq!(
        error("SELECT * FROM `No-Pe`"),
        SqlError::TableNotFound { name: "No-Pe".to_owned(), position }
    );
}

#[test]
fn topics_with_dashes_and_dots_want_backticks() {
    for (text, name, column) in [
        ("SELECT * FROM STREAM my-topic WHERE 1 = 1", "my-topic", 21),
        ("SELECT * FROM STREAM(my.topic)", "my.topic", 21),
    ] {
        let position = Position { line: 1, column };
        assert_eq!(error(text), SqlError::InvalidIdentifier { name: name.to_owned(), position });
    }
    assert_eq!(topics("SELECT * FROM STREAM `my.topic` UNION ALL SELECT * FROM STREAM t"), ["my.topic", "t"]);
}

#[test]
fn unknown_types_are_named() {
    let position = Position { line: 1, column: 21 };
    assert_eq!(
        error("SELECT CAST(value AS strng) FROM STREAM t1"),
        SqlError::UnsupportedDataType { name: "STRNG".to_owned(), position }
    );
}

#[test]
fn what_is_not_served_is_named() {
    assert!(matches!(error("DROP TABLE t"), SqlError::NotServed(words) if words == "DROP TABLE"));
    assert!(matches!(error("INSERT OVERWRITE t SELECT 1"), SqlError::NotServed(_)));
    assert_eq!(error("CREATE MATERIALIZED VIEW m AS SELECT 1"), SqlError::MaterializedView);
    assert!(job("").is_empty() && job(" ;; -- nothing\n").is_empty());
}

#[test]
fn from_clauses_are_spark_s() {
    assert_eq!(
        topics("SELECT * FROM STREAM a, STREAM(b) AS c JOIN (SELECT * FROM STREAM d) ON 1 = 1"),
        ["a", "b", "d"]
    );
    assert_eq!(topics("SELECT a.x IS DISTINCT FROM stream, extract(YEAR FROM ts) FROM STREAM a"), ["a"]);
    assert_eq!(topics("SELECT stream, x stream FROM (SELECT 1 AS stream FROM STREAM a) AS watermark"), ["a"]);
    let found = select("SELECT * FROM STREAM t JOIN Airports AS a ON t.k = a.k JOIN recent");
    assert_eq!(found.tables.iter().map(|table| table.name.as_str()).collect::<Vec<_>>(), ["Airports"]);
    assert_eq!(
        found.streams.iter().map(|stream| stream.name.as_str()).collect::<Vec<_>>(),
        ["t", "my-topic"]
    );
}

#[test]
fn a_view_keeps_its_columns_spelling() {
    let planned = ["message".to_owned()];
    assert_eq!(select("SELECT * FROM recent").column_names(&planned), ["Message"]);
    assert_eq!(select("SELECT * FROM STREAM recent").column_names(&planned), ["Message"]);
}

fn watermarks(text: &str) -> Vec<(i64, Option<String>)> {
    let watermarks = query(text).watermarks;
    watermarks.into_iter().map(|watermark| (watermark.delay_ms, watermark.alias)).collect()
}

#[test]
fn watermarks_stand_between_a_relation_and_its_alias() {
    for text in [
        "SELECT * FROM STREAM t WATERMARK ts DELAY OF INTERVAL 10 SECONDS",
        "SELECT * FROM STREAM t WATERMARK ts DELAY OF INTERVAL '10' SECOND AS a WHERE a.x = 1",
        "SELECT * FROM STREAM(t) WATERMARK a.ts DELAY OF INTERVAL 10 SECONDS a",
        "SELECT * FROM (SELECT * FROM STREAM t) WATERMARK ts DELAY OF INTERVAL 10 SECONDS AS a",
        "SELECT * FROM recent WATERMARK ts DELAY OF INTERVAL 0 MINUTES 10 SECONDS LATERAL VIEW explode(x) e AS c",
        "WITH v AS (SELECT * FROM STREAM t WATERMARK ts DELAY OF INTERVAL 10 SECONDS) SELECT * FROM v",
    ] {
        assert_eq!(watermarks(text), [(10_000, None)], "{text}");
        select(text);
    }
    assert_eq!(
        watermarks(
            "SELECT * FROM STREAM t WATERMARK to_timestamp(x, 'y') AS Ts DELAY OF INTERVAL '1:30' MINUTE TO SECOND \
             JOIN STREAM u WATERMARK f(x) ts DELAY OF INTERVAL 1 DAY ON 1 = 1"
        ),
        [(90_000, Some("Ts".to_owned())), (86_400_000, Some("ts".to_owned()))]
    );
}

// The places below are those that Spark 4.1.1 gives.
#[test]
fn watermarks_that_spark_refuses_are_refused() {
    for (text, near, column) in [
        ("SELECT * FROM STREAM t AS a WATERMARK ts DELAY OF INTERVAL 10 SECONDS", "'WATERMARK'", 28),
        (
            "SELECT * FROM (SELECT * FROM STREAM t) AS a WATERMARK ts DELAY OF INTERVAL 10 SECONDS",
            "'WATERMARK'",
            44,
        ),
        (
            "SELECT * FROM STREAM t WATERMARK ts DELAY OF '10 seconds'",
            "''10 seconds'': missing 'INTERVAL'",
            45,
        ),
        ("SELECT * FROM STREAM t WATERMARK ts DELAY OF 10 SECONDS", "'10': missing 'INTERVAL'", 45),
        ("SELECT * FROM STREAM t WATERMARK ts DELAY OF INTERVAL '10 seconds'", "end of input", 66),
        ("SELECT a FROM STREAM t WATERMARK DELAY OF INTERVAL 1 SECOND", "'INTERVAL'", 42),
    ] {
        let error = error(text).to_string();
        let start = format!(
            "[PARSE_SYNTAX_ERROR] Syntax error at or near {near}. SQLSTATE: 42601 (line 1, pos {column})"
        );
        assert!(error.starts_with(&start), "{error}");
    }
}

#[test]
fn expressions_are_spark_s() {
    let text = r#"SELECT a == b, a <=> b, a DIV b, a RLIKE 'x\\d', x::int, r'\d', 'it''s', 'a\'b', "dq", 'a' 'b', !a,
        a.b[0].c, transform(xs, x -> x + 1), aggregate(xs, 0, (acc, x) -> acc + x), X'1F', DATE '2020-01-01',
        INTERVAL 10 SECONDS, INTERVAL '10' SECOND, INTERVAL '10 seconds 5 minutes', INTERVAL -1 DAY,
        INTERVAL 1 DAY 2 HOURS, /* a /* nested */ comment */ TRY_CAST(a AS BIGINT)
        FROM STREAM t GROUP BY ALL HAVING 1 = 1"#;
    let statement = select(text).statement.to_string();
    for part in [
        "regexp_like`(a, 'x\\d')",
        "'\\d'",
        "'it''s'",
        "'a''b'",
        "'dq'",
        "'ab'",
        "INTERVAL '-1 day'",
        "INTERVAL '1 day 2 hour'",
        "INTERVAL 10 SECONDS",
    ] {
        assert!(statement.contains(part), "{part} in {statement}");
    }
    select(
        "SELECT * EXCEPT (a) FROM STREAM t UNION ALL SELECT * FROM STREAM u EXCEPT SELECT * FROM VALUES (1) AS v(x)",
    );
}

#[test]
fn generators_become_relations() {
    let text = "SELECT posexplode(x) AS (p, c), explode_outer(y) FROM STREAM t LATERAL VIEW OUTER explode(z) e AS Z, \
                LATERAL inline(w) AS i(a, b)";
    assert!(parse_job(text).is_err(), "a lateral view ends the relations");
    let query = query(
        "SELECT posexplode(x) AS (p, c), explode_outer(y) FROM STREAM t, LATERAL inline(w) AS i(a, b) \
         LATERAL VIEW OUTER explode(z) e AS Z",
    );
    let generators = query.generators.iter().map(|generator| (generator.outer, generator.columns.join(" ")));
    let expected = [(false, "a b"), (true, "z"), (false, "p c"), (true, "")];
    assert_eq!(generators.collect::<Vec<_>>(), expected.map(|(outer, columns)| (outer, columns.to_owned())));
    // One column for a list and two for a map.
    let named = |name: &str| OutputColumn::Named(name.to_owned());
    assert_eq!(query.columns, [named("p"), named("c"), OutputColumn::Wildcard]);
}

fn table(text: &str) -> TableDefinition {
    match job(text).pop() {
        Some(StatementKind::CreateTable(table)) => table,
        other => panic!("{other:?}"),
    }
}

#[test]
fn tables_are_declared_with_their_options() {
    let text = "CREATE OR REPLACE TABLE db.`My Words` (a INT NOT NULL COMMENT 'x', b STRUCT<c: ARRAY<INT>>) USING kafka \
                OPTIONS (subscribe 'words', startingOffsets '{\"a\":{\"0\":1}}', kafka.bootstrap.servers='h:9', \
                `a.b` = 'x', maxOffsetsPerTrigger 2000, low -5, ratio 1.5, failOnDataLoss true, \"quoted\" 'v') \
                PARTITIONED BY (a, b) COMMENT 'c' TBLPROPERTIES ('p' = 'q')";
    let table = table(text);
    assert_eq!((table.name.as_str(), table.if_exists), ("My Words", IfExists::Replace));
    assert_eq!(table.format.as_deref(), Some("kafka"));
    assert_eq!(table.columns.as_deref(), Some("a INT NOT NULL COMMENT 'x', b STRUCT<c: ARRAY<INT>>"));
    for (key, value) in [
        ("subscribe", "words"),
        ("startingoffsets", "{\"a\":{\"0\":1}}"),
        ("kafka.bootstrap.servers", "h:9"),
        ("a.b", "x"),
        ("maxOffsetsPerTrigger", "2000"),
        ("low", "-5"),
        ("ratio", "1.5"),
        ("failOnDataLoss", "true"),
        ("quoted", "v"),
    ] {
        assert_eq!(table.options.get(key), Some(value), "{key}");
    }
    assert_eq!(table.partitioned_by, ["a", "b"]);
}

#[test]
fn views_are_declared_with_a_query_or_with_files() {
    let view = table(
        r"CREATE TEMPORARY VIEW airports (a INT) USING csv OPTIONS (path 'C:\\data\\a b.csv', header true)",
    );
    assert_eq!(view.options.get("path"), Some(r"C:\data\a b.csv"));
    assert_eq!(view.columns.as_deref(), Some("a INT"));
    assert_eq!(table("CREATE TABLE t USING rate-micro-batch LOCATION '/x'").options.get("path"), Some("/x"));
    let text =
        "CREATE OR REPLACE GLOBAL TEMP VIEW v (a COMMENT 'x', `B`) COMMENT 'hi' AS SELECT 1, 2 FROM STREAM t";
    match job(text).pop() {
        Some(StatementKind::CreateView(view)) => assert_eq!(view.columns, ["a", "B"]),
        other => panic!("{other:?}"),
    }
}

#[test]
fn flows_and_settings_are_read() {
    let text = "SET spark.sql.session.timeZone = Europe/Ljubljana;\nSET TIME ZONE 'UTC';
        CREATE STREAMING TABLE IF NOT EXISTS out USING json OPTIONS (path 'x') AS SELECT * FROM STREAM s;
        CREATE OR REFRESH STREAMING TABLE other USING kafka OPTIONS (topic 'x');
        CREATE FLOW f COMMENT 'x' AS INSERT INTO other BY NAME SELECT * FROM STREAM s;
        INSERT INTO other SELECT * FROM STREAM s";
    let job = job(text);
    let [
        StatementKind::Set { key, value },
        StatementKind::Set { value: zone, .. },
        StatementKind::CreateStreamingTable { table, query: Some(_) },
        StatementKind::CreateStreamingTable { query: None, .. },
        StatementKind::Flow(Flow { name: Some(name), table: target, .. }),
        StatementKind::Flow(Flow { name: None, .. }),
    ] = job.as_slice()
    else {
        panic!("{job:?}");
    };
    assert_eq!((key.as_str(), value.as_str()), ("spark.sql.session.timeZone", "Europe/Ljubljana"));
    assert_eq!((zone.as_str(), table.name.as_str()), ("UTC", "out"));
    assert_eq!((name.as_str(), target.as_str()), ("f", "other"));
}

// As Spark 4.1.1 places them.
#[test]
fn statements_that_are_wrong_say_where() {
    for (text, message) in [
        (
            "CREATE TABLE t USING kafka OPTIONS ()",
            "Syntax error at or near ')'. SQLSTATE: 42601 (line 1, pos 36)",
        ),
        (
            "CREATE TABLE t USING kafka OPTIONS (subscribe)",
            "A value must be specified for the key: subscribe.",
        ),
        (
            "CREATE TABLE t USING csv OPTIONS (path 'a') LOCATION 'z'",
            "Duplicated table paths found: 'z' and 'a'.",
        ),
        (
            "CREATE STREAMING TABLE t AS INSERT INTO t SELECT 1",
            "at or near 'INSERT'. SQLSTATE: 42601 (line 1, pos 28)",
        ),
        (
            "SELECT 1 FROM STREAM t;\nCREATE TEMPORARY THING x",
            "at or near 'THING'. SQLSTATE: 42601 (line 2, pos 17)",
        ),
        ("SELEC 1", "at or near 'SELEC'. SQLSTATE: 42601 (line 1, pos 0)"),
    ] {
        let error = error(text).to_string();
        assert!(error.contains(message), "{error}");
    }
}
