//! One client's connection: frames in, responses out, in the order of the requests.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::BytesMut;
use ottla_protocol::frame::{FrameDecoder, FrameError};
use ottla_protocol::{DecodeError, RequestHeader, decode_header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep};

use crate::context::RequestContext;
use crate::listener::Endpoint;
use crate::routes::{self, Reply, ResponseFuture, ServeError};
use crate::state::BrokerState;

/// How many requests of one connection are served at a time; its later ones wait in the socket.
const MAX_IN_FLIGHT: usize = 32;

/// What one read asks the socket for. Large enough that a producer's usual batch takes few reads.
const READ_BYTES: usize = 128 * 1024;

/// A read buffer with less room than this is given more before it is read into.
const MIN_READ_BYTES: usize = 16 * 1024;

/// A connection that has been silent for this long gives its read buffer back.
const IDLE: Duration = Duration::from_secs(2);

/// Serves one client until it leaves or breaks the protocol.
pub(crate) struct Connection {
    stream: TcpStream,
    broker: Arc<BrokerState>,
    client_address: IpAddr,
    advertised: Arc<Endpoint>,
    decoder: FrameDecoder,
    read_buffer: BytesMut,
    in_flight: VecDeque<InFlight>,
    idle: IdleTimer,
}

/// Why a connection was closed from this side.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectionError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Frame(#[from] FrameError),
    #[error("{0}")]
    Header(#[from] DecodeError),
    #[error("{0}")]
    Serve(#[from] ServeError),
    #[error("the client left in the middle of a request")]
    CutShort,
}

/// A request in its place in the order. One that cannot be served is the last: what came before it is still answered.
enum InFlight {
    Running(ResponseFuture),
    Done(Result<Reply, ConnectionError>),
}

enum Event {
    /// The oldest request has its reply.
    Replied(Reply),
    /// So many bytes were read; none is the end of what the client sends.
    Read(usize),
    Idle,
}

impl Connection {
    pub(crate) fn new(
        stream: TcpStream,
        broker: Arc<BrokerState>,
        client_address: IpAddr,
        advertised: Arc<Endpoint>,
    ) -> Connection {
        let max_frame_bytes = usize::try_from(broker.config.settings.socket_request_max_bytes).unwrap_or(0);
        Connection {
            stream,
            broker,
            client_address,
            advertised,
            decoder: FrameDecoder::new(max_frame_bytes),
            read_buffer: BytesMut::new(),
            in_flight: VecDeque::new(),
            idle: IdleTimer::default(),
        }
    }

    /// Returns when the client has left.
    pub(crate) async fn run(mut self) -> Result<(), ConnectionError> {
        loop {
            self.start_requests();
            match self.next_event().await? {
                Event::Replied(Reply::Response(mut response)) => {
                    self.stream.write_all_buf(&mut response).await?;
                }
                Event::Replied(Reply::Nothing) => {}
                Event::Read(1..) => self.idle.touch(),
                Event::Read(0) if self.read_buffer.is_empty() => return Ok(()),
                Event::Read(0) => return Err(ConnectionError::CutShort),
                Event::Idle => self.read_buffer = BytesMut::from(&self.read_buffer[..]),
            }
        }
    }

    async fn next_event(&mut self) -> Result<Event, ConnectionError> {
        let (replies, reads) = (!self.in_flight.is_empty(), self.takes_requests());
        let Connection { stream, read_buffer, in_flight, idle, .. } = self;
        tokio::select! {
            biased;
            reply = poll_fn(|cx| poll_oldest(in_flight, cx)), if replies => Ok(Event::Replied(reply?)),
            read = read(stream, read_buffer), if reads => Ok(Event::Read(read?)),
            () = idle.passed() => Ok(Event::Idle),
        }
    }

    /// Starts every request that has wholly arrived, as far as there is room in flight.
    fn start_requests(&mut self) {
        while self.takes_requests() {
            let request = match self.start_request() {
                Ok(None) => break,
                Ok(Some(running)) => InFlight::Running(running),
                Err(error) => InFlight::Done(Err(error)),
            };
            self.in_flight.push_back(request);
        }
    }

    fn start_request(&mut self) -> Result<Option<ResponseFuture>, ConnectionError> {
        if self.read_buffer.is_empty() {
            return Ok(None);
        }
        let Some(mut frame) = self.decoder.decode(&mut self.read_buffer)? else { return Ok(None) };
        let header = decode_header(&mut frame)?;
        Ok(Some(routes::dispatch(self.broker.clone(), self.context(&header), &header, frame)?))
    }

    fn takes_requests(&self) -> bool {
        self.in_flight.len() < MAX_IN_FLIGHT && !matches!(self.in_flight.back(), Some(InFlight::Done(Err(_))))
    }

    fn context(&self, header: &RequestHeader) -> RequestContext {
        RequestContext {
            api_version: header.api_version,
            client_id: header.client_id.clone(),
            client_address: self.client_address,
            advertised: self.advertised.clone(),
        }
    }
}

/// Waits for bytes, then makes room for them: a connection that waits needs no buffer.
async fn read(stream: &mut TcpStream, buffer: &mut BytesMut) -> io::Result<usize> {
    stream.readable().await?;
    if buffer.capacity() - buffer.len() < MIN_READ_BYTES {
        buffer.reserve(READ_BYTES.saturating_sub(buffer.len()).max(MIN_READ_BYTES));
    }
    // Unlike try_read_buf, this learns from a short read that the socket is empty, which saves the next system call.
    stream.read_buf(buffer).await
}

/// Lets every request go on, and takes the reply of the oldest one if it is there.
fn poll_oldest(
    in_flight: &mut VecDeque<InFlight>,
    cx: &mut Context<'_>,
) -> Poll<Result<Reply, ConnectionError>> {
    for request in in_flight.iter_mut() {
        if let InFlight::Running(running) = request
            && let Poll::Ready(result) = running.as_mut().poll(cx)
        {
            *request = InFlight::Done(result.map_err(ConnectionError::Serve));
        }
    }
    match in_flight.pop_front() {
        Some(InFlight::Done(result)) => Poll::Ready(result),
        Some(running) => {
            in_flight.push_front(running);
            Poll::Pending
        }
        None => Poll::Pending,
    }
}

/// Tells when a connection has been silent for [`IDLE`]. Sleeps for good once it has told: an idle broker does not
/// wake.
#[derive(Default)]
struct IdleTimer {
    sleep: Option<Pin<Box<Sleep>>>,
    touched: bool,
}

impl IdleTimer {
    fn touch(&mut self) {
        self.touched = true;
        self.sleep.get_or_insert_with(|| Box::pin(sleep(IDLE)));
    }

    async fn passed(&mut self) {
        let Some(running) = &mut self.sleep else { return std::future::pending().await };
        running.as_mut().await;
        // Moved on here rather than at every read, which would cost each request a turn of the timer wheel.
        while std::mem::take(&mut self.touched) {
            running.as_mut().reset(Instant::now() + IDLE);
            running.as_mut().await;
        }
        self.sleep = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_is_told_once_and_only_after_the_last_read() {
        let mut idle = IdleTimer::default();
        idle.touch();
        tokio::time::advance(IDLE / 2).await;
        idle.touch();
        let started_at = Instant::now();
        idle.passed().await;
        assert!(started_at.elapsed() >= IDLE, "{:?}", started_at.elapsed());
        assert!(tokio::time::timeout(10 * IDLE, idle.passed()).await.is_err(), "it is not told again");
        idle.touch();
        idle.passed().await;
    }
}
