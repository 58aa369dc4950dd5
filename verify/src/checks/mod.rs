//! What can be wrong with a history: one file a fault, and the one list of them.

mod corrupted;
mod duplicated;
mod lost;
mod offset_reused;
mod reordered;
mod unsent;

use crate::History;

/// Every check, the gravest first. A check that is not here does not run.
pub static CHECKS: &[Check] = &[
    Check { name: "lost", verb: "lost", run: lost::check },
    Check { name: "corrupted", verb: "corrupted", run: corrupted::check },
    Check {
        name: "offset-reused",
        verb: "found at an offset that another record has",
        run: offset_reused::check,
    },
    Check { name: "unsent", verb: "delivered without having been sent", run: unsent::check },
    Check { name: "duplicated", verb: "delivered more than once", run: duplicated::check },
    Check { name: "reordered", verb: "delivered out of order", run: reordered::check },
];

/// One kind of fault.
#[derive(Debug)]
pub struct Check {
    pub name: &'static str,
    /// What happened to a record, as it stands behind "was" in a verdict.
    pub verb: &'static str,
    /// At most one finding a record.
    pub run: fn(&History) -> Vec<Finding>,
}

/// A record that something happened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// As [`crate::RecordId`] shows it.
    pub record: String,
    /// What was seen, as a clause.
    pub detail: String,
}

#[cfg(test)]
pub(crate) mod planted {
    //! A small run to plant faults into.

    use super::*;
    use crate::{Delivery, Event, Outcome, Sent, checksum};

    pub(crate) fn send(id: &str) -> Event {
        send_with(id, Outcome::Acked)
    }

    pub(crate) fn send_with(id: &str, outcome: Outcome) -> Event {
        Event::Send(Sent {
            producer: "p".to_owned(),
            topic: "t".to_owned(),
            partition: 0,
            id: id.to_owned(),
            checksum: checksum(id.as_bytes()),
            outcome,
            offset: None,
        })
    }

    pub(crate) fn delivery(consumer: &str, offset: i64, id: &str) -> Event {
        Event::Delivery(Delivery {
            consumer: consumer.to_owned(),
            topic: "t".to_owned(),
            partition: 0,
            offset,
            id: id.to_owned(),
            checksum: checksum(id.as_bytes()),
        })
    }

    /// The ids of the records that `check` finds fault with, after a run of "a", "b", "c" and these `deliveries`.
    pub(crate) fn found(check: fn(&History) -> Vec<Finding>, deliveries: Vec<Event>) -> Vec<String> {
        let history: History = ["a", "b", "c"].into_iter().map(send).chain(deliveries).collect();
        check(&history).into_iter().map(|finding| finding.record.replace(" of t-0", "")).collect()
    }

    pub(crate) fn in_order(ids: &[&str]) -> Vec<Event> {
        (0..).zip(ids).map(|(offset, id)| delivery("c", offset, id)).collect()
    }

    #[test]
    fn a_run_without_faults_passes_every_check() {
        for check in CHECKS {
            let found = found(check.run, in_order(&["a", "b", "c"]));
            assert!(found.is_empty(), "{}: {found:?}", check.name);
        }
    }
}
