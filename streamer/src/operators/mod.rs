//! What a stream needs on top of DataFusion's operators: watermarks and state.
//!
//! An operator is a logical node that the optimizer sees, and a physical node that [`planner`] makes of it. Physical
//! nodes are the same in every batch but for their input; what differs between batches is in [`context`], where they
//! find their watermarks and their state. [`incremental`] numbers them and says which watermark each works with.

pub(crate) mod aggregate;
pub(crate) mod context;
pub(crate) mod event_time;
mod group_state;
pub(crate) mod incremental;
mod late_rows;
pub(crate) mod planner;
mod session;
pub(crate) mod time_window;
pub mod watermark;
pub(crate) mod watermark_tracker;

use std::sync::Arc;

use datafusion::error::{DataFusionError, Result};
use datafusion::physical_plan::ExecutionPlan;

fn only_child(mut children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
    children
        .pop()
        .filter(|_| children.is_empty())
        .ok_or_else(|| DataFusionError::Internal("this operator has one child".to_owned()))
}
