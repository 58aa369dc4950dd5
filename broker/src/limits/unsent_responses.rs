//! Responses that clients have asked for and do not read.
//!
//! They cannot be refused any more, and a client may be slow in good faith. So each connection holds what it has, and
//! when all of them hold more than [`MAX_UNSENT_BYTES`], those are closed that have not been without unread responses
//! for the longest time. Whoever reads is never among them for long.
//!
//! Record data does not count: it is in the page cache, not in the broker's memory.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::Notify;

/// The most bytes of responses that all connections hold together.
pub(crate) const MAX_UNSENT_BYTES: usize = 64 << 20;

/// What a connection may hold without being counted: small responses need no lock.
const UNCOUNTED_BYTES: usize = 4 * 1024;

/// Shared by all connections of a broker.
pub(crate) struct UnsentResponses {
    max_bytes: usize,
    holders: Mutex<Holders>,
}

#[derive(Default)]
struct Holders {
    last: u64,
    bytes: usize,
    /// In the order in which they began to hold something.
    by_age: BTreeMap<u64, Holder>,
}

struct Holder {
    bytes: usize,
    close: Arc<Notify>,
}

/// One connection's share.
pub(crate) struct Unsent {
    all: Arc<UnsentResponses>,
    close: Arc<Notify>,
    /// Its number among the holders; 0 while it is none.
    number: AtomicU64,
    bytes: AtomicUsize,
}

impl UnsentResponses {
    pub(crate) fn new(max_bytes: usize) -> UnsentResponses {
        UnsentResponses { max_bytes, holders: Mutex::default() }
    }
}

impl Unsent {
    pub(crate) fn new(all: Arc<UnsentResponses>) -> Unsent {
        Unsent { all, close: Arc::new(Notify::new()), number: AtomicU64::new(0), bytes: AtomicUsize::new(0) }
    }

    /// Says how much the connection holds now.
    pub(crate) fn set(&self, bytes: usize) {
        let bytes = if bytes > UNCOUNTED_BYTES { bytes } else { 0 };
        if self.bytes.swap(bytes, Ordering::Relaxed) == bytes {
            return;
        }
        if bytes > 0 {
            self.hold(bytes);
        } else {
            self.all.holders.lock().remove(self.number.swap(0, Ordering::Relaxed));
        }
    }

    /// Returns when the connection is to be closed.
    pub(crate) async fn must_close(&self) {
        self.close.notified().await;
    }

    fn hold(&self, bytes: usize) {
        let mut holders = self.all.holders.lock();
        let mut number = self.number.load(Ordering::Relaxed);
        if number == 0 {
            holders.last += 1;
            number = holders.last;
            self.number.store(number, Ordering::Relaxed);
        }
        holders.remove(number);
        holders.bytes += bytes;
        holders.by_age.insert(number, Holder { bytes, close: self.close.clone() });
        while holders.bytes > self.all.max_bytes
            && let Some((_, oldest)) = holders.by_age.pop_first()
        {
            holders.bytes -= oldest.bytes;
            oldest.close.notify_one();
        }
    }
}

impl Holders {
    fn remove(&mut self, number: u64) {
        if let Some(holder) = self.by_age.remove(&number) {
            self.bytes -= holder.bytes;
        }
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_closed(unsent: &Unsent) -> bool {
        futures::FutureExt::now_or_never(unsent.must_close()).is_some()
    }

    #[test]
    fn the_longest_holder_is_closed_when_all_hold_too_much() {
        let all = Arc::new(UnsentResponses::new(100_000));
        let [first, second, third] = [(); 3].map(|()| Unsent::new(all.clone()));
        first.set(60_000);
        second.set(30_000);
        first.set(0);
        first.set(60_000);
        assert!(!is_closed(&first) && !is_closed(&second));
        third.set(40_000);
        assert!(is_closed(&second), "it has held something for the longest time");
        assert!(!is_closed(&first) && !is_closed(&third));
    }

    #[test]
    fn small_and_sent_responses_do_not_count() {
        let all = Arc::new(UnsentResponses::new(10_000));
        let unsent = Unsent::new(all.clone());
        unsent.set(UNCOUNTED_BYTES);
        assert_eq!(all.holders.lock().bytes, 0);
        unsent.set(8_000);
        assert_eq!(all.holders.lock().bytes, 8_000);
        drop(unsent);
        let holders = all.holders.lock();
        assert_eq!((holders.bytes, holders.by_age.len()), (0, 0));
    }
}
