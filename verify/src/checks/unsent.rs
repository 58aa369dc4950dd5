//! Unsent: delivered from a partition to which nobody sent it, or although its send failed (Jepsen's G1a, "aborted
//! read", among others).

use std::collections::{HashMap, HashSet};

use super::Finding;
use crate::{History, Outcome};

pub(super) fn check(history: &History) -> Vec<Finding> {
    let outcomes: HashMap<_, _> = history.sends().map(|send| (send.record(), send.outcome)).collect();
    let mut seen = HashSet::new();
    let mut findings = Vec::new();
    for delivery in history.deliveries().filter(|delivery| seen.insert(delivery.record())) {
        let detail = match outcomes.get(&delivery.record()) {
            Some(Outcome::Acked | Outcome::Unknown) => continue,
            Some(Outcome::Failed) => "its send failed",
            None => "nobody sent it there",
        };
        let detail =
            format!("delivered to {} from offset {}, and {detail}", delivery.consumer, delivery.offset);
        findings.push(Finding { record: delivery.record().to_string(), detail });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::planted::{delivery, found, in_order, send_with};
    use super::*;

    #[test]
    fn a_record_from_nowhere_is_found() {
        assert_eq!(found(check, in_order(&["a", "x", "b", "c"])), ["x"]);
    }

    #[test]
    fn a_send_that_failed_must_not_be_delivered_but_an_unanswered_one_may() {
        let sends = [send_with("y", Outcome::Failed), send_with("z", Outcome::Unknown)];
        let events = sends.into_iter().chain([delivery("c", 3, "y"), delivery("c", 4, "z")]);
        assert_eq!(found(check, events.collect()), ["y"]);
    }
}
