//! FindCoordinator v4–6: which broker keeps a group or a transactional id. v4: several keys at once (KIP-699).

use std::collections::HashMap;
use std::time::Duration;

use ottla_protocol::messages::{ApiKey, FindCoordinatorRequest, FindCoordinatorResponse};
use ottla_protocol::{ErrorCode, Request, StrBytes, VersionRange};
use parking_lot::Mutex;

use crate::address::HostPort;
use crate::client::Client;
use crate::cluster::Lane;
use crate::error::{KafkaError, RequestError, Subject};
use crate::transaction::TransactionProtocol;

const VERSIONS: VersionRange = VersionRange { min: 4, max: 6 };
/// The coordinators found so far, by `key_type` and key.
#[derive(Debug, Default)]
pub(crate) struct Coordinators(Mutex<HashMap<(i8, String), HostPort>>);

/// What a coordinator keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CoordinatorKey<'a> {
    Group(&'a str),
    /// By transactional id.
    Transaction(&'a str),
}

/// How to reach a coordinator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) key: CoordinatorKey<'a>,
    pub(crate) lane: Lane,
    pub(crate) patience: Duration,
}

impl Client {
    /// Asks the group's coordinator, and looks for it again when `code_of` the answer says that it has moved or is
    /// still loading. Other codes are for the caller to judge.
    pub(crate) async fn call_coordinator<R: Request>(
        &self,
        group: &str,
        versions: VersionRange,
        build: impl Fn(i16) -> R,
        code_of: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, RequestError> {
        self.call_coordinator_of(CoordinatorKey::Group(group), versions, build, code_of).await
    }

    /// As [`Client::call_coordinator`], for whatever has one.
    pub(crate) async fn call_coordinator_of<R: Request>(
        &self,
        key: CoordinatorKey<'_>,
        versions: VersionRange,
        build: impl Fn(i16) -> R,
        code_of: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, RequestError> {
        let line = Line { key, lane: Lane::Coordinator, patience: self.config().request_timeout };
        self.call_coordinator_on(line, versions, build, code_of).await
    }

    /// The protocol in which this coordinator, which has answered before, runs transactions.
    pub(crate) async fn transaction_protocol(
        &self,
        key: CoordinatorKey<'_>,
    ) -> Result<TransactionProtocol, RequestError> {
        let server = self.coordinator_server(key).await?;
        let connection = self.connection(&server, Lane::Coordinator).await?;
        Ok(TransactionProtocol::of_level(connection.transaction_version()))
    }

    /// As [`Client::call_coordinator`], for a member that has a lane of its own.
    pub(crate) async fn call_coordinator_on<R: Request>(
        &self,
        line: Line<'_>,
        versions: VersionRange,
        build: impl Fn(i16) -> R,
        code_of: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, RequestError> {
        let attempts = self.attempts();
        loop {
            let error = match self.try_coordinator(line, versions, &build).await {
                Ok(response) => {
                    match ErrorCode::try_from_code(code_of(&response)).filter(|code| is_away(*code)) {
                        None => return Ok(response),
                        Some(code) => RequestError::kafka(line.key.subject(), code),
                    }
                }
                Err(error) => error,
            };
            self.coordinators().0.lock().remove(&line.key.entry());
            if !error.is_retriable() || !attempts.pause().await {
                return Err(error);
            }
        }
    }

    async fn try_coordinator<R: Request>(
        &self,
        line: Line<'_>,
        versions: VersionRange,
        build: impl Fn(i16) -> R,
    ) -> Result<R::Response, RequestError> {
        let server = self.coordinator_server(line.key).await?;
        self.connection(&server, line.lane).await?.call_within(line.patience, versions, build).await
    }

    async fn coordinator_server(&self, key: CoordinatorKey<'_>) -> Result<HostPort, RequestError> {
        let known = self.coordinators().0.lock().get(&key.entry()).cloned();
        match known {
            Some(server) => Ok(server),
            None => self.find_coordinator(key).await,
        }
    }

    async fn find_coordinator(&self, key: CoordinatorKey<'_>) -> Result<HostPort, RequestError> {
        let (key_type, name) = key.entry();
        let request = FindCoordinatorRequest::default()
            .with_key_type(key_type)
            .with_coordinator_keys(vec![StrBytes::from_string(name)]);
        let response = self.call_any(VERSIONS, |_| request.clone()).await?;
        let server = coordinator(response, key)?;
        self.coordinators().0.lock().insert(key.entry(), server.clone());
        Ok(server)
    }
}

impl CoordinatorKey<'_> {
    pub(crate) fn subject(self) -> Subject {
        match self {
            CoordinatorKey::Group(group) => Subject::Group(group.to_owned()),
            CoordinatorKey::Transaction(id) => Subject::TransactionalId(id.to_owned()),
        }
    }

    /// `key_type` and key.
    fn entry(self) -> (i8, String) {
        match self {
            CoordinatorKey::Group(group) => (0, group.to_owned()),
            CoordinatorKey::Transaction(id) => (1, id.to_owned()),
        }
    }
}

fn coordinator(response: FindCoordinatorResponse, key: CoordinatorKey<'_>) -> Result<HostPort, RequestError> {
    let (_, name) = key.entry();
    let Some(found) = response.coordinators.into_iter().find(|found| found.key.as_str() == name) else {
        return Err(RequestError::Incomplete { api: ApiKey::FindCoordinator });
    };
    let subject = key.subject();
    if let Some(error) = KafkaError::new(found.error_code, found.error_message) {
        return Err(RequestError::Kafka { subject, error });
    }
    match u16::try_from(found.port) {
        Ok(port) => Ok(HostPort { host: found.host.to_string(), port }),
        Err(_) => Err(RequestError::kafka(subject, ErrorCode::CoordinatorNotAvailable)),
    }
}

/// Codes with which a coordinator says that it is not, or not yet, the one.
fn is_away(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable | ErrorCode::CoordinatorLoadInProgress
    )
}
