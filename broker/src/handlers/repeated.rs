//! Names that a request has several times.

use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;

/// What comes more than once. Where it could mean either of two things, Kafka refuses it.
pub(super) fn repeated<T: Ord + Hash + Clone>(all: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut seen = HashSet::new();
    all.filter(|item| !seen.insert(item.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_several_times_is_found_once() {
        let found = repeated(["a", "b", "a", "c", "a", "b"].into_iter());
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }
}
