//! Records that Kafka itself keeps in its topics and files, in the schemas of Kafka 4.3.
//!
//! `kafka-protocol` has the messages of the network only; these are the ones that stand on disk.

mod codec;
pub mod consumer_offsets;
pub mod control;
pub mod metadata;
pub mod quorum;
pub mod transaction_state;

pub use codec::{SchemaError, SchemaFault};
