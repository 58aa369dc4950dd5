//! Record batches, magic 2: the unit that producers send, the log stores and consumers get, byte for byte.
//!
//! ```text
//!  0 baseOffset i64          17 crc u32                  35 maxTimestamp i64     57 recordsCount i32
//!  8 batchLength i32         21 attributes i16           43 producerId i64       61 records
//! 12 partitionLeaderEpoch    23 lastOffsetDelta i32      51 producerEpoch i16
//! 16 magic i8                27 baseTimestamp i64        53 baseSequence i32
//! ```
//! The CRC-32C covers everything from the attributes on, so the broker writes base offset and leader epoch without
//! recomputing it. Described in Kafka's documentation, section "Record Batch".

mod builder;
mod error;
mod header;
mod mutate;
mod records;
mod retain;
mod validate;
mod view;

pub use builder::{BatchBuilder, BuildError};
pub use error::{BatchError, RecordFault};
pub use header::{BatchHeader, HEADER_BYTES, TimestampType};
pub use mutate::{set_base_offset, set_header_timestamp, set_leader_epoch};
pub use records::{Header, Headers, Record, RecordIter, Records};
pub use retain::{BatchRewriter, HorizonFor, Retained, put_empty_batch};
pub use validate::RecordsSummary;
pub use view::{RecordBatch, batches};
