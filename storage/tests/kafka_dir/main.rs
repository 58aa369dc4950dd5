//! Directories that Kafka 4.3.1 has used: samples that it wrote, whole, cut and damaged, and metadata logs made here for
//! what a Kafka of one node never writes.
#![allow(clippy::disallowed_methods)]

#[cfg(feature = "faults")]
mod crashes;
mod damage;
mod kafka_log;
mod refusals;
mod samples;
mod takeover;
