//! Speaks Kafka's protocol to a broker over a real socket: one theme a file.

mod admin;
mod api_versions;
mod bad_frames;
mod checklist;
mod compaction;
mod configs;
mod delete_records;
mod describe_producers;
mod fetch;
mod fetch_sessions;
mod fixture;
mod groups;
mod limits;
mod list_offsets;
mod metadata;
mod offsets;
mod order;
mod produce;
mod read_committed;
mod restart;
mod transactional_offsets;
mod transactional_producer;
mod transactions;
mod transactions_over_time;
mod versions;
mod wire;
