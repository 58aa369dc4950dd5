//! Both databases: SQLite in a file, PostgreSQL as a cluster of its own where its programs are there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float64Array, ListArray, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt64Array,
};
use datafusion::arrow::datatypes::{Int32Type, SchemaRef};

use super::*;
use crate::options::Options;
use crate::output_mode::OutputMode;
use crate::sink::test_batches::{self, Row, batch, broken_batch, context, of, stream_of};
use crate::sink::{Sink, SinkBatch};

/// A database with one schema that is empty.
#[async_trait]
trait Database {
    fn sink(&self, schema: SchemaRef, options: &[(&str, &str)]) -> Box<dyn Sink>;
    /// The answer's first column of texts.
    async fn query(&self, sql: &str) -> Vec<String>;
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

#[async_trait]
impl Database for Sqlite {
    fn sink(&self, schema: SchemaRef, options: &[(&str, &str)]) -> Box<dyn Sink> {
        let mut options = Options::from_iter(options.iter().copied());
        options.set("path", &self.path());
        Box::new(SqliteSink::new(&options, &context(Path::new("cp"), schema)).unwrap())
    }

    async fn query(&self, sql: &str) -> Vec<String> {
        let connection = rusqlite::Connection::open(self.path()).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }
}

/// A cluster in a temporary folder, ended with its owner.
struct Postgres {
    server: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Postgres {
    /// `None` where PostgreSQL is not there, which is said, unless `OTTLA_REQUIRE_CLIENTS` names it.
    fn start() -> Option<Postgres> {
        let Some(programs) = programs() else {
            let required = std::env::var("OTTLA_REQUIRE_CLIENTS").unwrap_or_default();
            assert!(!required.split(',').any(|name| name.trim() == "postgres"), "PostgreSQL is not there");
            eprintln!("skipped: PostgreSQL's initdb cannot be found");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        own(folder.path());
        let mut initdb = unprivileged(&programs.join("initdb"));
        initdb
            .args(["-A", "trust", "-U", "ottla", "-E", "UTF8", "--no-sync", "--no-locale", "-D"])
            .arg(&data);
        let made = initdb.stdout(Stdio::null()).output().unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = unprivileged(&programs.join("postgres"));
        server.arg("-D").arg(&data).args(["-p", &port.to_string(), "-h", "127.0.0.1", "-k", "", "-F"]);
        let server =
            server.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut started = Postgres { server, port, _folder: folder };
        started.wait_until_ready();
        Some(started)
    }

    /// The server says so on its standard error.
    fn wait_until_ready(&mut self) {
        use std::io::BufRead;
        let mut log = std::io::BufReader::new(self.server.stderr.take().unwrap());
        let mut text = String::new();
        while !text.ends_with("database system is ready to accept connections\n") {
            assert!(log.read_line(&mut text).unwrap() > 0, "PostgreSQL did not start: {text}");
        }
        // What it says from now on must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
    }

    fn url(&self) -> String {
        format!("jdbc:postgresql://127.0.0.1:{}/postgres", self.port)
    }

    fn try_sink(&self, options: &[(&str, &str)]) -> PostgresSink {
        let mut options = Options::from_iter(options.iter().copied());
        options.set("url", &self.url());
        options.set("user", "ottla");
        PostgresSink::new(&options, &context(Path::new("cp"), test_batches::schema())).unwrap()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[async_trait]
impl Database for Postgres {
    fn sink(&self, schema: SchemaRef, options: &[(&str, &str)]) -> Box<dyn Sink> {
        let mut options = Options::from_iter(options.iter().copied());
        options.set("url", &self.url());
        options.set("user", "ottla");
        Box::new(PostgresSink::new(&options, &context(Path::new("cp"), schema)).unwrap())
    }

    async fn query(&self, sql: &str) -> Vec<String> {
        let config = format!("host=127.0.0.1 port={} user=ottla dbname=postgres", self.port);
        let (client, connection) = tokio_postgres::connect(&config, tokio_postgres::NoTls).await.unwrap();
        let _connection = datafusion::common::runtime::SpawnedTask::spawn(connection);
        let rows = client.query(sql, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// The folder of `initdb` and `postgres`: Debian keeps them out of the path.
fn programs() -> Option<PathBuf> {
    let name = format!("initdb{}", std::env::consts::EXE_SUFFIX);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    if let Ok(versions) = std::fs::read_dir("/usr/lib/postgresql") {
        folders.extend(versions.filter_map(|version| Some(version.ok()?.path().join("bin"))));
    }
    let found = folders.into_iter().find(|folder| folder.join(&name).exists())?;
    // A link in the path would have the server look for its files beside the link.
    let initdb = std::fs::canonicalize(found.join(name)).ok()?;
    initdb.parent().map(Path::to_owned)
}

/// PostgreSQL refuses to run as root, so as `nobody` then.
fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(std::env::temp_dir()).env_remove("LC_ALL");
    #[cfg(unix)]
    if let Some((user, group)) = nobody() {
        use std::os::unix::process::CommandExt;
        command.uid(user).gid(group);
    }
    command
}

#[cfg(unix)]
fn own(folder: &Path) {
    if let Some((user, group)) = nobody() {
        std::os::unix::fs::chown(folder, Some(user), Some(group)).unwrap();
    }
}

#[cfg(windows)]
fn own(_folder: &Path) {}

/// User and group of `nobody`, where this process is root's.
#[cfg(unix)]
fn nobody() -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let is_root = std::fs::metadata(folder.path()).unwrap().uid() == 0;
    is_root.then_some((65_534, 65_534))
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
    assert_eq!(database.query(rows).await, ["a=3", "b=5", "c=4", "d=6"]);
    let batches = "SELECT query_id || ' ' || CAST(batch_id AS text) FROM ottla_batches";
    assert_eq!(database.query(batches).await, ["6d1d7bb5-1b2b-4b7c-8f43-f2b9e7a6a1c4 2"]);
}

async fn check_failures(database: &dyn Database) {
    let mut sink = database.sink(test_batches::schema(), &[("dbtable", "failing")]);
    let error = sink.write_batch(broken_batch(0, ROWS)).await.unwrap_err();
    assert_eq!(error.to_string(), "Execution error: no more rows");
    let rows = "SELECT word FROM failing ORDER BY n";
    assert_eq!(database.query(rows).await, Vec::<String>::new());
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
    assert_eq!(database.query(rows).await, ["a", "b", "a"]);
}

async fn check_complete(database: &dyn Database) {
    let mut sink = database.sink(test_batches::schema(), &[("dbtable", "whole")]);
    for (id, rows) in [(0, ROWS), (1, &ROWS[..1])] {
        let complete = SinkBatch { output_mode: OutputMode::Complete, ..batch(id, &[rows]) };
        sink.write_batch(complete).await.unwrap();
    }
    assert_eq!(database.query("SELECT word FROM whole").await, ["a"]);
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
    let nulls = database.query("SELECT CAST(count(*) - count(text) AS text) FROM \"all types\"").await;
    assert_eq!(nulls, ["1"]);
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
        assert_eq!(database.query(&sql).await, [expected], "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_has_each_batch_once_in_its_own_types() {
    let Some(database) = Postgres::start() else { return };
    check_keys(&database).await;
    database.query("DROP TABLE ottla_batches").await;
    check_failures(&database).await;
    database.query("DROP TABLE ottla_batches").await;
    check_complete(&database).await;
    database.query("DROP TABLE ottla_batches").await;
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
        assert_eq!(database.query(&sql).await, [expected], "{column}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_says_what_is_wrong() {
    let Some(database) = Postgres::start() else { return };
    database.query("CREATE TABLE other (word text)").await;
    let mut sink = database.try_sink(&[("dbtable", "other")]);
    let error = sink.write_batch(batch(0, &[ROWS])).await.unwrap_err().to_string();
    assert!(error.contains("refused to take the rows: column \"n\" of relation \"other\""), "{error}");
    let options = Options::from_iter([("url", "postgresql://x:secret@127.0.0.1:1/db"), ("dbtable", "t")]);
    let mut sink = PostgresSink::new(&options, &context(Path::new("cp"), test_batches::schema())).unwrap();
    let error = sink.write_batch(batch(0, &[ROWS])).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot connect to PostgreSQL at 127.0.0.1:1/db: "), "{error}");
    assert!(!error.contains("secret"), "{error}");
}
