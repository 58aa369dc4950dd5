//! Both databases: SQLite in a file, PostgreSQL where it is installed.

use std::path::Path;
use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, ListArray, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::{Int32Type, SchemaRef};

// Public for `ottla-tests`, whose file it is.
#[allow(unreachable_pub)]
#[path = "../../../../tests/src/postgres.rs"]
mod postgres;

use super::*;
use crate::options::Options;
use crate::output_mode::OutputMode;
use crate::sink::test_batches::{self, Row, batch, broken_batch, context, of, stream_of};
use crate::sink::{Sink, SinkBatch};
use postgres::Postgres;

/// A database with one schema that is empty.
trait Database {
    fn sink(&self, schema: SchemaRef, options: &[(&str, &str)]) -> Box<dyn Sink>;
    /// The answer's only column, of texts, a line each.
    fn query(&self, sql: &str) -> String;
}

struct Sqlite {
    folder: tempfile::TempDir,
}

impl Sqlite {
    fn start() -> Sqlite {
        Sqlite { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> String {
        self.folder.path().join("rows.db").display().to_string()
    }
}

impl Database for Sqlite {
    fn sink(&self, schema: SchemaRef, options: &[(&str, &str)]) -> Box<dyn Sink> {
        let mut options = Options::from_iter(options.iter().copied());
        options.set("path", &self.path());
        Box::new(SqliteSink::new(&options, &context(Path::new("cp"), schema)).unwrap())
    }

    fn query(&self, sql: &str) -> String {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect::<Vec<String>>().join("\n")
    }
}

impl Database for Postgres {
    fn sink(&self, schema: SchemaRef, options: &[(&str, &str)]) -> Box<dyn Sink> {
        let mut options = Options::from_iter(options.iter().copied());
        // As Spark's JDBC source has it.
        options.set("url", &format!("jdbc:{}", self.url()));
        Box::new(PostgresSink::new(&options, &context(Path::new("cp"), schema)).unwrap())
    }

    fn query(&self, sql: &str) -> String {
        Postgres::query(self, sql)
    }
}

const ROWS: &[Row] = &[("a", 1), ("b", 2), ("a", 3)];

async fn check_keys(database: &dyn Database) {
    let options = [("dbtable", "keyed"), ("keyColumns", "word")];
    let mut first = database.sink(test_batches::schema(), &options);
    assert_eq!(first.write_batch(batch(0, &[ROWS, &[("c", 4)]])).await.unwrap(), 4);
    assert_eq!(first.write_batch(batch(1, &[&[("b", 5)]])).await.unwrap(), 1);
    // As after a kill between the rows of batch 1 and the query's commit, with other rows to see that none is taken.
    let mut second = database.sink(test_batches::schema(), &options);
    assert_eq!(second.write_batch(batch(1, &[&[("b", 500)]])).await.unwrap(), 0);
    assert_eq!(second.write_batch(batch(2, &[&[("d", 6)]])).await.unwrap(), 1);
    let rows = "SELECT word || '=' || CAST(n AS text) FROM keyed ORDER BY word";
    assert_eq!(database.query(rows), "a=3\nb=5\nc=4\nd=6");
    let batches = "SELECT query_id || ' ' || CAST(batch_id AS text) FROM ottla_batches";
    assert_eq!(database.query(batches), "6d1d7bb5-1b2b-4b7c-8f43-f2b9e7a6a1c4 2");
}

async fn check_failures(database: &dyn Database) {
    let mut sink = database.sink(test_batches::schema(), &[("dbtable", "failing")]);
    let error = sink.write_batch(broken_batch(0, ROWS)).await.unwrap_err();
    assert_eq!(error.to_string(), "Execution error: no more rows");
    let rows = "SELECT word FROM failing ORDER BY n";
    assert_eq!(database.query(rows), "");
    // A kill: the batch is given up in the midst of its rows.
    let begun = Arc::new(tokio::sync::Notify::new());
    let told = begun.clone();
    let mut items = vec![Ok(test_batches::record_batch(ROWS))];
    let endless = futures::stream::poll_fn(move |_| match items.pop() {
        Some(item) => std::task::Poll::Ready(Some(item)),
        None => {
            told.notify_one();
            std::task::Poll::Pending
        }
    });
    let schema = test_batches::schema();
    let endless = datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(schema.clone(), endless);
    let mut killed = database.sink(schema.clone(), &[("dbtable", "failing")]);
    tokio::select! {
        _ = killed.write_batch(of(0, schema, vec![Box::pin(endless)])) => panic!("the rows never end"),
        () = begun.notified() => {}
    }
    drop(killed);
    let mut next = database.sink(test_batches::schema(), &[("dbtable", "failing")]);
    assert_eq!(next.write_batch(batch(0, &[ROWS])).await.unwrap(), 3);
    assert_eq!(database.query(rows), "a\nb\na");
}

async fn check_complete(database: &dyn Database) {
    let mut sink = database.sink(test_batches::schema(), &[("dbtable", "whole")]);
    for (id, rows) in [(0, ROWS), (1, &ROWS[..1])] {
        let complete = SinkBatch { output_mode: OutputMode::Complete, ..batch(id, &[rows]) };
        sink.write_batch(complete).await.unwrap();
    }
    assert_eq!(database.query("SELECT word FROM whole"), "a");
}

fn values() -> RecordBatch {
    let decimal = Decimal128Array::from(vec![Some(150), None]).with_precision_and_scale(5, 2).unwrap();
    let ntz = TimestampMicrosecondArray::from(vec![Some(1_372_672_800_500_000), None]);
    let ts = TimestampMicrosecondArray::from(vec![Some(1_372_665_600_123_456), None]);
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None]), None]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("text", Arc::new(StringArray::from(vec![Some("tab\t\\N \"'\nü"), None]))),
        ("bytes", Arc::new(BinaryArray::from_opt_vec(vec![Some(b"a\0\\"), None]))),
        ("yes", Arc::new(BooleanArray::from(vec![Some(true), None]))),
        ("double", Arc::new(Float64Array::from(vec![Some(1e10), None]))),
        ("count", Arc::new(UInt64Array::from(vec![Some(u64::MAX), None]))),
        ("decimal", Arc::new(decimal)),
        ("day", Arc::new(Date32Array::from(vec![Some(15_707), None]))),
        ("at", Arc::new(ts.with_timezone("Europe/Berlin"))),
        ("local", Arc::new(ntz)),
        ("list", Arc::new(list)),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
        .unwrap()
}

async fn write_values(database: &dyn Database) {
    let mut sink = database.sink(values().schema(), &[("dbtable", "all types")]);
    sink.write_batch(of(0, values().schema(), vec![stream_of(values())])).await.unwrap();
    let nulls = database.query("SELECT CAST(count(*) - count(text) AS text) FROM \"all types\"");
    assert_eq!(nulls, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_has_each_batch_once() {
    check_keys(&Sqlite::start()).await;
    check_failures(&Sqlite::start()).await;
    check_complete(&Sqlite::start()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sqlite_keeps_every_type() {
    let database = Sqlite::start();
    write_values(&database).await;
    for (column, expected) in [
        ("text", "tab\t\\N \"'\nü"),
        ("hex(bytes)", "61005C"),
        ("yes || ' ' || typeof(yes)", "1 integer"),
        ("double || ' ' || typeof(double)", "10000000000.0 real"),
        ("count", "18446744073709551615"),
        ("decimal", "1.50"),
        ("day", "2013-01-02"),
        ("at", "2013-07-01 08:00:00.123456Z"),
        ("strftime('%s', at)", "1372665600"),
        ("local", "2013-07-01 10:00:00.500000"),
        ("list", "[1,null]"),
    ] {
        let sql = format!("SELECT {column} FROM \"all types\" WHERE text IS NOT NULL");
        assert_eq!(database.query(&sql), expected, "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_has_each_batch_once_in_its_own_types() {
    let Some(database) = Postgres::start() else { return };
    check_keys(&database).await;
    database.query("DROP TABLE ottla_batches");
    check_failures(&database).await;
    database.query("DROP TABLE ottla_batches");
    check_complete(&database).await;
    database.query("DROP TABLE ottla_batches");
    write_values(&database).await;
    for (column, expected) in [
        ("text", "tab\t\\N \"'\nü"),
        ("encode(bytes, 'hex')", "61005c"),
        ("yes || ' ' || pg_typeof(yes)", "true boolean"),
        ("double || ' ' || pg_typeof(double)", "10000000000 double precision"),
        ("count || ' ' || pg_typeof(count)", "18446744073709551615 numeric"),
        ("decimal::text", "1.50"),
        ("day::text", "2013-01-02"),
        (
            "(at AT TIME ZONE 'UTC')::text || ' ' || pg_typeof(at)",
            "2013-07-01 08:00:00.123456 timestamp with time zone",
        ),
        ("local::text", "2013-07-01 10:00:00.5"),
        ("list::text", "[1, null]"),
    ] {
        let sql = format!("SELECT {column} FROM \"all types\" WHERE text IS NOT NULL");
        assert_eq!(database.query(&sql), expected, "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_says_what_is_wrong() {
    let Some(database) = Postgres::start() else { return };
    database.query("CREATE TABLE other (word text)");
    let mut sink = database.sink(test_batches::schema(), &[("dbtable", "other")]);
    let error = sink.write_batch(batch(0, &[ROWS])).await.unwrap_err().to_string();
    assert!(error.contains("refused to take the rows: column \"n\" of relation \"other\""), "{error}");
    let options = Options::from_iter([("url", "postgresql://x:secret@127.0.0.1:1/db"), ("dbtable", "t")]);
    let mut sink = PostgresSink::new(&options, &context(Path::new("cp"), test_batches::schema())).unwrap();
    let error = sink.write_batch(batch(0, &[ROWS])).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot connect to PostgreSQL at 127.0.0.1:1/db: "), "{error}");
    assert!(!error.contains("secret"), "{error}");
}
