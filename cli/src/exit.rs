//! How a command ends: its exit code, and one sentence on stderr.

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use ottla_broker::StartError;
use ottla_broker::config::InvalidValue;
use ottla_broker::listener::{BindError, InvalidAddress};
use ottla_client::producer::ProducerError;
use ottla_client::{ConnectError, KafkaError, Leaderless, RequestError};
use ottla_protocol::ErrorCode;
use ottla_protocol::batch::BatchError;

/// Shown below `ottla --help`.
pub(crate) const HELP: &str = "\
Examples:
  ottla                                        serve on localhost:9092, data in ./ottla-data
  ottla --ephemeral --listen :0 --ready json   a broker for one test run
  ottla topics create my-topic --partitions 3
  ottla produce my-topic < lines.txt
  ottla consume my-topic --from-beginning

Exit codes:
  0  done                        5  it exists already
  1  failed                      6  the address is in use
  2  wrong usage                 7  the data directory cannot be used
  3  no broker answers           8  a setting has a bad value
  4  it does not exist           9  ottla-stream has not been built
  130  interrupted twice";

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{0}; `ottla` starts one")]
    Connect(ConnectError),
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Producer(#[from] ProducerError),
    #[error("{action}: {error}")]
    Refused { action: String, error: KafkaError },
    #[error("{path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("cannot read stdin: {0}")]
    Stdin(io::Error),
    #[error("cannot write to stdout: {0}")]
    Stdout(io::Error),
    #[error("partition {topic}-{partition} cannot be read: {error}")]
    Batch { topic: String, partition: i32, error: BatchError },
    #[error("{damages} damaged places; each is marked DAMAGED above")]
    Damaged { damages: u64 },
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    NotFound(String),
    #[error(transparent)]
    Start(#[from] StartError),
    #[error(transparent)]
    Address(#[from] InvalidAddress),
    #[error("{place}: {error}")]
    Setting { place: String, error: InvalidValue },
    #[error("cannot start: {0}")]
    Runtime(io::Error),
    #[error(
        "ottla-stream has not been built, and is neither beside ottla nor in PATH: run `cargo build --release -p ottla-stream`"
    )]
    NoStream,
    /// A program that was handed over to has said what is wrong.
    #[cfg(windows)]
    #[error("ottla-stream ended with {0}")]
    Handed(u8),
    #[error("{0}")]
    Interrupted(&'static str),
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Failure {
        match error {
            ConnectError::Address(error) => Failure::Usage(error.to_string()),
            error => Failure::Connect(error),
        }
    }
}

impl Failure {
    /// Says what went wrong, and gives the exit code. A reader that has gone away, as `| head` does, is no failure.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Failure::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
            #[cfg(windows)]
            Failure::Handed(code) => return ExitCode::from(*code),
            _ => eprintln!("error: {self}"),
        }
        ExitCode::from(self.code())
    }

    fn code(&self) -> u8 {
        match self {
            Failure::Usage(_) | Failure::Address(_) => 2,
            Failure::Connect(_) => 3,
            Failure::Request(error) | Failure::Producer(ProducerError::Request(error)) => code_of(error),
            Failure::Producer(ProducerError::NoSuchPartition { .. }) | Failure::NotFound(_) => 4,
            Failure::Refused { error, .. } => code_of_kafka(error.code),
            Failure::Start(StartError::Bind(BindError::InUse { .. })) => 6,
            Failure::Start(StartError::DataDir(_) | StartError::Temporary(_)) => 7,
            Failure::Setting { .. } | Failure::Start(StartError::AdvertisedCount { .. }) => 8,
            Failure::NoStream => 9,
            Failure::Interrupted(_) => 130,
            _ => 1,
        }
    }
}

fn code_of(error: &RequestError) -> u8 {
    match error {
        RequestError::Connect(_) | RequestError::ConnectionLost { .. } | RequestError::TimedOut { .. } => 3,
        RequestError::NoLeader {
            reason: Leaderless::UnknownTopic | Leaderless::UnknownPartition, ..
        } => 4,
        error => error.code().map_or(1, code_of_kafka),
    }
}

fn code_of_kafka(code: ErrorCode) -> u8 {
    match code {
        ErrorCode::UnknownTopicOrPartition | ErrorCode::UnknownTopicId | ErrorCode::GroupIdNotFound => 4,
        ErrorCode::TopicAlreadyExists => 5,
        _ => 1,
    }
}
