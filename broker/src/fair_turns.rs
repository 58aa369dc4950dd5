//! Requests that take long do not hold up those that are short.
//!
//! Each poll of a connection's task is a *turn*. Slow connections, many of whose turns are long because they ask for much
//! or send much at a time, take theirs on threads of their own, half as many as serve the others: so somebody always
//! looks after the sockets, and the system sees which threads are busy and which only now and then. A connection that
//! nobody else is there to be held up by takes its turns where it is, slow or not.

use std::future::Future;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinHandle, spawn_blocking};

use crate::clock::Clock;

/// A turn that takes longer is long: several times what it takes to append a small batch and to answer.
const LONG: Duration = Duration::from_micros(100);

/// A connection is slow when so many of its last 32 turns were long. The system makes any turn long now and then, when it
/// runs something else meanwhile.
const LONG_ONES: u32 = 3;

pub(crate) struct FairTurns {
    clock: Clock,
    threads: u32,
    /// How many long turns may begin.
    long_turns: Arc<Semaphore>,
    /// How many turns there have been.
    turns: AtomicU64,
}

impl FairTurns {
    /// For connections that this runtime serves.
    pub(crate) fn new(clock: Clock, runtime: &Handle) -> FairTurns {
        let threads = match runtime.runtime_flavor() {
            RuntimeFlavor::MultiThread => runtime.metrics().num_workers().div_ceil(2),
            // Whoever has one thread wants no more.
            _ => 0,
        };
        FairTurns::on_threads(clock, threads)
    }

    fn on_threads(clock: Clock, threads: usize) -> FairTurns {
        let (threads, long_turns) = (threads as u32, Arc::new(Semaphore::new(threads)));
        FairTurns { clock, threads, long_turns, turns: AtomicU64::new(0) }
    }

    /// Does a connection's work turn by turn.
    pub(crate) fn take<W: Future>(self: &Arc<FairTurns>, work: W) -> Turns<W> {
        Turns {
            place: Place::Here(Box::pin(work)),
            last_turns: 0,
            last_number: 0,
            waker: None,
            fair: Arc::clone(self),
        }
    }

    /// Returns when no turn is taken on a thread of its own any more, and lets none begin.
    pub(crate) async fn end(&self) {
        let _all = self.long_turns.acquire_many(self.threads).await;
        self.long_turns.close();
    }
}

/// A connection's work.
pub(crate) struct Turns<W: Future> {
    place: Place<W>,
    /// A bit each: 1 for a long one.
    last_turns: u32,
    last_number: u64,
    /// For turns that are taken elsewhere.
    waker: Option<Arc<WorkWaker>>,
    fair: Arc<FairTurns>,
}

enum Place<W: Future> {
    Here(Work<W>),
    /// Until a thread for long turns is free.
    Queued(Work<W>, Pin<Box<dyn Future<Output = Permit> + Send>>),
    Away(JoinHandle<Turn<W>>),
    Ended,
}

type Work<W> = Pin<Box<W>>;
type Permit = Result<OwnedSemaphorePermit, AcquireError>;

/// A turn that was taken.
struct Turn<W: Future> {
    work: Work<W>,
    polled: Poll<W::Output>,
    time: Duration,
}

/// Tells a turn that is taken elsewhere from the work that it was for.
struct WorkWaker {
    task: Waker,
    has_woken: AtomicBool,
}

impl Wake for WorkWaker {
    fn wake(self: Arc<WorkWaker>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<WorkWaker>) {
        self.has_woken.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl<W> Future for Turns<W>
where
    W: Future<Output: Send> + Send + 'static,
{
    type Output = W::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<W::Output> {
        loop {
            match std::mem::replace(&mut self.place, Place::Ended) {
                Place::Here(work) if self.goes_elsewhere() => {
                    let permit = Arc::clone(&self.fair.long_turns).acquire_owned();
                    self.place = Place::Queued(work, Box::pin(permit));
                }
                Place::Here(work) => {
                    let turn = take_turn(work, &self.fair.clock, cx);
                    return self.after(turn);
                }
                Place::Queued(work, mut permit) => match permit.as_mut().poll(cx) {
                    Poll::Ready(Ok(permit)) => {
                        self.place = Place::Away(self.take_elsewhere(work, permit, cx));
                    }
                    // The broker ends.
                    Poll::Ready(Err(_)) => return Poll::Pending,
                    Poll::Pending => {
                        self.place = Place::Queued(work, permit);
                        return Poll::Pending;
                    }
                },
                Place::Away(mut turn) => match Pin::new(&mut turn).poll(cx) {
                    Poll::Ready(Ok(turn)) => {
                        let polled = self.after(turn);
                        if polled.is_ready() || !self.was_woken_elsewhere() {
                            return polled;
                        }
                    }
                    Poll::Ready(Err(error)) => match error.try_into_panic() {
                        Ok(panic) => resume_unwind(panic),
                        Err(_runtime_ends) => return Poll::Pending,
                    },
                    Poll::Pending => {
                        self.place = Place::Away(turn);
                        return Poll::Pending;
                    }
                },
                Place::Ended => return Poll::Pending,
            }
        }
    }
}

impl<W> Turns<W>
where
    W: Future<Output: Send> + Send + 'static,
{
    /// To be asked once for each turn.
    fn goes_elsewhere(&mut self) -> bool {
        let number = self.fair.turns.fetch_add(1, Ordering::Relaxed);
        let is_alone = number == std::mem::replace(&mut self.last_number, number + 1);
        self.is_slow() && self.fair.threads > 0 && !is_alone
    }

    fn is_slow(&self) -> bool {
        self.last_turns.count_ones() >= LONG_ONES
    }

    fn take_elsewhere(
        &mut self,
        work: Work<W>,
        permit: OwnedSemaphorePermit,
        cx: &Context<'_>,
    ) -> JoinHandle<Turn<W>> {
        let new = || Arc::new(WorkWaker { task: cx.waker().clone(), has_woken: AtomicBool::new(false) });
        let waker = Arc::clone(self.waker.get_or_insert_with(new));
        waker.has_woken.store(false, Ordering::Relaxed);
        let clock = self.fair.clock.clone();
        spawn_blocking(move || {
            let _permit = permit;
            take_turn(work, &clock, &mut Context::from_waker(&waker.into()))
        })
    }

    fn was_woken_elsewhere(&self) -> bool {
        self.waker.as_ref().is_some_and(|waker| waker.has_woken.load(Ordering::Acquire))
    }

    fn after(&mut self, turn: Turn<W>) -> Poll<W::Output> {
        self.last_turns = self.last_turns << 1 | u32::from(turn.time > LONG);
        if turn.polled.is_pending() {
            self.place = Place::Here(turn.work);
        }
        turn.polled
    }
}

fn take_turn<W: Future>(mut work: Work<W>, clock: &Clock, cx: &mut Context<'_>) -> Turn<W> {
    let started_at = clock.monotonic();
    let polled = work.as_mut().poll(cx);
    Turn { work, polled, time: clock.monotonic().saturating_sub(started_at) }
}

#[cfg(test)]
mod tests {
    use std::thread::{self, ThreadId};

    use futures::poll;
    use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

    use super::*;

    const NOT_SLOW_YET: usize = LONG_ONES as usize;

    /// Takes so long for each turn, tells on which thread it was, and wants another one until it has had all.
    struct Reporting {
        clock: Clock,
        turn: Duration,
        turns_left: u32,
        to: UnboundedSender<ThreadId>,
    }

    impl Future for Reporting {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
            self.clock.advance(self.turn);
            self.turns_left -= 1;
            self.to.send(thread::current().id()).unwrap();
            cx.waker().wake_by_ref();
            if self.turns_left == 0 { Poll::Ready(()) } else { Poll::Pending }
        }
    }

    struct Taking {
        turns: Turns<Reporting>,
        threads: UnboundedReceiver<ThreadId>,
    }

    impl Taking {
        fn new(fair: &Arc<FairTurns>, turn_ms: u64, turns_left: u32) -> Taking {
            let (to, threads) = unbounded_channel();
            let (clock, turn) = (fair.clock.clone(), Duration::from_millis(turn_ms));
            Taking { turns: fair.take(Reporting { clock, turn, turns_left, to }), threads }
        }

        /// Whether each turn since the last call was taken on this thread.
        fn were_here(&mut self) -> Vec<bool> {
            let taken = std::iter::from_fn(|| self.threads.try_recv().ok());
            taken.map(|thread| thread == thread::current().id()).collect()
        }
    }

    /// One connection that is slow, and one that is not and has just had a turn.
    async fn slow_and_short(fair: &Arc<FairTurns>) -> (Taking, Taking) {
        let (mut slow, mut short) = (Taking::new(fair, 1, 9), Taking::new(fair, 0, 3));
        for _ in 0..NOT_SLOW_YET {
            assert!(poll!(&mut slow.turns).is_pending());
        }
        assert!(poll!(&mut short.turns).is_pending());
        assert_eq!((slow.were_here(), short.were_here()), (vec![true; NOT_SLOW_YET], vec![true]));
        (slow, short)
    }

    #[tokio::test]
    async fn the_turns_of_a_slow_connection_are_taken_elsewhere_while_others_are_there() {
        let fair = Arc::new(FairTurns::on_threads(Clock::manual(0), 1));
        let (mut slow, mut short) = slow_and_short(&fair).await;
        assert!(poll!(&mut slow.turns).is_pending());
        (&mut short.turns).await;
        (&mut slow.turns).await;
        let [first, others @ ..] = &slow.were_here()[..] else { panic!("no turn") };
        assert_eq!((*first, others.len()), (false, 8 - NOT_SLOW_YET));
        assert_eq!(short.were_here(), [true; 2]);
    }

    #[tokio::test]
    async fn a_long_turn_waits_for_another_one_and_a_short_one_does_not() {
        let fair = Arc::new(FairTurns::on_threads(Clock::manual(0), 1));
        let (mut slow, mut short) = slow_and_short(&fair).await;
        let other_turn = Arc::clone(&fair.long_turns).acquire_owned().await.unwrap();
        for _ in 0..2 {
            assert!(poll!(&mut slow.turns).is_pending());
        }
        (&mut short.turns).await;
        assert_eq!((slow.were_here().len(), short.were_here().len()), (0, 2));
        drop(other_turn);
        (&mut slow.turns).await;
        assert_eq!(slow.were_here().len(), 9 - NOT_SLOW_YET);
    }

    #[tokio::test]
    async fn a_slow_connection_that_is_alone_goes_nowhere() {
        let fair = Arc::new(FairTurns::on_threads(Clock::manual(0), 1));
        let mut slow = Taking::new(&fair, 1, 9);
        (&mut slow.turns).await;
        assert_eq!(slow.were_here(), [true; 9]);
    }

    #[tokio::test]
    async fn after_the_end_no_turn_is_taken_elsewhere() {
        let fair = Arc::new(FairTurns::on_threads(Clock::manual(0), 1));
        let (mut slow, _short) = slow_and_short(&fair).await;
        fair.end().await;
        assert!(poll!(&mut slow.turns).is_pending());
        assert_eq!(slow.were_here().len(), 0);
    }

    #[tokio::test]
    async fn a_connection_is_slow_while_several_of_its_last_turns_were_long() {
        let fair = Arc::new(FairTurns::on_threads(Clock::manual(0), 0));
        let (mut long, mut short) = (Taking::new(&fair, 1, 99), Taking::new(&fair, 0, 99));
        for _ in 0..NOT_SLOW_YET {
            assert!(!long.turns.is_slow());
            assert!(poll!(&mut long.turns).is_pending() && poll!(&mut short.turns).is_pending());
        }
        assert!(long.turns.is_slow() && !short.turns.is_slow());
        short.turns.last_turns = long.turns.last_turns;
        for _ in 0..32 {
            assert!(poll!(&mut short.turns).is_pending());
        }
        assert!(!short.turns.is_slow());
    }
}
