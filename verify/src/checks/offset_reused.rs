//! Offset reused: one offset of a partition stands for two records (Jepsen's `inconsistent-offsets`).
//!
//! What producers were told counts as much as what consumers got: a truncated tail that is written anew shows itself
//! in the first only.

use std::collections::HashMap;

use super::Finding;
use crate::{History, RecordId};

pub(super) fn check(history: &History) -> Vec<Finding> {
    let acked = history.acked().filter_map(|send| Some((send.record(), send.offset?)));
    let delivered = history.deliveries().map(|delivery| (delivery.record(), delivery.offset));
    let mut holders: HashMap<(&str, i32, i64), RecordId<'_>> = HashMap::new();
    let mut findings: Vec<Finding> = Vec::new();
    for (record, offset) in acked.chain(delivered) {
        let holder = *holders.entry((record.topic, record.partition, offset)).or_insert(record);
        let name = record.to_string();
        if holder != record && findings.iter().all(|finding| finding.record != name) {
            findings.push(Finding { record: name, detail: format!("at offset {offset}, as is {holder}") });
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::planted::{delivery, found, send};
    use super::*;
    use crate::Event;

    #[test]
    fn two_consumers_that_see_different_records_at_an_offset_show_it() {
        assert_eq!(found(check, vec![delivery("c", 0, "a"), delivery("d", 0, "b")]), ["b"]);
    }

    #[test]
    fn an_acknowledged_offset_counts() {
        let Event::Send(mut acked) = send("z") else { unreachable!("it is a send") };
        acked.offset = Some(0);
        assert_eq!(found(check, vec![delivery("c", 0, "a"), Event::Send(acked)]), ["a"]);
    }
}
