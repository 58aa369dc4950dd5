//! Names that a request has several times.

use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;

/// What comes more than once. Where it could mean either of two things, Kafka refuses it.
pub(super) fn repeated<T: Ord + Hash + Clone>(all: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut seen = HashSet::new();
    all.filter(|item| !seen.insert(item.clone())).collect()
}

/// Leaves of those with the same key the first alone. An answer may be many times as long as the name that asks for it.
pub(super) fn keep_firsts<T, K: Eq + Hash>(all: &mut Vec<T>, key: impl Fn(&T) -> K) {
    let mut seen = HashSet::new();
    all.retain(|item| seen.insert(key(item)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_several_times_is_found_once() {
        let found = repeated(["a", "b", "a", "c", "a", "b"].into_iter());
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn of_those_with_the_same_key_the_first_is_left() {
        let mut all = vec![("a", 1), ("b", 2), ("a", 3)];
        keep_firsts(&mut all, |(name, _)| *name);
        assert_eq!(all, [("a", 1), ("b", 2)]);
    }
}
