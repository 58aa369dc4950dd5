//! When the timer looks next. A broker without transactions has nothing to look for, and does not wake.

/// The next looks, on the monotonic clock; `None` while there is nothing to find.
#[derive(Debug, Default)]
pub(super) struct Checks {
    unfinished_ms: Option<i64>,
    expiry_ms: Option<i64>,
}

/// What is to be looked for now.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) unfinished: bool,
    pub(super) expiry: bool,
}

impl Checks {
    /// There is a transaction that may have to be ended. True if the timer has to be told.
    pub(super) fn expect_unfinished(&mut self, at_ms: i64) -> bool {
        expect(&mut self.unfinished_ms, at_ms)
    }

    /// There is an id that may expire. True if the timer has to be told.
    pub(super) fn expect_expiry(&mut self, at_ms: i64) -> bool {
        expect(&mut self.expiry_ms, at_ms)
    }

    pub(super) fn next_ms(&self) -> Option<i64> {
        self.unfinished_ms.into_iter().chain(self.expiry_ms).min()
    }

    /// What has come due is looked for once.
    pub(super) fn take_due(&mut self, now_ms: i64) -> Due {
        let take = |at_ms: &mut Option<i64>| at_ms.take_if(|at_ms| *at_ms <= now_ms).is_some();
        Due { unfinished: take(&mut self.unfinished_ms), expiry: take(&mut self.expiry_ms) }
    }
}

/// A look that is planned already comes sooner.
fn expect(planned_ms: &mut Option<i64>, at_ms: i64) -> bool {
    let is_new = planned_ms.is_none();
    planned_ms.get_or_insert(at_ms);
    is_new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_is_planned_once_and_taken_when_it_is_due() {
        let mut checks = Checks::default();
        assert_eq!(checks.next_ms(), None);
        assert!(checks.expect_unfinished(10));
        assert!(!checks.expect_unfinished(20));
        assert!(checks.expect_expiry(15));
        assert_eq!(checks.next_ms(), Some(10));
        assert_eq!(checks.take_due(9), Due::default());
        assert_eq!(checks.take_due(10), Due { unfinished: true, expiry: false });
        assert_eq!(checks.next_ms(), Some(15));
    }
}
