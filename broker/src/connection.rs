//! One client's connection: frames in, responses out, in the order of the requests.

mod idle;
mod in_flight;

use std::future::poll_fn;
use std::io;
use std::net::IpAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;

use bytes::{Buf, BytesMut};
use ottla_protocol::frame::{FrameDecoder, FrameError};
use ottla_protocol::{DecodeError, Encoded, RequestHeader, StrBytes, decode_header};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::yield_now;

use crate::context::RequestContext;
use crate::limits::{LARGE_BUFFER_BYTES, LargeBuffer, RequestMemory, Reservation, Unsent};
use crate::listener::Endpoint;
use crate::routes::{self, Reply, ResponseFuture, ServeError};
use crate::state::BrokerState;
use idle::{IdleTimer, Silence};
use in_flight::InFlight;

/// A read buffer with less room than this is given more before it is read into.
const MIN_READ_BYTES: usize = 16 * 1024;

/// After so many events others get a turn.
const EVENTS_PER_TURN: u32 = 64;

/// A request larger than this has to reserve memory before more of it is read.
const UNRESERVED_BYTES: usize = 16 * 1024;

/// Serves one client until it leaves or breaks the protocol.
pub(crate) struct Connection {
    stream: TcpStream,
    broker: Arc<BrokerState>,
    client_address: IpAddr,
    /// As the last request had it, copied out of the read buffer.
    client_id: Option<StrBytes>,
    advertised: Arc<Endpoint>,
    decoder: FrameDecoder,
    read_buffer: BytesMut,
    large_buffer: Option<LargeBuffer>,
    arriving: Arriving,
    in_flight: InFlight,
    unsent: Unsent,
    idle: IdleTimer,
}

/// The memory for the request of which a part has been read.
enum Arriving {
    /// Small, or not known yet.
    Unreserved,
    /// Nothing is read until there is room.
    Waiting(Pin<Box<dyn Future<Output = Reservation> + Send>>),
    Reserved(Reservation),
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
    #[error(
        "its request arrives too slowly while others wait for memory; queued.max.request.bytes says how much there is"
    )]
    TooSlow,
    #[error("the client does not read its responses, and others need the memory")]
    Unread,
    #[error("it was idle for connections.max.idle.ms")]
    Idle,
}

enum Event {
    /// The oldest request has its reply.
    Replied(Reply),
    /// There is room for the request that is arriving.
    Reserved(Reservation),
    /// So many bytes were read; none is the end of what the client sends.
    Read(usize),
    Silence(Silence),
}

impl Connection {
    pub(crate) fn new(
        stream: TcpStream,
        broker: Arc<BrokerState>,
        client_address: IpAddr,
        advertised: Arc<Endpoint>,
    ) -> Connection {
        let settings = &broker.config.settings;
        let max_frame_bytes = usize::try_from(settings.socket_request_max_bytes).unwrap_or(0);
        Connection {
            stream,
            client_address,
            client_id: None,
            advertised,
            decoder: FrameDecoder::new(max_frame_bytes),
            read_buffer: BytesMut::new(),
            large_buffer: None,
            arriving: Arriving::Unreserved,
            in_flight: InFlight::default(),
            unsent: Unsent::new(broker.unsent_responses.clone()),
            idle: IdleTimer::new(settings.connections_max_idle_ms),
            broker,
        }
    }

    /// Returns when the client has left.
    pub(crate) async fn run(mut self) -> Result<(), ConnectionError> {
        loop {
            for _ in 0..EVENTS_PER_TURN {
                self.start_requests();
                match self.next_event().await? {
                    Event::Replied(Reply::Response(response)) => self.send(response).await?,
                    Event::Replied(Reply::Nothing) => {}
                    Event::Reserved(reservation) => self.arriving = Arriving::Reserved(reservation),
                    Event::Read(1..) => self.idle.touch(),
                    Event::Read(0) if self.read_buffer.is_empty() => return Ok(()),
                    Event::Read(0) => return Err(ConnectionError::CutShort),
                    Event::Silence(Silence::Quiet) => self.give_buffer_back(),
                    Event::Silence(Silence::TooLong) => return Err(ConnectionError::Idle),
                }
            }
            yield_now().await;
        }
    }

    async fn next_event(&mut self) -> Result<Event, ConnectionError> {
        let reads = self.in_flight.takes_requests() && !matches!(self.arriving, Arriving::Waiting(_));
        let Connection {
            stream, broker, read_buffer, large_buffer, arriving, in_flight, unsent, idle, ..
        } = self;
        tokio::select! {
            biased;
            reply = in_flight.next_reply(unsent) => Ok(Event::Replied(reply?)),
            reserved = arriving.changed() => Ok(Event::Reserved(reserved?)),
            () = unsent.must_close() => Err(ConnectionError::Unread),
            read = read(stream, read_buffer, large_buffer, &broker.request_memory), if reads => Ok(Event::Read(read?)),
            silence = idle.passed() => Ok(Event::Silence(silence)),
        }
    }

    /// Writes a response. One that the client does not take at once is counted until it does.
    async fn send(&mut self, mut response: Encoded) -> Result<(), ConnectionError> {
        let Connection { stream, in_flight, unsent, idle, .. } = self;
        let held_bytes = in_flight.ready_bytes() + response.own_bytes();
        while response.has_remaining() {
            let mut write = pin!(stream.write_buf(&mut response));
            let written = match poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await {
                Poll::Ready(written) => written?,
                Poll::Pending => {
                    unsent.set(held_bytes);
                    tokio::select! {
                        written = write => written?,
                        () = unsent.must_close() => return Err(ConnectionError::Unread),
                        () = idle.passed_for_good() => return Err(ConnectionError::Idle),
                    }
                }
            };
            if written == 0 {
                return Err(io::Error::from(io::ErrorKind::WriteZero).into());
            }
            idle.touch();
        }
        Ok(())
    }

    /// Starts every request that has wholly arrived, as far as there is room in flight.
    fn start_requests(&mut self) {
        while self.in_flight.takes_requests() {
            match self.start_request() {
                Ok(None) => break,
                Ok(Some(running)) => self.in_flight.push(Ok(running)),
                Err(error) => self.in_flight.push(Err(error)),
            }
        }
    }

    fn start_request(&mut self) -> Result<Option<ResponseFuture>, ConnectionError> {
        if self.read_buffer.is_empty() {
            return Ok(None);
        }
        let Some(mut frame) = self.decoder.decode(&mut self.read_buffer)? else {
            self.reserve()?;
            return Ok(None);
        };
        // The request is served in this turn of the task, and what waits keeps none of its bytes.
        self.arriving = Arriving::Unreserved;
        if frame.len() > LARGE_BUFFER_BYTES || (frame.len() > MIN_READ_BYTES && self.large_buffer.is_none()) {
            self.give_buffer_back();
        }
        let header = decode_header(&mut frame)?;
        Ok(Some(routes::dispatch(self.broker.clone(), self.context(&header), &header, frame)?))
    }

    /// Reserves memory for the request that has begun to arrive, if it is a large one.
    fn reserve(&mut self) -> Result<(), ConnectionError> {
        let size_bytes = self.decoder.size_of_next(&self.read_buffer)?.unwrap_or(0);
        if size_bytes > UNRESERVED_BYTES && matches!(self.arriving, Arriving::Unreserved) {
            let memory = &self.broker.request_memory;
            self.arriving = match memory.try_reserve(size_bytes) {
                Some(reservation) => Arriving::Reserved(reservation),
                None => Arriving::Waiting(Box::pin(memory.clone().reserve(size_bytes))),
            };
        }
        Ok(())
    }

    /// What has been read of the next request is kept, without the room that earlier ones have taken.
    fn give_buffer_back(&mut self) {
        self.read_buffer = BytesMut::from(&self.read_buffer[..]);
        self.large_buffer = None;
    }

    fn context(&mut self, header: &RequestHeader) -> RequestContext {
        // A client sends one id; kept as it came, it would hold the read buffer for as long as a request waits.
        if self.client_id != header.client_id {
            self.client_id = header.client_id.as_ref().map(|id| StrBytes::from_string(id.to_string()));
        }
        RequestContext {
            api_version: header.api_version,
            client_id: self.client_id.clone(),
            client_address: self.client_address,
            advertised: self.advertised.clone(),
        }
    }
}

impl Arriving {
    /// Waits for room, or for the loss of it.
    async fn changed(&mut self) -> Result<Reservation, ConnectionError> {
        match self {
            Arriving::Unreserved => std::future::pending().await,
            Arriving::Waiting(room) => Ok(room.await),
            Arriving::Reserved(reservation) => {
                reservation.lost().await;
                Err(ConnectionError::TooSlow)
            }
        }
    }
}

/// Waits for bytes, then makes room for them: a connection that waits needs no buffer.
async fn read(
    stream: &mut TcpStream,
    buffer: &mut BytesMut,
    large_buffer: &mut Option<LargeBuffer>,
    memory: &RequestMemory,
) -> io::Result<usize> {
    stream.readable().await?;
    if buffer.capacity() - buffer.len() < MIN_READ_BYTES {
        *large_buffer = large_buffer.take().or_else(|| memory.try_large_buffer());
        let wanted = if large_buffer.is_some() { LARGE_BUFFER_BYTES } else { MIN_READ_BYTES };
        buffer.reserve(wanted.saturating_sub(buffer.len()).max(MIN_READ_BYTES));
    }
    // Unlike try_read_buf, this learns from a short read that the socket is empty, which saves the next system call.
    stream.read_buf(buffer).await
}
