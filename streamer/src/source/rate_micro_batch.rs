//! `rate-micro-batch`: the same rows in each batch, whenever it runs. Spark's `RatePerMicroBatchStream`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use serde::{Deserialize, Serialize};

use super::formats::Declared;
use super::generated::{self, GeneratedRows, NON_NEGATIVE, POSITIVE, whole_number};
use super::{
    BatchRead, LatestOffset, Offset, ReadLimit, Source, SourceContext, SourceDefinition, SourceError,
};

#[derive(Clone, Debug)]
pub(super) struct RateMicroBatchDefinition {
    schema: SchemaRef,
    rows_per_batch: i64,
    partitions: i64,
    start_ms: i64,
    advance_ms: i64,
}

/// As it stands in the checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    /// The next value.
    offset: i64,
    /// In milliseconds since 1970: of all rows of the next batch.
    timestamp: i64,
}

impl RateMicroBatchDefinition {
    pub(super) fn new(declared: &Declared<'_>) -> Result<RateMicroBatchDefinition, SourceError> {
        declared.refuse_schema("RatePerMicroBatchProvider")?;
        Ok(RateMicroBatchDefinition {
            schema: generated::schema(declared.time_zone),
            rows_per_batch: whole_number(declared, "rowsPerBatch", 0, POSITIVE)?,
            partitions: generated::partitions(declared)?,
            start_ms: whole_number(declared, "startTimestamp", 0, NON_NEGATIVE)?,
            advance_ms: whole_number(declared, "advanceMillisPerBatch", 1_000, NON_NEGATIVE)?,
        })
    }

    fn place(&self, offset: Option<&Offset>) -> Result<Place, SourceError> {
        let Some(Offset(json)) = offset else {
            return Ok(Place { offset: 0, timestamp: self.start_ms });
        };
        serde_json::from_str(json)
            .map_err(|_| SourceError::Offset { json: json.clone(), description: self.description() })
    }

    fn description(&self) -> String {
        format!(
            "RatePerMicroBatchStream[rowsPerBatch={}, numPartitions={}, startTimestamp={}, advanceMsPerBatch={}]",
            self.rows_per_batch, self.partitions, self.start_ms, self.advance_ms
        )
    }
}

impl Place {
    fn to_offset(self) -> Offset {
        Offset(format!("{{\"offset\":{},\"timestamp\":{}}}", self.offset, self.timestamp))
    }
}

#[async_trait]
impl SourceDefinition for RateMicroBatchDefinition {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    async fn open(&self, _context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        Ok(Box::new(RateMicroBatchStream { definition: self.clone(), available_now: None }))
    }
}

struct RateMicroBatchStream {
    definition: RateMicroBatchDefinition,
    /// With `availableNow` there is one batch: `Some(None)` until it is asked for.
    available_now: Option<Option<Offset>>,
}

#[async_trait]
impl Source for RateMicroBatchStream {
    fn description(&self) -> String {
        self.definition.description()
    }

    fn offset(&self, json: &str) -> Result<Offset, SourceError> {
        Ok(self.definition.place(Some(&Offset(json.to_owned())))?.to_offset())
    }

    async fn initial_offset(&mut self) -> Result<Option<Offset>, SourceError> {
        Ok(Some(self.definition.place(None)?.to_offset()))
    }

    async fn prepare_for_available_now(&mut self) -> Result<(), SourceError> {
        self.available_now = Some(None);
        Ok(())
    }

    async fn latest_offset(
        &mut self,
        from: Option<&Offset>,
        _limit: ReadLimit,
    ) -> Result<LatestOffset, SourceError> {
        if let Some(Some(end)) = &self.available_now {
            return Ok(LatestOffset { end: Some(end.clone()), available: None });
        }
        let from = self.definition.place(from)?;
        let end = Place {
            offset: from.offset.saturating_add(self.definition.rows_per_batch),
            timestamp: from.timestamp.saturating_add(self.definition.advance_ms),
        };
        let end = end.to_offset();
        if let Some(fixed) = &mut self.available_now {
            *fixed = Some(end.clone());
        }
        Ok(LatestOffset { end: Some(end), available: None })
    }

    async fn batch(&mut self, from: Option<&Offset>, to: &Offset) -> Result<Arc<dyn BatchRead>, SourceError> {
        let (from, to) = (self.definition.place(from)?, self.definition.place(Some(to))?);
        Ok(Arc::new(GeneratedRows {
            schema: self.definition.schema.clone(),
            first: from.offset,
            end: to.offset,
            partitions: self.definition.partitions,
            first_ms: from.timestamp,
            ms_per_value: 0.0,
        }))
    }

    async fn wait_for_data(
        &mut self,
        _from: Option<&Offset>,
        _max_wait: Duration,
    ) -> Result<(), SourceError> {
        Ok(())
    }
}
