//! Duplicated: a record at two offsets of its partition, or delivered twice to one consumer.

use std::collections::HashMap;

use super::Finding;
use crate::{Delivery, History};

pub(super) fn check(history: &History) -> Vec<Finding> {
    let mut deliveries: HashMap<_, Vec<&Delivery>> = HashMap::new();
    let mut order = Vec::new();
    for delivery in history.deliveries() {
        let earlier = deliveries.entry(delivery.record()).or_default();
        if earlier.is_empty() {
            order.push(delivery.record());
        }
        earlier.push(delivery);
    }
    let finding = |record| {
        let detail = repetition(&deliveries[&record])?;
        Some(Finding { record: record.to_string(), detail })
    };
    order.into_iter().filter_map(finding).collect()
}

fn repetition(deliveries: &[&Delivery]) -> Option<String> {
    let first = deliveries.first()?;
    if let Some(other) = deliveries.iter().find(|other| other.offset != first.offset) {
        return Some(format!("at offset {} and again at offset {}", first.offset, other.offset));
    }
    let again = deliveries
        .iter()
        .enumerate()
        .find(|(at, delivery)| deliveries[..*at].iter().any(|earlier| earlier.consumer == delivery.consumer));
    again.map(|(_, delivery)| {
        format!("delivered again to {} from offset {}", delivery.consumer, delivery.offset)
    })
}

#[cfg(test)]
mod tests {
    use super::super::planted::{delivery, found, in_order};
    use super::*;

    #[test]
    fn a_record_that_was_written_twice_is_found() {
        assert_eq!(found(check, in_order(&["a", "b", "a", "c"])), ["a"]);
    }

    #[test]
    fn a_record_that_a_consumer_got_twice_is_found_but_two_consumers_may_get_it() {
        let twice =
            vec![delivery("c", 0, "a"), delivery("c", 0, "a"), delivery("d", 1, "b"), delivery("c", 1, "b")];
        assert_eq!(found(check, twice), ["a"]);
    }
}
