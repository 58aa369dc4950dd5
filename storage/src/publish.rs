//! What an append shows to readers, and in which order.
//!
//! One writer, any number of readers, no lock on the bytes. The writer puts bytes beyond the published end, then
//! moves the end; a reader that sees the end sees every byte before it. When the map is too small the writer puts
//! a larger one in place first, and moves the end only then; a reader therefore takes the end first, the map second.
//!
//! The test below lets loom run every interleaving of this module:
//! `RUSTFLAGS="--cfg loom" cargo test -p ottla-storage --release --lib publish`.

#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};

/// An end that only its one writer moves, forwards.
pub(crate) struct Watermark(AtomicU64);

impl Watermark {
    pub(crate) fn new(value: u64) -> Watermark {
        Watermark(AtomicU64::new(value))
    }

    /// Everything that was written before the matching [`Watermark::publish`] is visible after this.
    pub(crate) fn load(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }

    pub(crate) fn publish(&self, value: u64) {
        self.0.store(value, Ordering::Release);
    }
}

/// Where the oldest open transaction of a log begins. Below it everything is decided.
///
/// The writer moves it before it publishes the end that comes with the change. A reader takes the end first, this
/// second: then no transaction is open below the smaller of both.
pub(crate) struct FirstUndecided(AtomicU64);

impl FirstUndecided {
    pub(crate) fn none() -> FirstUndecided {
        FirstUndecided(AtomicU64::new(u64::MAX))
    }

    pub(crate) fn load(&self) -> Option<i64> {
        i64::try_from(self.0.load(Ordering::Acquire)).ok()
    }

    pub(crate) fn publish(&self, first_offset: Option<i64>) {
        let first_offset = first_offset.and_then(|offset| u64::try_from(offset).ok());
        self.0.store(first_offset.unwrap_or(u64::MAX), Ordering::Release);
    }
}

/// The end of a segment: how many bytes it has, and the offset after its last record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentEnd {
    pub(crate) position: u32,
    /// Relative to the segment's base offset. A segment holds at most `i32::MAX` offsets.
    pub(crate) relative_offset: u32,
}

impl SegmentEnd {
    fn pack(self) -> u64 {
        u64::from(self.position) << 32 | u64::from(self.relative_offset)
    }

    fn unpack(packed: u64) -> SegmentEnd {
        SegmentEnd { position: (packed >> 32) as u32, relative_offset: packed as u32 }
    }
}

/// A segment's end and the map `M` that holds the bytes below it.
///
/// Bytes and offsets are published in one atomic, so that no reader finds records past the log end that it was told.
pub(crate) struct Published<M> {
    end: Watermark,
    map: sync::Mutex<M>,
}

impl<M> Published<M> {
    pub(crate) fn new(end: SegmentEnd, map: M) -> Published<M> {
        Published { end: Watermark::new(end.pack()), map: sync::Mutex::new(map) }
    }

    pub(crate) fn end(&self) -> SegmentEnd {
        SegmentEnd::unpack(self.end.load())
    }

    /// An end, and what `take` makes of a map that reaches at least as far.
    pub(crate) fn view<R>(&self, take: impl FnOnce(SegmentEnd, &mut M) -> R) -> (SegmentEnd, R) {
        let end = self.end();
        let taken = take(end, &mut sync::lock(&self.map));
        (end, taken)
    }

    /// For the writer: the next ends may lie beyond what the old map holds.
    pub(crate) fn replace_map(&self, map: M) {
        *sync::lock(&self.map) = map;
    }

    /// For the writer: every byte below `end` is in the map that readers get.
    pub(crate) fn publish(&self, end: SegmentEnd) {
        self.end.publish(end.pack());
    }
}

#[cfg(not(loom))]
mod sync {
    pub(super) use parking_lot::Mutex;
    use parking_lot::MutexGuard;

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock()
    }
}

#[cfg(loom)]
mod sync {
    pub(super) use loom::sync::Mutex;
    use loom::sync::MutexGuard;

    pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().expect("loom does not poison")
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn an_end_survives_packing() {
        for end in [(0, 0), (1, 0), (0, 1), (u32::MAX, i32::MAX as u32 + 1)] {
            let end = SegmentEnd { position: end.0, relative_offset: end.1 };
            assert_eq!(SegmentEnd::unpack(end.pack()), end);
        }
    }
}

#[cfg(all(test, loom))]
mod model {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU64, Ordering};
    use loom::thread;

    use super::*;

    /// Stands for a map: relaxed cells, so that only the published end orders them.
    type Cells = Vec<Arc<AtomicU64>>;

    fn end(position: u32) -> SegmentEnd {
        SegmentEnd { position, relative_offset: 10 * position }
    }

    fn check_view(published: &Published<Cells>) -> u32 {
        let (seen, cells) = published.view(|_, cells| cells.clone());
        assert_eq!(seen.relative_offset, 10 * seen.position);
        for position in 0..seen.position {
            let cell = cells.get(position as usize).expect("the map reaches the end");
            assert_eq!(cell.load(Ordering::Relaxed), u64::from(position) + 1);
        }
        seen.position
    }

    #[test]
    fn a_reader_sees_every_byte_below_the_end() {
        loom::model(|| {
            let cells: Cells = (0..2).map(|_| Arc::new(AtomicU64::new(0))).collect();
            let published = Arc::new(Published::new(end(0), cells.clone()));
            let reader = {
                let published = Arc::clone(&published);
                thread::spawn(move || {
                    let first = check_view(&published);
                    assert!(check_view(&published) >= first);
                })
            };
            for position in 0..2_u32 {
                cells[position as usize].store(u64::from(position) + 1, Ordering::Relaxed);
                published.publish(end(position + 1));
            }
            reader.join().expect("the reader's checks hold");
        });
    }

    #[test]
    fn everything_below_what_a_reader_takes_for_stable_is_decided() {
        loom::model(|| {
            let shared = Arc::new((Watermark::new(0), FirstUndecided::none(), AtomicU64::new(0)));
            let reader = {
                let shared = Arc::clone(&shared);
                thread::spawn(move || {
                    let (end, undecided, aborted) = &*shared;
                    let end = end.load();
                    let stable = undecided.load().map_or(end, |first| end.min(first as u64));
                    assert!(stable <= 2, "the second transaction stays open");
                    assert!(
                        stable == 0 || aborted.load(Ordering::Relaxed) == 1,
                        "the first is known as aborted"
                    );
                })
            };
            let (end, undecided, aborted) = &*shared;
            undecided.publish(Some(0));
            end.publish(1);
            aborted.store(1, Ordering::Relaxed);
            undecided.publish(None);
            end.publish(2);
            undecided.publish(Some(2));
            end.publish(3);
            reader.join().expect("the reader's checks hold");
        });
    }

    #[test]
    fn a_larger_map_is_there_before_the_end_that_needs_it() {
        loom::model(|| {
            let small: Cells = vec![Arc::new(AtomicU64::new(0))];
            let published = Arc::new(Published::new(end(0), small.clone()));
            let reader = {
                let published = Arc::clone(&published);
                thread::spawn(move || check_view(&published))
            };
            small[0].store(1, Ordering::Relaxed);
            published.publish(end(1));
            let mut large = small;
            large.push(Arc::new(AtomicU64::new(0)));
            published.replace_map(large.clone());
            large[1].store(2, Ordering::Relaxed);
            published.publish(end(2));

            reader.join().expect("the reader's checks hold");
        });
    }
}
