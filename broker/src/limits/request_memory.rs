//! The memory for requests on their way in: `queued.max.request.bytes`.
//!
//! A large request reserves its whole size before more of it is read, so that what has begun to arrive can always
//! arrive to its end. Those that find no room wait, in order. A client that claims a large request and does not send it
//! gives its place up once somebody has waited for [`PATIENCE`].

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep};

/// How long a request may take to arrive while others wait for its memory.
const PATIENCE: Duration = Duration::from_secs(5);

/// The connections that may have a read buffer of [`LARGE_BUFFER_BYTES`] at a time: 32 MiB in all.
const LARGE_BUFFERS: usize = 256;

/// A read buffer in which a producer's usual batch takes few reads.
pub(crate) const LARGE_BUFFER_BYTES: usize = 128 * 1024;

/// Shared by all connections of a broker.
pub(crate) struct RequestMemory {
    total_bytes: u32,
    room: Arc<Semaphore>,
    large_buffers: Arc<Semaphore>,
    holders: Mutex<Holders>,
}

#[derive(Default)]
struct Holders {
    last: u64,
    /// In the order in which they came.
    by_age: BTreeMap<u64, Holder>,
}

struct Holder {
    since: Instant,
    lost: Arc<Notify>,
}

/// The right to a read buffer of [`LARGE_BUFFER_BYTES`].
pub(crate) struct LargeBuffer {
    _permit: OwnedSemaphorePermit,
}

/// Room for one request; free again when dropped.
pub(crate) struct Reservation {
    memory: Arc<RequestMemory>,
    number: u64,
    lost: Arc<Notify>,
    _room: OwnedSemaphorePermit,
}

impl RequestMemory {
    /// `queued_max_bytes` is the setting, where −1 is no limit. One request of the largest size always has room.
    pub(crate) fn new(queued_max_bytes: i64, request_max_bytes: i32) -> RequestMemory {
        let limit = if queued_max_bytes < 0 { i64::MAX } else { queued_max_bytes };
        let limit = limit.max(i64::from(request_max_bytes));
        let total_bytes = u32::try_from(limit).unwrap_or(u32::MAX).min(u32::MAX >> 1);
        let room = Arc::new(Semaphore::new(total_bytes as usize));
        let large_buffers = Arc::new(Semaphore::new(LARGE_BUFFERS));
        RequestMemory { total_bytes, room, large_buffers, holders: Mutex::default() }
    }

    /// The right to a large read buffer, if there are not too many of them.
    pub(crate) fn try_large_buffer(&self) -> Option<LargeBuffer> {
        let permit = self.large_buffers.clone().try_acquire_owned().ok()?;
        Some(LargeBuffer { _permit: permit })
    }

    /// Takes the room if it is there.
    pub(crate) fn try_reserve(self: &Arc<Self>, bytes: usize) -> Option<Reservation> {
        let room = self.room.clone().try_acquire_many_owned(self.permits(bytes)).ok()?;
        Some(self.hold(room))
    }

    /// Waits for the room.
    pub(crate) async fn reserve(self: Arc<Self>, bytes: usize) -> Reservation {
        let mut room = pin!(self.room.clone().acquire_many_owned(self.permits(bytes)));
        loop {
            tokio::select! {
                room = &mut room => return self.hold(room.expect("the semaphore is never closed")),
                () = sleep(PATIENCE) => self.take_from_oldest(),
            }
        }
    }

    fn permits(&self, bytes: usize) -> u32 {
        u32::try_from(bytes).unwrap_or(u32::MAX).min(self.total_bytes)
    }

    fn hold(self: &Arc<Self>, room: OwnedSemaphorePermit) -> Reservation {
        let mut holders = self.holders.lock();
        holders.last += 1;
        let (number, lost) = (holders.last, Arc::new(Notify::new()));
        holders.by_age.insert(number, Holder { since: Instant::now(), lost: lost.clone() });
        Reservation { memory: self.clone(), number, lost, _room: room }
    }

    fn take_from_oldest(&self) {
        let mut holders = self.holders.lock();
        let Some(oldest) = holders.by_age.first_entry() else { return };
        if oldest.get().since.elapsed() >= PATIENCE {
            oldest.remove().lost.notify_one();
        }
    }
}

impl Reservation {
    /// Returns when others need the room and have waited long enough; the request is then to be given up.
    pub(crate) async fn lost(&self) {
        self.lost.notified().await;
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.memory.holders.lock().by_age.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_until_another_has_arrived() {
        let memory = Arc::new(RequestMemory::new(100, 60));
        let first = memory.try_reserve(60).unwrap();
        assert!(memory.try_reserve(41).is_none() && memory.try_reserve(40).is_some());
        let second = tokio::spawn(memory.clone().reserve(60));
        tokio::task::yield_now().await;
        drop(first);
        second.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_send_what_it_claimed_loses_its_room_to_those_that_wait() {
        let memory = Arc::new(RequestMemory::new(100, 100));
        let idler = memory.try_reserve(80).unwrap();
        let _later = memory.try_reserve(10).unwrap();
        assert!(tokio::time::timeout(10 * PATIENCE, idler.lost()).await.is_err(), "nobody needs the room");
        let waiting = tokio::spawn(memory.clone().reserve(50));
        idler.lost().await;
        drop(idler);
        waiting.await.unwrap();
    }

    #[tokio::test]
    async fn the_largest_request_always_fits_and_no_limit_is_no_limit() {
        let memory = Arc::new(RequestMemory::new(10, 1000));
        assert!(memory.try_reserve(1000).is_some());
        let unlimited = Arc::new(RequestMemory::new(-1, 1000));
        assert!(unlimited.try_reserve(1 << 30).is_some());
    }
}
