//! FindCoordinator v4–6: which broker keeps a group. v4: several keys at once (KIP-699).

use std::collections::HashMap;
use std::time::Duration;

use ottla_protocol::messages::{ApiKey, FindCoordinatorRequest, FindCoordinatorResponse};
use ottla_protocol::{ErrorCode, Request, StrBytes, VersionRange};
use parking_lot::Mutex;

use crate::address::HostPort;
use crate::client::Client;
use crate::cluster::Lane;
use crate::error::{KafkaError, RequestError, Subject};

const VERSIONS: VersionRange = VersionRange { min: 4, max: 6 };
/// `key_type` of a group; 1 is a transactional id.
const GROUP: i8 = 0;

/// The coordinators found so far, by group.
#[derive(Debug, Default)]
pub(crate) struct Coordinators(Mutex<HashMap<String, HostPort>>);

/// How to reach a group's coordinator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) group: &'a str,
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
        let line = Line { group, lane: Lane::Coordinator, patience: self.config().request_timeout };
        self.call_coordinator_on(line, versions, build, code_of).await
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
                        Some(code) => RequestError::kafka(Subject::Group(line.group.to_owned()), code),
                    }
                }
                Err(error) => error,
            };
            self.coordinators().0.lock().remove(line.group);
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
        let known = self.coordinators().0.lock().get(line.group).cloned();
        let server = match known {
            Some(server) => server,
            None => self.find_coordinator(line.group).await?,
        };
        self.connection(&server, line.lane).await?.call_within(line.patience, versions, build).await
    }

    async fn find_coordinator(&self, group: &str) -> Result<HostPort, RequestError> {
        let key = StrBytes::from_string(group.to_owned());
        let request =
            FindCoordinatorRequest::default().with_key_type(GROUP).with_coordinator_keys(vec![key.clone()]);
        let response = self.call_any(VERSIONS, |_| request.clone()).await?;
        let server = coordinator(response, group)?;
        self.coordinators().0.lock().insert(group.to_owned(), server.clone());
        Ok(server)
    }
}

fn coordinator(response: FindCoordinatorResponse, group: &str) -> Result<HostPort, RequestError> {
    let Some(found) = response.coordinators.into_iter().find(|found| found.key.as_str() == group) else {
        return Err(RequestError::Incomplete { api: ApiKey::FindCoordinator });
    };
    let subject = Subject::Group(group.to_owned());
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
