//! What bounds the memory that clients can make the broker hold, whatever they send or leave unread.
//!
//! | what | bound |
//! |---|---|
//! | connections | `max.connections`, `max.connections.per.ip`, `connections.max.idle.ms` |
//! | requests that are still arriving | 16 KiB a connection, `queued.max.request.bytes` for all larger ones, 256 read buffers of 128 KiB |
//! | responses that clients do not read | 4 KiB a connection, and [`MAX_UNSENT_BYTES`] for all larger ones |
//! | fetches that wait | [`crate::fetch_wait::MAX_PARKED_PARTITIONS`] |
//! | fetch sessions | `max.incremental.fetch.session.cache.slots`, and [`crate::fetch_sessions::MAX_PARTITIONS_BYTES`] |
//! | members of groups | [`crate::groups::MAX_MEMBERS_BYTES`] |
//!
//! With ten thousand connections and everything used up at once that is about 600 MB. What clients store is not in it:
//! topics, committed offsets, the sequences of producers.
//!
//! A request that has arrived is decoded and served in one go, so that no more of them take memory at a time than
//! there are threads.

mod connections;
mod request_memory;
mod unsent_responses;

pub(crate) use connections::ConnectionLimits;
pub(crate) use request_memory::{LARGE_BUFFER_BYTES, LargeBuffer, RequestMemory, Reservation};
pub(crate) use unsent_responses::{MAX_UNSENT_BYTES, Unsent, UnsentResponses};
