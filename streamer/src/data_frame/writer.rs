//! Spark's `DataStreamWriter`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use thiserror::Error;
use uuid::Uuid;

use super::{DataFrame, StreamingQueryHandle};
use crate::StreamingQuery;
use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::options::Options;
use crate::output_mode::OutputMode;
use crate::session::QueryError;
use crate::sink::{self, ForeachBatch, ForeachBatchFailure, ForeachBatchSink, Sink, SinkContext, SinkError};
use crate::source::Connections;
use crate::trigger::Trigger;

/// A query that is being described.
#[must_use]
pub struct DataStreamWriter {
    frame: DataFrame,
    format: String,
    options: Options,
    output_mode: OutputMode,
    trigger: Trigger,
    name: Option<String>,
    partition_by: Vec<String>,
    sink: Option<Box<dyn Sink>>,
}

/// Why a query did not start.
#[derive(Debug, Error)]
pub enum StartError {
    #[error(transparent)]
    Query(Arc<QueryError>),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error(transparent)]
    Sink(#[from] SinkError),
    /// Spark's words.
    #[error(
        "checkpointLocation must be specified either through option(\"checkpointLocation\", ...) or \
         SparkSession.conf.set(\"spark.sql.streaming.checkpointLocation\", ...)."
    )]
    NoCheckpoint,
    #[error("cannot make a temporary checkpoint: {0}")]
    TemporaryCheckpoint(#[source] std::io::Error),
    #[error("a query is started inside a Tokio runtime, such as in a function under #[tokio::main]")]
    NoRuntime,
}

impl DataStreamWriter {
    pub(super) fn new(frame: DataFrame) -> DataStreamWriter {
        DataStreamWriter {
            frame,
            // Spark's `spark.sql.sources.default`.
            format: "parquet".to_owned(),
            options: Options::default(),
            output_mode: OutputMode::Append,
            trigger: Trigger::ProcessingTime(Duration::ZERO),
            name: None,
            partition_by: Vec::new(),
            sink: None,
        }
    }

    pub fn format(self, format: &str) -> Self {
        DataStreamWriter { format: format.to_owned(), ..self }
    }

    /// Of the sink; `checkpointLocation` is the folder that says how far the query is.
    pub fn option(mut self, key: &str, value: impl Into<String>) -> Self {
        self.options.set(key, &value.into());
        self
    }

    pub fn output_mode(self, output_mode: OutputMode) -> Self {
        DataStreamWriter { output_mode, ..self }
    }

    pub fn trigger(self, trigger: Trigger) -> Self {
        DataStreamWriter { trigger, ..self }
    }

    pub fn query_name(self, name: &str) -> Self {
        DataStreamWriter { name: Some(name.to_owned()), ..self }
    }

    pub fn partition_by(self, columns: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let partition_by = columns.into_iter().map(|column| column.as_ref().to_owned()).collect();
        DataStreamWriter { partition_by, ..self }
    }

    /// Each batch is handed to a function, in place of a format.
    pub fn foreach_batch<F, R>(self, function: F) -> Self
    where
        F: FnMut(ForeachBatch) -> R + Send + 'static,
        R: Future<Output = Result<(), ForeachBatchFailure>> + Send + 'static,
    {
        let sink: Box<dyn Sink> = Box::new(ForeachBatchSink::new(function));
        DataStreamWriter { sink: Some(sink), format: "foreachBatch".to_owned(), ..self }
    }

    /// Begins the query, which goes on by itself.
    pub fn start(self) -> Result<StreamingQueryHandle, StartError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let (folder, temporary) = self.checkpoint_folder()?;
        let frame = self.frame.frame.map_err(StartError::Query)?;
        let plan = frame.query(self.output_mode).map_err(|error| StartError::Query(Arc::new(error)))?;
        let checkpoint = Checkpoint::open(&folder)?;
        let sink = match self.sink {
            Some(sink) => sink,
            None => sink::open(
                &self.format,
                &self.options,
                &SinkContext {
                    query_id: checkpoint.query_id().to_owned(),
                    query_name: self.name.clone(),
                    checkpoint: folder,
                    time_zone: plan.time_zone(),
                    bootstrap_servers: String::new(),
                    partition_columns: self.partition_by,
                    schema: plan.schema(),
                    session: self.frame.session.tables.get_or_init(|| plan.context.clone()).clone(),
                },
            )?,
        };
        sink.supports(self.output_mode)?;
        let (id, run_id) = (checkpoint.query_id().to_owned(), Uuid::new_v4());
        let (recorder, record) = super::handle::recorder(id, run_id, self.name.clone());
        let connections = Arc::new(Connections::new(|error| tracing::warn!("waiting for a broker: {error}")));
        let query =
            StreamingQuery::new(plan, connections, checkpoint, sink, self.trigger, Box::new(recorder));
        let query = query.with_run_id(run_id);
        let query = match &self.name {
            Some(name) => query.with_name(name),
            None => query,
        };
        Ok(StreamingQueryHandle::spawn(&runtime, query, record, temporary))
    }

    /// Sinks whose rows nobody finds again may do with a checkpoint that goes with the query.
    fn checkpoint_folder(&self) -> Result<(PathBuf, Option<TempDir>), StartError> {
        if let Some(folder) = self.options.get("checkpointLocation") {
            return Ok((PathBuf::from(folder), None));
        }
        let passing = ["console", "json-lines", "memory", "noop", "foreachbatch"];
        if !passing.contains(&self.format.to_lowercase().as_str()) {
            return Err(StartError::NoCheckpoint);
        }
        let folder = tempfile::Builder::new().prefix("ottla-checkpoint-").tempdir();
        let folder = folder.map_err(StartError::TemporaryCheckpoint)?;
        Ok((folder.path().to_owned(), Some(folder)))
    }
}
