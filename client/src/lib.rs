//! An async client of Kafka's wire protocol: metadata, produce, fetch, offsets, groups, transactions, admin.
//!
//! Thin: a call is one request to the broker that answers it, found through cached metadata. It is repeated where
//! Kafka says that the metadata is old, and after a lost connection where that cannot write anything twice; batching
//! and loops belong to the caller, for which [`producer`] and [`group`] have the parts.
//! It speaks to Kafka 3.1 and later (topic ids, KIP-516), and to Ottla.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use ottla_client::{Client, ClientConfig, OffsetSpec};
//!
//! let client = Client::connect(ClientConfig::new("localhost:9092")).await?;
//! for end in client.list_offsets(&[("my-topic", 0, OffsetSpec::Latest)]).await? {
//!     println!("{}-{}: {:?}", end.topic, end.partition, end.offset);
//! }
//! # Ok(())
//! # }
//! ```

mod address;
mod by_topic;
mod client;
mod cluster;
mod config;
mod connection;
mod error;
mod negotiation;

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_configs;
mod commit_offsets;
mod committed;
mod coordinator;
mod create_partitions;
mod create_topics;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod end_txn;
mod fetch;
mod fetch_offsets;
mod init_producer_id;
mod list_groups;
mod list_offsets;
mod metadata;
mod produce;
mod transaction;
mod txn_offset_commit;

pub mod group;
pub mod producer;

pub use address::{AddressError, HostPort};
pub use client::Client;
pub use commit_offsets::{Committer, OffsetToCommit};
pub use committed::CommittedFilter;
pub use config::{ClientConfig, WaitForBroker};
pub use create_topics::{NewTopic, TopicOutcome};
pub use delete_records::{DeleteBefore, DeletedRecords};
pub use describe_cluster::ClusterDescription;
pub use describe_configs::ConfigEntry;
pub use describe_groups::{GroupDescription, GroupMemberDescription};
pub use end_txn::TransactionEnd;
pub use error::{ConnectError, KafkaError, Leaderless, RequestError, Subject};
pub use fetch::{AbortedTransaction, Fetch, FetchPartition, FetchedPartition, IsolationLevel};
pub use fetch_offsets::CommittedOffset;
pub use init_producer_id::ProducerIdentity;
pub use list_groups::ListedGroup;
pub use list_offsets::{ListedOffset, OffsetSpec};
pub use metadata::{BrokerMetadata, Metadata, PartitionMetadata, TopicMetadata};
pub use produce::{Acks, ProduceOutcome};
pub use transaction::{TransactionProtocol, TransactionalIdentity};
