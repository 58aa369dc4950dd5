//! Reordered: a consumer got it after a record that the same producer sent later to the same partition.

use std::collections::{HashMap, HashSet};

use super::Finding;
use crate::History;

pub(super) fn check(history: &History) -> Vec<Finding> {
    let sent: HashMap<_, _> =
        history.sends().enumerate().map(|(at, send)| (send.record(), (at, send.producer.as_str()))).collect();
    let mut seen = HashSet::new();
    let mut found = HashSet::new();
    let mut latest = HashMap::new();
    let mut findings = Vec::new();
    for delivery in history.deliveries() {
        let record = delivery.record();
        let Some((at, producer)) = sent.get(&record).copied() else { continue };
        // Only the first delivery has a place in the order; a repetition is another fault.
        if !seen.insert((&delivery.consumer, record)) {
            continue;
        }
        let stream = (&delivery.consumer, record.topic, record.partition, producer);
        let (latest_at, latest_record) = latest.entry(stream).or_insert((at, record));
        if at >= *latest_at {
            (*latest_at, *latest_record) = (at, record);
        } else if found.insert(record) {
            let detail =
                format!("{} got it after {latest_record}, which {producer} sent later", delivery.consumer);
            findings.push(Finding { record: record.to_string(), detail });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::planted::{delivery, found, in_order};
    use super::*;

    #[test]
    fn a_record_that_comes_late_is_found() {
        assert_eq!(found(check, in_order(&["b", "a", "c"])), ["a"]);
    }

    #[test]
    fn a_gap_or_a_repetition_is_not_a_reordering() {
        assert!(found(check, in_order(&["a", "c"])).is_empty());
        let rewound = [("a", 0), ("b", 1), ("a", 0), ("b", 1), ("c", 2)];
        let rewound = rewound.into_iter().map(|(id, offset)| delivery("c", offset, id));
        assert!(found(check, rewound.collect()).is_empty());
    }
}
