//! Transactions in a partition's log: markers, the last stable offset, aborted transactions, verification (KIP-98,
//! KIP-890).
#![allow(clippy::disallowed_methods)]

mod compaction;
#[cfg(feature = "faults")]
mod crash;
mod fixture;
mod idempotence;
mod markers;
mod model;
mod oracle;
mod reading;
mod restart;
mod verification;
