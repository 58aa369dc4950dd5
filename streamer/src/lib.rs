//! Spark's Structured Streaming over Kafka, in micro-batches on DataFusion.
//!
//! A job is one SELECT over topics ([`session`], [`sql`]). Each micro-batch is a bounded plan over a fixed range of
//! offsets ([`micro_batch`]), read over the wire as any client reads ([`kafka`]); what aggregations remember is in
//! [`state`], what the query has done in a checkpoint that real Spark can continue ([`checkpoint`]).
//!
//! Spark 4.1.1 is the specification: its names, its messages, its bytes.

mod batch_run;
mod catalog;
pub mod checkpoint;
pub mod conf;
mod crash_point;
pub mod data_frame;
mod datetime;
pub mod duration_text;
pub mod event;
pub mod explain;
pub mod format;
mod functions;
pub mod job;
pub mod kafka;
pub mod live_view;
mod malformed_records;
pub mod micro_batch;
pub mod operators;
mod optimized_plan;
pub mod options;
pub mod output_mode;
mod plan_node;
pub mod progress;
mod rows;
pub mod schema;
pub mod session;
pub mod set_aside;
pub mod sink;
pub mod source;
mod spark_settings;
pub mod sql;
pub mod state;
pub mod stop;
pub mod test_kit;
#[cfg(test)]
mod tests;
pub mod trigger;

pub use micro_batch::{Observer, Step, StreamingQuery, StreamingQueryError};
pub use session::{QueryError, Session, StreamingPlan};
