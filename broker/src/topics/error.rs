//! Why topics are not created or changed, and Kafka's code for it.

use std::sync::Arc;

use ottla_protocol::ErrorCode;
use ottla_storage::{DataDirError, OpenError};

use crate::config::InvalidValue;
use crate::topic_name::InvalidTopicName;
use crate::topics::MAX_PARTITIONS;

/// Why a topic is not created; worded as Kafka words it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateTopicError {
    #[error(transparent)]
    InvalidName(#[from] InvalidTopicName),
    #[error("Topic '{name}' already exists.")]
    Exists { name: String },
    #[error("Topic '{name}' collides with existing topic: {existing}")]
    Collides { name: String, existing: String },
    #[error("Number of partitions was set to an invalid non-positive value.")]
    InvalidPartitions,
    #[error("Excessively large number of partitions per request.")]
    TooManyPartitionsInRequest,
    #[error("{partitions} partitions are more than the {MAX_PARTITIONS} that a topic can have here")]
    TooManyPartitions { partitions: i32 },
    #[error("Replication factor must be larger than 0, or -1 to use the default value.")]
    NonPositiveReplicationFactor,
    #[error(
        "Unable to replicate the partition {replication_factor} time(s): The target replication factor of \
         {replication_factor} cannot be reached because only 1 broker(s) are registered."
    )]
    InvalidReplicationFactor { replication_factor: i16 },
    #[error(
        "A manual partition assignment was specified, but replication factor or numPartitions was not set to -1."
    )]
    CountsWithAssignment,
    #[error(
        "A manual assignment must number the partitions from 0, each once, and put each on broker {node_id} alone."
    )]
    InvalidAssignment { node_id: i32 },
    #[error("Null value not supported for topic configs: {name}")]
    NullConfig { name: String },
    #[error(transparent)]
    Config(#[from] InvalidTopicConfig),
    #[error(transparent)]
    Write(#[from] TopicWriteError),
}

impl CreateTopicError {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            CreateTopicError::InvalidName(_) | CreateTopicError::Collides { .. } => {
                ErrorCode::InvalidTopicException
            }
            CreateTopicError::Exists { .. } => ErrorCode::TopicAlreadyExists,
            CreateTopicError::InvalidPartitions => ErrorCode::InvalidPartitions,
            CreateTopicError::TooManyPartitionsInRequest | CreateTopicError::TooManyPartitions { .. } => {
                ErrorCode::PolicyViolation
            }
            CreateTopicError::NonPositiveReplicationFactor
            | CreateTopicError::InvalidReplicationFactor { .. } => ErrorCode::InvalidReplicationFactor,
            CreateTopicError::CountsWithAssignment => ErrorCode::InvalidRequest,
            CreateTopicError::InvalidAssignment { .. } => ErrorCode::InvalidReplicaAssignment,
            CreateTopicError::NullConfig { .. } | CreateTopicError::Config(_) => ErrorCode::InvalidConfig,
            CreateTopicError::Write(error) => error.code(),
        }
    }
}

/// A topic setting that is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InvalidTopicConfig {
    #[error("Unknown topic config name: {name}")]
    Unknown { name: String },
    #[error(transparent)]
    Value(#[from] InvalidValue),
}

/// Why a change of topics did not reach the disk. One write can be that of several topics.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopicWriteError {
    #[error("This server does not host this topic-partition.")]
    Gone,
    #[error("the broker is stopping")]
    Closed,
    #[error(transparent)]
    Log(#[from] OpenError),
    #[error(transparent)]
    DataDir(Arc<DataDirError>),
}

impl From<DataDirError> for TopicWriteError {
    fn from(error: DataDirError) -> TopicWriteError {
        TopicWriteError::DataDir(Arc::new(error))
    }
}

impl TopicWriteError {
    pub(crate) fn code(&self) -> ErrorCode {
        match self {
            TopicWriteError::Gone => ErrorCode::UnknownTopicOrPartition,
            // As from a controller that is no longer one; clients try again.
            TopicWriteError::Closed => ErrorCode::NotController,
            TopicWriteError::Log(_) | TopicWriteError::DataDir(_) => ErrorCode::KafkaStorageError,
        }
    }
}
