//! Corrupted: delivered with another checksum than it was sent with.

use std::collections::HashMap;

use super::Finding;
use crate::History;

pub(super) fn check(history: &History) -> Vec<Finding> {
    let mut sent: HashMap<_, _> = history.sends().map(|send| (send.record(), send.checksum)).collect();
    let mut findings = Vec::new();
    for delivery in history.deliveries() {
        let record = delivery.record();
        let Some(checksum) = sent.get(&record).copied().filter(|checksum| *checksum != delivery.checksum)
        else {
            continue;
        };
        sent.remove(&record);
        let detail = format!(
            "sent with checksum {checksum:08x}, delivered to {} with {:08x}",
            delivery.consumer, delivery.checksum
        );
        findings.push(Finding { record: record.to_string(), detail });
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::planted::{found, in_order};
    use super::*;
    use crate::Event;

    #[test]
    fn one_flipped_bit_is_found() {
        let mut deliveries = in_order(&["a", "b", "c"]);
        let Event::Delivery(delivery) = &mut deliveries[1] else { unreachable!("all are deliveries") };
        delivery.checksum ^= 1;
        assert_eq!(found(check, deliveries), ["b"]);
    }
}
