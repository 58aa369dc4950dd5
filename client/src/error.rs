//! What can go wrong between a call and its answer.

use std::fmt;
use std::time::Duration;

use ottla_protocol::messages::ApiKey;
use ottla_protocol::{ErrorCode, KafkaName};

use crate::address::{AddressError, HostPort};

/// No broker could be reached.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ConnectError {
    #[error(transparent)]
    Address(#[from] AddressError),
    #[error("no broker answers at {server}: {cause}")]
    Unreachable { server: HostPort, cause: String },
    #[error("no broker answers at {server} within {after:?}")]
    TimedOut { server: HostPort, after: Duration },
    #[error("{server} does not speak Kafka's protocol: {cause}")]
    NotKafka { server: HostPort, cause: String },
}

/// A request got no answer, or one that says no.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RequestError {
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The request may have been carried out.
    #[error("the connection to {server} was lost before it answered {api:?}: {cause}")]
    ConnectionLost { server: HostPort, api: ApiKey, cause: String },
    /// The request may have been carried out.
    #[error("{server} did not answer {api:?} within {after:?}")]
    TimedOut { server: HostPort, api: ApiKey, after: Duration },
    #[error(
        "{server} does not serve {api:?} in a version that this client speaks ({ours}): use Kafka 3.1 or later"
    )]
    UnsupportedVersion { server: HostPort, api: ApiKey, ours: String },
    #[error("{server} sent an answer to {api:?} that cannot be read: {cause}")]
    Protocol { server: HostPort, api: ApiKey, cause: String },
    #[error("{api:?} cannot be written: {cause}")]
    Encode { api: ApiKey, cause: String },
    #[error("the answer to {api:?} leaves out what was asked for")]
    Incomplete { api: ApiKey },
    /// The cluster has nobody to ask about a partition.
    #[error("{}", reason.describe(topic, *partition))]
    NoLeader { topic: String, partition: i32, reason: Leaderless },
    #[error("{subject}: {error}")]
    Kafka { subject: Subject, error: KafkaError },
}

/// Kafka's error code with the broker's own words, where it sent any.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KafkaError {
    pub code: ErrorCode,
    pub message: Option<String>,
}

/// Why a partition has nobody to ask, by metadata that is fresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaderless {
    UnknownTopic,
    UnknownPartition,
    Electing,
    Other(ErrorCode),
}

/// What an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Topic(String),
    Partition(String, i32),
    Group(String),
    TransactionalId(String),
    Api(ApiKey),
}

impl RequestError {
    pub(crate) fn kafka(subject: Subject, code: ErrorCode) -> RequestError {
        RequestError::Kafka { subject, error: KafkaError { code, message: None } }
    }

    /// The broker's error code, if it answered with one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            RequestError::NoLeader { reason, .. } => Some(reason.code()),
            RequestError::Kafka { error, .. } => Some(error.code),
            _ => None,
        }
    }

    /// True where the same request may succeed later: a broker that is away, or Kafka's retriable codes.
    pub fn is_retriable(&self) -> bool {
        match self {
            RequestError::Connect(ConnectError::Unreachable { .. } | ConnectError::TimedOut { .. })
            | RequestError::ConnectionLost { .. }
            | RequestError::TimedOut { .. }
            | RequestError::NoLeader { reason: Leaderless::Electing, .. } => true,
            RequestError::Kafka { error, .. } => error.code.is_retriable(),
            _ => false,
        }
    }

    /// True where the broker cannot have acted on the request, because it never got it.
    pub(crate) fn was_never_sent(&self) -> bool {
        matches!(self, RequestError::Connect(_))
    }
}

impl Leaderless {
    pub fn code(self) -> ErrorCode {
        match self {
            Leaderless::UnknownTopic | Leaderless::UnknownPartition => ErrorCode::UnknownTopicOrPartition,
            Leaderless::Electing => ErrorCode::LeaderNotAvailable,
            Leaderless::Other(code) => code,
        }
    }

    fn describe(self, topic: &str, partition: i32) -> String {
        match self {
            Leaderless::UnknownTopic => format!("topic `{topic}` does not exist"),
            Leaderless::UnknownPartition => format!("topic `{topic}` has no partition {partition}"),
            Leaderless::Electing => format!("partition {topic}-{partition} has no leader at present"),
            Leaderless::Other(code) => format!("topic `{topic}`: {}", KafkaName(code)),
        }
    }
}

impl KafkaError {
    /// `None` for code 0.
    pub(crate) fn new(code: i16, message: Option<impl ToString>) -> Option<KafkaError> {
        let message = message.map(|message| message.to_string()).filter(|message| !message.is_empty());
        ErrorCode::try_from_code(code).map(|code| KafkaError { code, message })
    }
}

/// True where the client's picture of the cluster is old: another broker leads, or the topic was made anew.
pub(crate) fn is_stale_metadata(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotLeaderOrFollower
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::UnknownTopicId
            | ErrorCode::InconsistentTopicId
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::FencedLeaderEpoch
            | ErrorCode::UnknownLeaderEpoch
            | ErrorCode::KafkaStorageError
            | ErrorCode::ReplicaNotAvailable
    )
}

impl std::error::Error for KafkaError {}

impl fmt::Display for KafkaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(f, "{message} ({})", KafkaName(self.code)),
            None => write!(f, "{}", KafkaName(self.code)),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Topic(name) => write!(f, "topic `{name}`"),
            Subject::Partition(topic, index) => write!(f, "partition {topic}-{index}"),
            Subject::Group(group) => write!(f, "group `{group}`"),
            Subject::TransactionalId(id) => write!(f, "transactional id `{id}`"),
            Subject::Api(api) => write!(f, "{api:?}"),
        }
    }
}
