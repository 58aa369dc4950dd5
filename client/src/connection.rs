//! One TCP connection to one broker. Requests are pipelined; the broker answers in their order.
//!
//! A single task owns the socket. It registers a request as in flight before writing it, and hands each frame that
//! arrives to the oldest one. When either direction fails, both end, and every caller hears why.

use std::fmt;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_protocol::messages::ApiKey;
use ottla_protocol::{
    Encoded, FrameDecoder, KafkaName, Request, VersionRange, decode_response, encode_request,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use crate::address::{self, HostPort};
use crate::config::ClientConfig;
use crate::error::{ConnectError, RequestError};
use crate::negotiation::{self, BrokerVersions};

/// A handle; dropping the last one closes the connection.
#[derive(Debug)]
pub(crate) struct Connection {
    server: HostPort,
    client_id: String,
    request_timeout: Duration,
    versions: BrokerVersions,
    next_correlation_id: AtomicI32,
    requests: mpsc::Sender<Outgoing>,
    loss: Arc<OnceLock<Loss>>,
    task: tokio::task::AbortHandle,
}

/// Whether the broker answers a request; it does not answer a Produce with acks=0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Expected,
    None,
}

/// Why a connection has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Loss {
    Closed(String),
    /// The peer sent what Kafka's protocol does not allow.
    Protocol(String),
}

#[derive(Debug)]
struct Outgoing {
    encoded: Encoded,
    answer: Answer,
    in_flight: InFlight,
}

#[derive(Debug)]
struct InFlight {
    correlation_id: i32,
    /// Gets the response frame, or no bytes where no answer is expected.
    reply: oneshot::Sender<Bytes>,
}

impl Connection {
    /// Connects and asks for the versions that the broker serves.
    pub(crate) async fn open(server: HostPort, config: &ClientConfig) -> Result<Connection, ConnectError> {
        let stream = match timeout(config.connect_timeout, address::connect(&server)).await {
            Err(_) => return Err(ConnectError::TimedOut { server, after: config.connect_timeout }),
            Ok(Err(error)) => return Err(ConnectError::Unreachable { server, cause: error.to_string() }),
            Ok(Ok(stream)) => stream,
        };
        let mut connection = Connection::start(stream, server, config);
        connection.versions = connection.negotiate().await?;
        Ok(connection)
    }

    fn start(stream: TcpStream, server: HostPort, config: &ClientConfig) -> Connection {
        let (requests, outgoing) = mpsc::channel(config.max_in_flight_requests);
        let (in_flight_sender, in_flight) = mpsc::channel(config.max_in_flight_requests);
        let loss = Arc::new(OnceLock::new());
        let (read_half, write_half) = stream.into_split();
        let read = read_responses(read_half, in_flight, config.max_response_bytes);
        let write = write_requests(write_half, outgoing, in_flight_sender);
        let noted_loss = Arc::clone(&loss);
        let task = tokio::spawn(async move {
            let loss = tokio::select! {
                loss = read => loss,
                loss = write => loss,
            };
            tracing::debug!(?loss, "a connection has ended");
            let _ = noted_loss.set(loss);
        });
        Connection {
            server,
            client_id: config.client_id.clone(),
            request_timeout: config.request_timeout,
            versions: BrokerVersions::default(),
            next_correlation_id: AtomicI32::new(0),
            requests,
            loss,
            task: task.abort_handle(),
        }
    }

    async fn negotiate(&self) -> Result<BrokerVersions, ConnectError> {
        let server = || self.server.clone();
        let request = negotiation::request();
        let version = negotiation::VERSIONS.max;
        let versions = match self.exchange(request, version, Answer::Expected, self.request_timeout).await {
            Ok(Some(response)) => {
                BrokerVersions::from_response(&response).map_err(|code| KafkaName(code).to_string())
            }
            Ok(None) => Err("ApiVersions has no answer".to_owned()),
            Err(RequestError::ConnectionLost { server, cause, .. }) => {
                return Err(ConnectError::Unreachable { server, cause });
            }
            Err(RequestError::TimedOut { server, after, .. }) => {
                return Err(ConnectError::TimedOut { server, after });
            }
            Err(RequestError::Protocol { cause, .. }) => Err(cause),
            Err(error) => Err(error.to_string()),
        };
        versions.map_err(|cause| ConnectError::NotKafka { server: server(), cause })
    }

    /// The level of `transaction.version` that the broker has finalised.
    pub(crate) fn transaction_version(&self) -> i16 {
        self.versions.transaction_version()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// Sends the request that `build` makes for the newest common version, and waits for the answer.
    pub(crate) async fn call<R: Request>(
        &self,
        ours: VersionRange,
        build: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, RequestError> {
        self.call_within(self.request_timeout, ours, build).await
    }

    /// As [`Connection::call`], for an API that may keep its answer back: a long poll, a rebalance.
    pub(crate) async fn call_within<R: Request>(
        &self,
        patience: Duration,
        ours: VersionRange,
        build: impl FnOnce(i16) -> R,
    ) -> Result<R::Response, RequestError> {
        let version = self.version::<R>(ours)?;
        let response = self.exchange(build(version), version, Answer::Expected, patience).await?;
        response.ok_or_else(|| self.unreadable::<R>(&"no answer"))
    }

    /// Sends a request that the broker does not answer; returns when it is written to the socket.
    pub(crate) async fn tell<R: Request>(
        &self,
        ours: VersionRange,
        build: impl FnOnce(i16) -> R,
    ) -> Result<(), RequestError> {
        let version = self.version::<R>(ours)?;
        self.exchange(build(version), version, Answer::None, self.request_timeout).await.map(drop)
    }

    fn version<R: Request>(&self, ours: VersionRange) -> Result<i16, RequestError> {
        self.versions.newest_common(R::KEY, ours).ok_or_else(|| RequestError::UnsupportedVersion {
            server: self.server.clone(),
            api: api_of::<R>(),
            ours: ours.to_string(),
        })
    }

    async fn exchange<R: Request>(
        &self,
        request: R,
        version: i16,
        answer: Answer,
        patience: Duration,
    ) -> Result<Option<R::Response>, RequestError> {
        let correlation_id = self.next_correlation_id.fetch_add(1, Ordering::Relaxed);
        let encoded = encode_request(correlation_id, Some(&self.client_id), version, request)
            .map_err(|error| RequestError::Encode { api: api_of::<R>(), cause: error.to_string() })?;
        let (reply, frame) = oneshot::channel();
        let outgoing = Outgoing { encoded, answer, in_flight: InFlight { correlation_id, reply } };
        let frame = match timeout(patience, self.round_trip(outgoing, frame)).await {
            Ok(Some(frame)) => frame,
            Ok(None) => return Err(self.lost::<R>()),
            Err(_) => return Err(self.give_up::<R>(patience)),
        };
        match answer {
            Answer::None => Ok(None),
            Answer::Expected => decode_response::<R>(frame, version)
                .map(|(_, response)| Some(response))
                .map_err(|error| self.unreadable::<R>(&error)),
        }
    }

    async fn round_trip(&self, outgoing: Outgoing, frame: oneshot::Receiver<Bytes>) -> Option<Bytes> {
        self.requests.send(outgoing).await.ok()?;
        frame.await.ok()
    }

    fn lost<R: Request>(&self) -> RequestError {
        let (server, api) = (self.server.clone(), api_of::<R>());
        match self.loss.get().cloned() {
            Some(Loss::Protocol(cause)) => RequestError::Protocol { server, api, cause },
            Some(Loss::Closed(cause)) => RequestError::ConnectionLost { server, api, cause },
            None => RequestError::ConnectionLost { server, api, cause: "it was closed".to_owned() },
        }
    }

    /// Answers come in order, so one that is overdue holds up all later ones: the connection is given up with it.
    fn give_up<R: Request>(&self, after: Duration) -> RequestError {
        let cause = format!("{:?} was not answered within {after:?}", api_of::<R>());
        let _ = self.loss.set(Loss::Closed(cause));
        self.task.abort();
        RequestError::TimedOut { server: self.server.clone(), api: api_of::<R>(), after }
    }

    fn unreadable<R: Request>(&self, cause: &dyn fmt::Display) -> RequestError {
        RequestError::Protocol { server: self.server.clone(), api: api_of::<R>(), cause: cause.to_string() }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Writes until the handle is dropped or the socket fails; returns why.
async fn write_requests(
    mut socket: OwnedWriteHalf,
    mut outgoing: mpsc::Receiver<Outgoing>,
    in_flight: mpsc::Sender<InFlight>,
) -> Loss {
    while let Some(mut request) = outgoing.recv().await {
        let unanswered = match request.answer {
            Answer::Expected => match in_flight.send(request.in_flight).await {
                Ok(()) => None,
                Err(_) => return closed_by_broker(),
            },
            Answer::None => Some(request.in_flight),
        };
        if let Err(error) = socket.write_all_buf(&mut request.encoded).await {
            return Loss::Closed(error.to_string());
        }
        if let Some(InFlight { reply, .. }) = unanswered {
            let _ = reply.send(Bytes::new());
        }
    }
    Loss::Closed("the client closed it".to_owned())
}

/// Hands each frame to the oldest request in flight; returns why there are no more.
async fn read_responses(
    mut socket: OwnedReadHalf,
    mut in_flight: mpsc::Receiver<InFlight>,
    max_response_bytes: usize,
) -> Loss {
    let decoder = FrameDecoder::new(max_response_bytes);
    let mut received = BytesMut::new();
    loop {
        match decoder.decode(&mut received) {
            Ok(Some(frame)) => match in_flight.try_recv() {
                Ok(oldest) if answers(&frame, oldest.correlation_id) => drop(oldest.reply.send(frame)),
                _ => return Loss::Protocol("it answers no request".to_owned()),
            },
            Ok(None) => match socket.read_buf(&mut received).await {
                Ok(0) => return closed_by_broker(),
                Ok(_) => {}
                Err(error) => return Loss::Closed(error.to_string()),
            },
            Err(error) => return Loss::Protocol(error.to_string()),
        }
    }
}

fn closed_by_broker() -> Loss {
    Loss::Closed("the broker closed it".to_owned())
}

/// Every response begins with the correlation id of its request.
fn answers(frame: &[u8], correlation_id: i32) -> bool {
    frame.first_chunk::<4>().is_some_and(|id| i32::from_be_bytes(*id) == correlation_id)
}

fn api_of<R: Request>() -> ApiKey {
    ApiKey::try_from(R::KEY).expect("a request type of kafka-protocol has a key of kafka-protocol")
}
