//! A stream that a test writes to. Spark's `MemoryStream`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::array::RecordBatch;
use datafusion::arrow::datatypes::SchemaRef;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::sync::watch;

use super::long_offset::{self, NOTHING};
use super::rows_in_memory::RowsInMemory;
use super::{
    BatchRead, LatestOffset, Offset, ReadLimit, Source, SourceContext, SourceDefinition, SourceError,
};

/// Rows in memory, one offset for each time that some were added. All handles are of the same stream; what was added
/// stays, so that a query may be started again over it.
#[derive(Clone, Debug)]
pub struct MemoryStream {
    schema: SchemaRef,
    added: Arc<Mutex<Vec<RecordBatch>>>,
    /// How many batches there are.
    count: watch::Sender<i64>,
    /// The offset behind which a query waits for more.
    waits_behind: watch::Sender<Option<i64>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MemoryStreamError {
    #[error("rows with the columns {added} do not fit a stream with {expected}")]
    Schema { added: String, expected: String },
    #[error(
        "the rows up to offset {wanted} are wanted, but {count} times some were added; has the stream been made anew?"
    )]
    Missing { wanted: i64, count: i64 },
}

impl MemoryStream {
    pub fn new(schema: SchemaRef) -> MemoryStream {
        MemoryStream {
            schema,
            added: Arc::default(),
            count: watch::Sender::new(0),
            waits_behind: watch::Sender::new(None),
        }
    }

    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows of the stream's columns, by place and type.
    pub fn add(&self, rows: &RecordBatch) -> Result<(), MemoryStreamError> {
        let rows = RecordBatch::try_new(self.schema.clone(), rows.columns().to_vec()).map_err(|_| {
            MemoryStreamError::Schema { added: rows.schema().to_string(), expected: self.schema.to_string() }
        })?;
        self.added.lock().push(rows);
        self.count.send_modify(|count| *count += 1);
        Ok(())
    }

    /// The same stream, whose [`MemoryStream::processed`] is about the query that opens this one.
    pub fn for_query(&self) -> MemoryStream {
        MemoryStream { waits_behind: watch::Sender::new(None), ..self.clone() }
    }

    /// Returns when the query that has opened this stream has done all that follows from the rows that were added, and waits for more.
    pub async fn processed(&self) {
        let mut waits_behind = self.waits_behind.subscribe();
        let last = *self.count.borrow() - 1;
        // The sender lives as long as this handle.
        let _ = waits_behind.wait_for(|behind| behind.is_some_and(|behind| behind >= last)).await;
    }
}

#[async_trait]
impl SourceDefinition for MemoryStream {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    async fn open(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        self.waits_behind.send_replace(None);
        Ok(Box::new(MemorySource { stream: self.clone(), available_now: None }))
    }
}

struct MemorySource {
    stream: MemoryStream,
    available_now: Option<i64>,
}

impl MemorySource {
    fn number(&self, offset: Option<&Offset>) -> Result<i64, SourceError> {
        long_offset::parse_or_nothing(offset, &self.description())
    }

    fn last(&self) -> i64 {
        *self.stream.count.borrow() - 1
    }

    fn missing(&self, wanted: i64) -> SourceError {
        MemoryStreamError::Missing { wanted, count: self.last() + 1 }.into()
    }
}

#[async_trait]
impl Source for MemorySource {
    fn description(&self) -> String {
        let names: Vec<_> = self.stream.schema.fields().iter().map(|field| field.name().as_str()).collect();
        format!("MemoryStream[{}]", names.join(","))
    }

    fn offset(&self, json: &str) -> Result<Offset, SourceError> {
        Ok(long_offset::offset(long_offset::parse(json, &self.description())?))
    }

    async fn initial_offset(&mut self) -> Result<Option<Offset>, SourceError> {
        Ok(Some(long_offset::offset(NOTHING)))
    }

    async fn prepare_for_available_now(&mut self) -> Result<(), SourceError> {
        self.available_now = Some(self.last());
        Ok(())
    }

    /// Nothing before rows were added: a query then has no batch, as over Spark's.
    async fn latest_offset(
        &mut self,
        from: Option<&Offset>,
        _limit: ReadLimit,
    ) -> Result<LatestOffset, SourceError> {
        let last = self.available_now.unwrap_or_else(|| self.last());
        let from = self.number(from)?;
        if from > last {
            return Err(self.missing(from));
        }
        let end = Some(long_offset::offset(last)).filter(|_| last != NOTHING);
        Ok(LatestOffset { end: end.clone(), available: end })
    }

    async fn batch(&mut self, from: Option<&Offset>, to: &Offset) -> Result<Arc<dyn BatchRead>, SourceError> {
        let (from, to) = (self.number(from)?, self.number(Some(to))?);
        let range = usize::try_from(from + 1).ok().zip(usize::try_from(to + 1).ok());
        let rows = range.and_then(|(begin, end)| Some(self.stream.added.lock().get(begin..end)?.to_vec()));
        let rows = rows.ok_or_else(|| self.missing(to))?;
        Ok(Arc::new(RowsInMemory { schema: self.stream.schema.clone(), rows }))
    }

    async fn wait_for_data(&mut self, from: Option<&Offset>, _max_wait: Duration) -> Result<(), SourceError> {
        let from = self.number(from)?;
        let mut count = self.stream.count.subscribe();
        self.stream.waits_behind.send_replace(Some(from));
        let _ = count.wait_for(|count| *count - 1 > from).await;
        self.stream.waits_behind.send_replace(None);
        Ok(())
    }
}
