//! What a stream needs on top of DataFusion's operators: watermarks and state.
//!
//! An operator is a logical node that the optimizer sees, and a physical node that [`planner`] makes of it. Physical
//! nodes are the same in every batch but for their input; what differs between batches is in [`context`], where they
//! find their watermarks and their state. [`incremental`] numbers them and says which watermark each works with.

pub(crate) mod aggregate;
pub(crate) mod context;
pub mod dedup;
pub(crate) mod event_time;
mod expiry;
mod group_state;
pub(crate) mod incremental;
pub(crate) mod joins;
mod late_rows;
pub(crate) mod limit;
pub(crate) mod planner;
mod session;
pub(crate) mod stream_join;
pub(crate) mod time_window;
mod unfinished;
pub mod watermark;
pub(crate) mod watermark_tracker;

use datafusion::arrow::array::{RecordBatch, RecordBatchOptions};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};

/// The same columns, of which the schema says something else beside their types: nullability, metadata.
fn with_schema(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    let columns = batch.columns().to_vec();
    RecordBatch::try_new_with_options(schema.clone(), columns, &options).map_err(DataFusionError::from)
}
