//! The sinks by name: the one list of them.

use std::io;
use std::path::PathBuf;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::prelude::SessionContext;

use super::database::{PostgresSink, SqliteSink};
use super::file::FileSink;
use super::kafka::KafkaSink;
use super::{ConsoleSink, JsonLinesSink, MemorySink, NoopSink, Sink, SinkError, WebhookSink};
use crate::options::Options;

/// What a sink may need to know of its query, beside its options.
pub struct SinkContext {
    /// Of the checkpoint: the same in every run of the query. Sinks that write exactly once note their batches under it, so
    /// a second sink of a query, such as the one for its late rows, needs a name of its own.
    pub query_id: String,
    pub query_name: Option<String>,
    pub checkpoint: PathBuf,
    pub time_zone: Tz,
    /// Where the query's own topics are: for a Kafka sink that names no servers.
    pub bootstrap_servers: String,
    /// `partitionBy`
    pub partition_columns: Vec<String>,
    /// The columns of the result, under the user's names.
    pub schema: SchemaRef,
    /// Where a sink that can be queried makes itself a table.
    pub session: SessionContext,
}

/// A kind of sink.
pub struct Format {
    /// In lower case.
    pub name: &'static str,
    open: fn(&Options, &SinkContext) -> Opened,
}

type Opened = Result<Box<dyn Sink>, SinkError>;

pub const FORMATS: &[Format] = &[
    Format { name: "console", open: |options, context| Ok(Box::new(console(options, context)?)) },
    Format { name: "csv", open: |options, context| Ok(Box::new(FileSink::new("csv", options, context)?)) },
    Format { name: "json", open: |options, context| Ok(Box::new(FileSink::new("json", options, context)?)) },
    Format { name: "json-lines", open: |_, context| Ok(Box::new(json_lines(context))) },
    Format { name: "kafka", open: |options, context| Ok(Box::new(KafkaSink::new(options, context)?)) },
    Format { name: "memory", open: |options, context| Ok(Box::new(MemorySink::new(options, context)?)) },
    Format { name: "noop", open: |_, _| Ok(Box::new(NoopSink)) },
    Format {
        name: "parquet",
        open: |options, context| Ok(Box::new(FileSink::new("parquet", options, context)?)),
    },
    Format { name: "postgres", open: |options, context| Ok(Box::new(PostgresSink::new(options, context)?)) },
    Format {
        name: "postgresql",
        open: |options, context| Ok(Box::new(PostgresSink::new(options, context)?)),
    },
    Format { name: "sqlite", open: |options, context| Ok(Box::new(SqliteSink::new(options, context)?)) },
    Format { name: "text", open: |options, context| Ok(Box::new(FileSink::new("text", options, context)?)) },
    Format { name: "webhook", open: |options, context| Ok(Box::new(WebhookSink::new(options, context)?)) },
];

/// Makes the sink of a format. Nothing is connected to or written before the first batch.
///
/// Options that the format does not have are ignored, as in Spark.
pub fn open(format: &str, options: &Options, context: &SinkContext) -> Opened {
    match FORMATS.iter().find(|known| known.name.eq_ignore_ascii_case(format)) {
        Some(known) => (known.open)(options, context),
        None => Err(SinkError::UnknownFormat { format: format.to_owned() }),
    }
}

/// The names for an error.
pub(super) fn names() -> String {
    FORMATS.iter().map(|format| format.name).collect::<Vec<_>>().join(", ")
}

fn console(options: &Options, context: &SinkContext) -> Result<ConsoleSink<io::Stdout>, SinkError> {
    Ok(ConsoleSink::new(io::stdout(), super::console::limits(options)?, context.time_zone))
}

fn json_lines(context: &SinkContext) -> JsonLinesSink<io::Stdout> {
    JsonLinesSink::new(io::stdout(), context.time_zone)
}
