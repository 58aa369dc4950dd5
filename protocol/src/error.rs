use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::VersionRange;
use thiserror::Error;

use crate::shape::Malformed;

/// Why bytes are not a request or response.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum DecodeError {
    #[error("the {left_bytes} bytes of the frame do not hold a whole header")]
    HeaderCut { left_bytes: usize },
    #[error("the client id is not UTF-8")]
    ClientId,
    #[error("API key {api_key} is not one of Kafka's")]
    UnknownApi { api_key: i16, api_version: i16 },
    #[error("{api:?} version {version} is not spoken here; versions {} to {} are", .supported.min, .supported.max)]
    UnsupportedVersion { api: ApiKey, version: i16, supported: VersionRange },
    #[error("{api:?} version {version} is malformed {malformed}")]
    Malformed { api: ApiKey, version: i16, malformed: Malformed },
    /// The lengths are right but a value is not, such as a string that is not UTF-8 or null where it must not be.
    #[error("{api:?} version {version} cannot be decoded: {reason}")]
    Invalid { api: ApiKey, version: i16, reason: String },
}

/// Why a message cannot be sent in a version: a value that the version has no field for, or one too large.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message} version {version} cannot be encoded: {reason}")]
pub struct EncodeError {
    /// The type's name.
    pub message: &'static str,
    pub version: i16,
    pub reason: String,
}
