//! Lost: acknowledged to its producer, and delivered to nobody.
//!
//! To be judged after a final drain: what has merely not been read yet looks the same.

use std::collections::HashSet;

use super::Finding;
use crate::History;

pub(super) fn check(history: &History) -> Vec<Finding> {
    let delivered: HashSet<_> = history.deliveries().map(|delivery| delivery.record()).collect();
    let lost = history.acked().filter(|send| !delivered.contains(&send.record()));
    let finding = |send: &crate::Sent| Finding {
        record: send.record().to_string(),
        detail: match send.offset {
            Some(offset) => {
                format!("acknowledged to {} at offset {offset}, and never delivered", send.producer)
            }
            None => format!("acknowledged to {}, and never delivered", send.producer),
        },
    };
    lost.map(finding).collect()
}

#[cfg(test)]
mod tests {
    use super::super::planted::{found, in_order, send_with};
    use super::*;
    use crate::Outcome;

    #[test]
    fn a_record_that_nobody_got_is_lost() {
        assert_eq!(found(check, in_order(&["a", "c"])), ["b"]);
    }

    #[test]
    fn what_was_not_acknowledged_cannot_be_lost() {
        let history: History =
            [send_with("x", Outcome::Unknown), send_with("y", Outcome::Failed)].into_iter().collect();
        assert!(check(&history).is_empty());
    }
}
