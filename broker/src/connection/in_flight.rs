//! The requests of one connection that have not been answered, in their order.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::task::{Context, Poll};

use super::ConnectionError;
use crate::limits::Unsent;
use crate::routes::{Reply, ResponseFuture};

/// How many requests of one connection are served at a time; its later ones wait in the socket.
const MAX_IN_FLIGHT: usize = 32;

/// A connection whose finished responses wait for an earlier one, and are this long, takes no more requests.
const MAX_READY_BYTES: usize = 1 << 20;

#[derive(Default)]
pub(super) struct InFlight {
    requests: VecDeque<Request>,
    ready_bytes: usize,
}

/// A request in its place in the order. One that cannot be served is the last: what came before it is still answered.
enum Request {
    Running(ResponseFuture),
    Done(Result<Reply, ConnectionError>),
}

impl InFlight {
    pub(super) fn takes_requests(&self) -> bool {
        self.requests.len() < MAX_IN_FLIGHT
            && self.ready_bytes < MAX_READY_BYTES
            && !matches!(self.requests.back(), Some(Request::Done(Err(_))))
    }

    pub(super) fn push(&mut self, request: Result<ResponseFuture, ConnectionError>) {
        self.requests.push_back(match request {
            Ok(running) => Request::Running(running),
            Err(error) => Request::Done(Err(error)),
        });
    }

    /// The memory of the finished responses.
    pub(super) fn ready_bytes(&self) -> usize {
        self.ready_bytes
    }

    /// Waits for the reply to the oldest request. Tells `unsent` of replies that have to wait for it.
    pub(super) async fn next_reply(&mut self, unsent: &Unsent) -> Result<Reply, ConnectionError> {
        poll_fn(|cx| {
            let reply = self.poll_oldest(cx);
            unsent.set(self.ready_bytes);
            reply
        })
        .await
    }

    /// Lets every request go on, and takes the reply of the oldest one if it is there.
    fn poll_oldest(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, ConnectionError>> {
        for (place, request) in self.requests.iter_mut().enumerate() {
            if place > 0 && self.ready_bytes >= MAX_READY_BYTES {
                break;
            }
            if let Request::Running(running) = request
                && let Poll::Ready(result) = running.as_mut().poll(cx)
            {
                self.ready_bytes += result.as_ref().map_or(0, Reply::own_bytes);
                *request = Request::Done(result.map_err(ConnectionError::Serve));
            }
        }
        match self.requests.pop_front() {
            Some(Request::Done(result)) => {
                self.ready_bytes -= result.as_ref().map_or(0, Reply::own_bytes);
                Poll::Ready(result)
            }
            Some(running) => {
                self.requests.push_front(running);
                Poll::Pending
            }
            None => Poll::Pending,
        }
    }
}
