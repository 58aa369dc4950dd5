//! `socket`: lines of text from a TCP server, such as `nc -lk 9999`. Spark's `TextSocketMicroBatchStream`.
//!
//! For trying things out: a line that has been sent is nowhere but in this process, so that a query cannot go on from a
//! checkpoint. The server is held back while a query does not keep up.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use datafusion::arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use datafusion::arrow::error::ArrowError;
use datafusion::common::runtime::SpawnedTask;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::formats::Declared;
use super::long_offset::{self, NOTHING};
use super::rows_in_memory::RowsInMemory;
use super::{
    BatchRead, LatestOffset, Offset, ReadLimit, Source, SourceContext, SourceDefinition, SourceError,
};

/// A longer line ends the query.
const MAX_LINE_BYTES: u64 = 16 << 20;
/// With more than this waiting for the query, nothing is taken from the server.
const MAX_BUFFERED_BYTES: usize = 64 << 20;
/// What a line takes beside its text.
const LINE_OVERHEAD_BYTES: usize = 32;

#[derive(Debug, Error)]
pub enum SocketError {
    #[error("Set a host to read from with option(\"host\", ...).")]
    NoHost,
    #[error("Set a port to read from with option(\"port\", ...).")]
    NoPort,
    #[error("Option 'port' is a number from 1 to 65535, not '{0}'")]
    Port(String),
    #[error("IncludeTimestamp must be set to either \"true\" or \"false\".")]
    IncludeTimestamp,
    #[error("cannot read lines from {address}: {source}; start its server first, such as `nc -lk PORT`")]
    Io { address: String, source: io::Error },
    #[error("{address} has sent a line of more than {MAX_LINE_BYTES} bytes, or one that is not UTF-8")]
    Line { address: String },
    #[error(
        "the lines up to {wanted} of {address} are wanted, but those that were sent to an earlier run are gone: a socket \
         source cannot go on from a checkpoint; start with a new one"
    )]
    NotRecoverable { address: String, wanted: i64 },
    #[error(transparent)]
    Arrow(#[from] ArrowError),
}

#[derive(Clone, Debug)]
pub(super) struct SocketDefinition {
    host: String,
    port: u16,
    schema: SchemaRef,
}

impl SocketDefinition {
    pub(super) fn new(declared: &Declared<'_>) -> Result<SocketDefinition, SourceError> {
        declared.refuse_schema("TextSocketSourceProvider")?;
        let host = declared.options.get("host").ok_or(SocketError::NoHost)?.to_owned();
        let port = declared.options.get("port").ok_or(SocketError::NoPort)?;
        let port = port.trim().parse().map_err(|_| SocketError::Port(port.to_owned()))?;
        let include_timestamp =
            declared.options.boolean("includeTimestamp", false).map_err(|_| SocketError::IncludeTimestamp)?;
        let mut fields = vec![Field::new("value", DataType::Utf8, true)];
        if include_timestamp {
            let timestamp = DataType::Timestamp(TimeUnit::Microsecond, Some(declared.time_zone.into()));
            fields.push(Field::new("timestamp", timestamp, true));
        }
        Ok(SocketDefinition { host, port, schema: Arc::new(Schema::new(fields)) })
    }

    fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }
}

#[async_trait]
impl SourceDefinition for SocketDefinition {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    async fn open(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        let address = self.address();
        let connection = TcpStream::connect((self.host.as_str(), self.port)).await;
        let connection = connection.map_err(|source| SocketError::Io { address: address.clone(), source })?;
        let lines = Arc::new(Lines::default());
        let reading = SpawnedTask::spawn(read_lines(BufReader::new(connection), address, lines.clone()));
        Ok(Box::new(SocketStream { definition: self.clone(), lines, available_now: None, _reading: reading }))
    }
}

/// What has come and may be asked for.
#[derive(Default)]
struct Lines {
    state: Mutex<Buffered>,
    /// Of a line that has come, or of the end.
    came: Notify,
    /// Of lines that are no longer kept.
    freed: Notify,
}

#[derive(Default)]
struct Buffered {
    /// Text, and microseconds since 1970 when it came.
    lines: VecDeque<(String, i64)>,
    /// The number of the first line that is kept.
    first: i64,
    bytes: usize,
    failure: Option<SocketError>,
}

impl Buffered {
    fn last(&self) -> i64 {
        self.first + self.lines.len() as i64 - 1
    }
}

/// Until the server hangs up, which ends the lines but not the query, as in Spark.
async fn read_lines(
    mut connection: impl AsyncRead + AsyncBufReadExt + Unpin,
    address: String,
    lines: Arc<Lines>,
) {
    loop {
        let mut bytes = Vec::new();
        let read = (&mut connection).take(MAX_LINE_BYTES).read_until(b'\n', &mut bytes).await;
        let failure = match read {
            Ok(0) => {
                tracing::warn!("{address} has closed the connection; no more lines will come");
                return;
            }
            Ok(_) => match line(bytes) {
                Some(line) => {
                    lines.push(line).await;
                    continue;
                }
                None => SocketError::Line { address },
            },
            Err(source) => SocketError::Io { address, source },
        };
        lines.state.lock().failure = Some(failure);
        lines.came.notify_one();
        return;
    }
}

/// Without its end; `None` if it is too long, or no text.
fn line(mut bytes: Vec<u8>) -> Option<String> {
    if bytes.pop_if(|byte| *byte == b'\n').is_none() && bytes.len() as u64 >= MAX_LINE_BYTES {
        return None;
    }
    bytes.pop_if(|byte| *byte == b'\r');
    String::from_utf8(bytes).ok()
}

impl Lines {
    async fn push(&self, line: String) {
        while self.state.lock().bytes > MAX_BUFFERED_BYTES {
            self.freed.notified().await;
        }
        let mut state = self.state.lock();
        state.bytes += line.len() + LINE_OVERHEAD_BYTES;
        state.lines.push_back((line, chrono::Utc::now().timestamp_micros()));
        drop(state);
        self.came.notify_one();
    }

    fn last(&self) -> Result<i64, SocketError> {
        let mut state = self.state.lock();
        match state.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(state.last()),
        }
    }

    /// Of the lines behind `from` up to `to`; `None` if one of them is not here.
    fn between<T>(
        &self,
        from: i64,
        to: i64,
        take: impl FnOnce(&mut dyn Iterator<Item = &(String, i64)>) -> T,
    ) -> Option<T> {
        let state = self.state.lock();
        if to > state.last() {
            return None;
        }
        let skip = usize::try_from(from.checked_add(1)?.checked_sub(state.first)?).ok()?;
        let count = usize::try_from(to.checked_sub(from)?).ok()?;
        Some(take(&mut state.lines.iter().skip(skip).take(count)))
    }

    /// Lets go of the lines up to `end`.
    fn free(&self, end: i64) {
        let mut state = self.state.lock();
        while state.first <= end
            && let Some((line, _)) = state.lines.pop_front()
        {
            state.bytes -= line.len() + LINE_OVERHEAD_BYTES;
            state.first += 1;
        }
        drop(state);
        self.freed.notify_one();
    }
}

struct SocketStream {
    definition: SocketDefinition,
    lines: Arc<Lines>,
    available_now: Option<i64>,
    _reading: SpawnedTask<()>,
}

impl SocketStream {
    fn not_recoverable(&self, wanted: i64) -> SourceError {
        SocketError::NotRecoverable { address: self.definition.address(), wanted }.into()
    }

    fn number(&self, offset: Option<&Offset>) -> Result<i64, SourceError> {
        long_offset::parse_or_nothing(offset, &self.description())
    }
}

#[async_trait]
impl Source for SocketStream {
    fn description(&self) -> String {
        format!("TextSocketV2[host: {}, port: {}]", self.definition.host, self.definition.port)
    }

    fn offset(&self, json: &str) -> Result<Offset, SourceError> {
        Ok(long_offset::offset(long_offset::parse(json, &self.description())?))
    }

    async fn initial_offset(&mut self) -> Result<Option<Offset>, SourceError> {
        Ok(Some(long_offset::offset(NOTHING)))
    }

    async fn prepare_for_available_now(&mut self) -> Result<(), SourceError> {
        self.available_now = Some(self.lines.last()?);
        Ok(())
    }

    async fn latest_offset(
        &mut self,
        from: Option<&Offset>,
        _limit: ReadLimit,
    ) -> Result<LatestOffset, SourceError> {
        let last = match self.available_now {
            Some(last) => last,
            None => self.lines.last()?,
        };
        let from = self.number(from)?;
        if from > last {
            return Err(self.not_recoverable(from));
        }
        let end = Some(long_offset::offset(last));
        Ok(LatestOffset { end: end.clone(), available: end })
    }

    async fn batch(&mut self, from: Option<&Offset>, to: &Offset) -> Result<Arc<dyn BatchRead>, SourceError> {
        let (from, to) = (self.number(from)?, self.number(Some(to))?);
        let schema = self.definition.schema.clone();
        let rows = self.lines.between(from, to, |lines| to_rows(&schema, lines));
        let rows = rows.ok_or_else(|| self.not_recoverable(to))?.map_err(SocketError::from)?;
        Ok(Arc::new(RowsInMemory { schema, rows: vec![rows] }))
    }

    async fn commit(&mut self, end: &Offset) -> Result<(), SourceError> {
        self.lines.free(self.number(Some(end))?);
        Ok(())
    }

    async fn wait_for_data(&mut self, from: Option<&Offset>, max_wait: Duration) -> Result<(), SourceError> {
        if self.lines.last()? <= self.number(from)? {
            let _ = tokio::time::timeout(max_wait, self.lines.came.notified()).await;
        }
        Ok(())
    }
}

fn to_rows(
    schema: &SchemaRef,
    lines: &mut dyn Iterator<Item = &(String, i64)>,
) -> Result<RecordBatch, ArrowError> {
    let (texts, times): (Vec<_>, Vec<_>) = lines.map(|(text, time)| (text.as_str(), *time)).unzip();
    let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from(texts))];
    if let Some(field) = schema.fields().get(1) {
        let times = TimestampMicrosecondArray::from(times).with_data_type(field.data_type().clone());
        columns.push(Arc::new(times));
    }
    RecordBatch::try_new(schema.clone(), columns)
}
