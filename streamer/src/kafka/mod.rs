//! The Kafka source: options and offsets in, Arrow columns out. It reaches the broker as any client does.

pub mod decode;
mod group_offsets;
pub mod offsets;
pub mod options;
pub mod rate_limit;
pub mod read;
pub mod schema;
pub mod source;
pub mod split;
pub mod stream;
pub(crate) mod table;
