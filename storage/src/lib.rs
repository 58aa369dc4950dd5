//! A partition's log in Kafka's file format: mapped segments, indexes, recovery; and the directory that holds a
//! broker's logs. Knows record batches, never requests; no tokio.
// Tests set the scene with files of their own.
#![cfg_attr(test, allow(clippy::disallowed_methods))]

mod active_segment;
mod atomic_file;
mod compaction;
mod config;
mod data_dir;
#[cfg(feature = "faults")]
pub use disk::faults;
mod disk;
mod index;
pub mod kafka_uuid;
mod leader_epochs;
mod log;
mod map;
mod partition_files;
mod partition_metadata;
mod producer_snapshot;
mod producer_state;
pub mod properties_file;
mod publish;
mod recovery;
mod segment;
mod segment_indexes;
mod text_lines;
mod transaction_index;

pub use compaction::CompactionPolicy;
pub use config::{Durability, LogConfig};
pub use data_dir::{
    AdoptionError, BootstrapError, CloseError, DataDir, DataDirError, KRaftLogError, Metadata, MetadataError,
    RecordError, Topic,
};
pub use leader_epochs::EpochEnd;
pub use log::{
    ActiveProducer, AppendContext, AppendError, AppendOrigin, AppendOutcome, CloseOutcome, CompactionError,
    CompactionOutcome, CompactionRequest, DeleteError, Dirtiness, FlushDue, FlushError, Isolation, Log,
    LogStart, LogStopped, MarkerError, OpenError, ReadError, ReadOutcome, RecordRefused, ReplaceError,
    RetentionError, StartOffsetError, TopicPartition, TransactionMarker, TransactionOutcome,
};
pub use partition_files::{CleanedFiles, Deletion, FileKind};
pub use producer_state::{SequenceError, VerificationGuard, VerificationRequest};
pub use recovery::{RecoveryOutcome, TailFault, Truncation};
pub use segment::{OffsetAndTimestamp, SegmentError};
pub use transaction_index::AbortedTransaction;
