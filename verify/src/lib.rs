//! Histories of what a pipeline sent and delivered, and the checks that judge them.
//!
//! A [`History`] is recorded by whoever sends and receives, in memory or as JSON lines. When everything has been
//! drained it is judged: each of [`CHECKS`] is a pure function from a history to [`Finding`]s, and the [`Verdict`]
//! says in one sentence what they found. The definitions follow Jepsen's Kafka checker; records are told apart by an
//! id of the user's choice, unique within a partition, not by their place in the log.
//!
//! ```
//! use ottla_verify::{Delivery, Event, History, Outcome, Sent, Verdict, checksum};
//!
//! let send = |id: &str| Event::Send(Sent {
//!     producer: "p".into(), topic: "t".into(), partition: 0, id: id.into(),
//!     checksum: checksum(id.as_bytes()), outcome: Outcome::Acked, offset: None,
//! });
//! let delivery = Event::Delivery(Delivery {
//!     consumer: "c".into(), topic: "t".into(), partition: 0, offset: 0, id: "a".into(), checksum: checksum(b"a"),
//! });
//! let history: History = [send("a"), send("b"), delivery].into_iter().collect();
//! let verdict = Verdict::of(&history);
//! assert_eq!(verdict.to_string(), "1 of 2 acknowledged records was lost: b of t-0.");
//! ```

mod checks;
mod history;
mod verdict;

pub use checks::{CHECKS, Check, Finding};
pub use history::{Delivery, Event, History, HistoryError, Outcome, RecordId, Sent, checksum};
pub use verdict::Verdict;
