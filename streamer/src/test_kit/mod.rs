//! For tests of a query: rows in, rows out, in process, with no broker and no waiting.
//!
//! A [`TestKit`] declares streams that the test writes to ([`TestStream`]) and starts queries over them
//! ([`TestQuery`]). [`TestQuery::process_all_available`] returns when the query has done all that follows from what was
//! pushed, with the batches that a moved watermark causes, so that a test sleeps nowhere and sees the same each time. Rows
//! go in and come out as JSON objects, one a line; times are in UTC.
//!
//! The three tests that one writes first:
//!
//! ```
//! use ottla_stream::output_mode::OutputMode::{Append, Update};
//! use ottla_stream::test_kit::{TestKit, TestKitError};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), TestKitError> {
//! // 1. What comes of a row.
//! let mut kit = TestKit::new()?;
//! let words = kit.stream("words", "word STRING, length INT")?;
//! let mut query = kit.start("SELECT upper(word) AS loud FROM STREAM words WHERE length > 2", Append).await?;
//! words.push(&[r#"{"word":"of","length":2}"#, r#"{"word":"stream","length":6}"#])?;
//! assert_eq!(query.process_all_available().await?, [r#"{"loud":"STREAM"}"#]);
//!
//! // 2. What the query remembers from batch to batch.
//! let counts = "SELECT word, count(*) AS n FROM STREAM words GROUP BY word";
//! let mut query = kit.start(counts, Update).await?;
//! query.process_all_available().await?;
//! words.push(&[r#"{"word":"stream"}"#])?;
//! assert_eq!(query.process_all_available().await?, [r#"{"word":"stream","n":2}"#]);
//! assert_eq!(query.state_rows(), [2]);
//! assert!(query.state()?[1].contains(r#""key":{"word":"stream"}"#));
//!
//! // 3. That it goes on after it was stopped.
//! let stopped = query.stop().await?;
//! words.push(&[r#"{"word":"of"}"#])?;
//! let mut query = kit.start_again(counts, Update, stopped).await?;
//! assert_eq!(query.process_all_available().await?, [r#"{"word":"of","n":2}"#]);
//! # Ok(())
//! # }
//! ```
//!
//! To advance the watermark, push a row whose time is the later; the watermark that is then in force is
//! [`TestQuery::watermark_ms`].

mod query;
mod stream;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::arrow::error::ArrowError;
use tempfile::TempDir;
use thiserror::Error;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::conf::{Conf, ConfError};
use crate::output_mode::OutputMode;
use crate::session::{QueryError, Session};
use crate::source::{Connections, MemoryStream, MemoryStreamError, SourceDefinition};
use crate::state::StateError;
use crate::stop;
use crate::trigger::Trigger;
use crate::{StreamingQuery, StreamingQueryError};

use query::Seen;
pub use query::TestQuery;
pub use stream::TestStream;

/// Streams and settings for queries under test.
#[derive(Clone, Debug)]
pub struct TestKit {
    conf: Conf,
    /// Those that the test writes to, by name.
    streams: Vec<(String, MemoryStream)>,
    others: Vec<(String, Arc<dyn SourceDefinition>)>,
}

/// The checkpoint of a query that was stopped; it is deleted when this is dropped.
#[derive(Debug)]
pub struct StoppedQuery(TempDir);

impl StoppedQuery {
    /// The folder of the checkpoint.
    pub fn checkpoint(&self) -> &Path {
        self.0.path()
    }
}

#[derive(Debug, Error)]
pub enum TestKitError {
    #[error(transparent)]
    Conf(#[from] ConfError),
    #[error("the columns {schema:?} cannot be read: {reason}")]
    Schema { schema: String, reason: String },
    #[error("a row is not as the stream's columns: {0}")]
    Row(ArrowError),
    #[error(transparent)]
    Stream(#[from] MemoryStreamError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    State(#[from] StateError),
    #[error("cannot make a folder for the checkpoint: {0}")]
    Folder(std::io::Error),
    #[error(transparent)]
    Run(#[from] StreamingQueryError),
    #[error("the query has ended, as its sources have no more rows or a runtime was shut down")]
    Ended,
}

impl TestKit {
    pub fn new() -> Result<TestKit, TestKitError> {
        let mut conf = Conf::default();
        conf.set("spark.sql.session.timeZone", "UTC")?;
        Ok(TestKit { conf, streams: Vec::new(), others: Vec::new() })
    }

    /// A setting of the queries that are started from now on, such as
    /// `spark.sql.streaming.noDataMicroBatches.enabled`.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), TestKitError> {
        Ok(self.conf.set(key, value)?)
    }

    /// A stream for `FROM STREAM name`, whose columns are as in `CREATE TABLE`: `user STRING, at TIMESTAMP`.
    pub fn stream(&mut self, name: &str, columns: &str) -> Result<TestStream, TestKitError> {
        Ok(self.stream_of(name, stream::schema(columns)?))
    }

    pub fn stream_of(&mut self, name: &str, schema: SchemaRef) -> TestStream {
        let stream = MemoryStream::new(schema);
        self.streams.push((name.to_owned(), stream.clone()));
        TestStream::new(stream)
    }

    /// Any other stream, such as one that [`crate::source::define`] makes. [`TestQuery::process_all_available`] knows only
    /// those of [`TestKit::stream`]; a query over others is run by [`TestKit::run_available_now`].
    pub fn declare(&mut self, name: &str, definition: Arc<dyn SourceDefinition>) {
        self.others.push((name.to_owned(), definition));
    }

    /// Starts a query with a checkpoint of its own.
    pub async fn start(&self, sql: &str, output_mode: OutputMode) -> Result<TestQuery, TestKitError> {
        let folder = TempDir::new().map_err(TestKitError::Folder)?;
        self.start_again(sql, output_mode, StoppedQuery(folder)).await
    }

    /// Goes on where another query has stopped.
    pub async fn start_again(
        &self,
        sql: &str,
        output_mode: OutputMode,
        stopped: StoppedQuery,
    ) -> Result<TestQuery, TestKitError> {
        let trigger = Trigger::ProcessingTime(Duration::ZERO);
        let prepared = self.prepare(sql, output_mode, stopped.checkpoint(), trigger).await?;
        Ok(TestQuery::start(prepared, stopped))
    }

    /// Runs a query over what its sources have now, and returns the rows of each batch.
    pub async fn run_available_now(
        &self,
        sql: &str,
        output_mode: OutputMode,
        checkpoint: &Path,
    ) -> Result<Vec<Vec<String>>, TestKitError> {
        let prepared = self.prepare(sql, output_mode, checkpoint, Trigger::AvailableNow).await?;
        let (_stopper, stop) = stop::channel();
        prepared.query.run(stop).await?;
        Ok(prepared.seen.take_batches())
    }

    async fn prepare(
        &self,
        sql: &str,
        output_mode: OutputMode,
        checkpoint: &Path,
        trigger: Trigger,
    ) -> Result<Prepared, TestKitError> {
        let mut session = Session::new(self.conf.clone())?;
        for (name, definition) in &self.others {
            session.declare(name, definition.clone());
        }
        let mut streams = Vec::new();
        for (name, stream) in &self.streams {
            let of_query = Arc::new(stream.for_query());
            session.declare(name, of_query.clone());
            streams.push(of_query);
        }
        let seen = Seen::new(session.time_zone());
        let plan = session.plan(sql, &BTreeMap::new(), output_mode)?;
        // Streams that the query does not read say nothing.
        streams.retain(|stream| {
            let stream: Arc<dyn SourceDefinition> = stream.clone();
            plan.streams.iter().any(|read| Arc::ptr_eq(&read.definition, &stream))
        });
        let checkpoint = Checkpoint::open(checkpoint)?;
        let connections = Arc::new(Connections::new(|_| {}));
        let (sink, observer) = (Box::new(seen.clone()), Box::new(seen.clone()));
        let query = StreamingQuery::new(plan, connections, checkpoint, sink, trigger, observer);
        Ok(Prepared { query, seen, streams })
    }
}

/// A query that does not run yet.
struct Prepared {
    query: StreamingQuery,
    seen: Seen,
    /// Which of the kit's streams it reads.
    streams: Vec<Arc<MemoryStream>>,
}
