//! Whatever is done to a store, it answers as a map does.

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Rows, StateStore, open, range, rows};

#[derive(Clone, Debug)]
enum Step {
    Put(Vec<u8>, Vec<u8>),
    Remove(Vec<u8>),
    RemoveRange(Bound<Vec<u8>>, Bound<Vec<u8>>),
    GetMany(Vec<Vec<u8>>),
    Range(Bound<Vec<u8>>, Bound<Vec<u8>>),
    Prefix(Vec<u8>),
    Count,
    Commit,
    Rollback,
    /// At a version so many back.
    Reopen(u64),
    /// All versions but so many.
    Purge(u64),
}

/// Few letters, so that keys meet; 0 and 255 because they are at the ends.
fn key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop::sample::select(vec![0, 1, b'a', b'b', b'c', 254, 255]), 0..5)
}

fn bound() -> impl Strategy<Value = Bound<Vec<u8>>> {
    prop_oneof![Just(Bound::Unbounded), key().prop_map(Bound::Included), key().prop_map(Bound::Excluded)]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => (key(), vec(any::<u8>(), 0..40)).prop_map(|(key, value)| Step::Put(key, value)),
        10 => key().prop_map(Step::Remove),
        3 => (bound(), bound()).prop_map(|(from, to)| Step::RemoveRange(from, to)),
        10 => vec(key(), 0..20).prop_map(Step::GetMany),
        4 => (bound(), bound()).prop_map(|(from, to)| Step::Range(from, to)),
        4 => key().prop_map(Step::Prefix),
        2 => Just(Step::Count),
        12 => Just(Step::Commit),
        2 => Just(Step::Rollback),
        2 => (0..4u64).prop_map(Step::Reopen),
        2 => (1..5u64).prop_map(Step::Purge),
    ]
}

struct Model {
    store: StateStore,
    rows: Rows,
    version: u64,
    sealed: BTreeMap<u64, Rows>,
    memory_limit: usize,
    folder: tempfile::TempDir,
}

impl Model {
    fn new(memory_limit: usize) -> Model {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path(), 0, memory_limit).unwrap();
        let sealed = BTreeMap::from([(0, Rows::new())]);
        Model { store, rows: Rows::new(), version: 0, sealed, memory_limit, folder }
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Count => assert_eq!(self.store.count().unwrap(), self.rows.len() as u64),
            Step::Put(key, value) => {
                self.store.put(&key, &value).unwrap();
                self.rows.insert(key, value);
            }
            Step::Remove(key) => {
                self.store.remove(&key).unwrap();
                self.rows.remove(&key);
            }
            Step::RemoveRange(from, to) => {
                let (from, to) = (slice(&from), slice(&to));
                let removed = self.store.remove_range(from, to).unwrap();
                let before = self.rows.len();
                self.rows.retain(|key, _| !(from, to).contains_key(key));
                assert_eq!(removed, (before - self.rows.len()) as u64);
            }
            Step::GetMany(mut keys) => {
                keys.sort();
                let keys: Vec<_> = keys.iter().map(Vec::as_slice).collect();
                let values = self.store.get_many(&keys).unwrap();
                let wanted: Vec<_> = keys.iter().map(|key| self.rows.get(*key)).collect();
                assert_eq!(
                    values.iter().map(|value| value.as_ref().map(|value| value.to_vec())).collect::<Vec<_>>(),
                    wanted.into_iter().map(Option::<&Vec<u8>>::cloned).collect::<Vec<_>>()
                );
            }
            Step::Range(from, to) => {
                let (from, to) = (slice(&from), slice(&to));
                let wanted: Rows =
                    self.rows.clone().into_iter().filter(|(key, _)| (from, to).contains_key(key)).collect();
                assert_eq!(range(&self.store, from, to).unwrap(), wanted);
            }
            Step::Prefix(prefix) => {
                let found: Vec<_> = self.store.prefix(&prefix).map(|row| row.unwrap().0.to_vec()).collect();
                let wanted = self.rows.keys().filter(|key| key.starts_with(&prefix));
                assert_eq!(found, wanted.cloned().collect::<Vec<_>>());
            }
            Step::Commit => self.commit(),
            Step::Rollback => {
                self.store.rollback().unwrap();
                self.rows = self.sealed[&self.version].clone();
            }
            Step::Reopen(back) => self.reopen(self.version.saturating_sub(back)),
            Step::Purge(kept) => {
                let keep_from = self.version.saturating_sub(kept);
                self.store.purge(keep_from).unwrap();
                self.sealed.retain(|version, _| *version == 0 || *version >= keep_from);
            }
        }
    }

    fn commit(&mut self) {
        self.version += 1;
        self.store.commit(self.version).unwrap();
        assert_eq!(self.store.count().unwrap(), self.rows.len() as u64);
        self.sealed.insert(self.version, self.rows.clone());
    }

    fn reopen(&mut self, version: u64) {
        if let Some(rows) = self.sealed.get(&version) {
            self.store = open(self.folder.path(), version, self.memory_limit).unwrap();
            (self.version, self.rows) = (version, rows.clone());
            assert_eq!(self.store.count().unwrap(), self.rows.len() as u64);
        }
    }

    fn check(mut self) {
        assert_eq!(rows(&self.store).unwrap(), self.rows);
        let versions: Vec<_> = self.sealed.keys().copied().collect();
        for version in versions {
            self.reopen(version);
            assert_eq!(rows(&self.store).unwrap(), self.rows, "version {version}");
        }
    }
}

trait ContainsKey {
    fn contains_key(&self, key: &[u8]) -> bool;
}

impl ContainsKey for (Bound<&[u8]>, Bound<&[u8]>) {
    fn contains_key(&self, key: &[u8]) -> bool {
        std::ops::RangeBounds::<[u8]>::contains(self, key)
    }
}

fn slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_store_is_a_map(steps in vec(step(), 1..400), memory_limit in prop::sample::select(vec![0, 2_000, 20_000, 1 << 20])) {
        let mut model = Model::new(memory_limit);
        steps.into_iter().for_each(|step| model.apply(step));
        model.check();
    }
}

#[test]
fn merges_that_last_over_many_commits_lose_nothing() {
    let mut model = Model::new(512 << 10);
    let mut random = 1u64;
    for batch in 0..300 {
        for _ in 0..200 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let key = ((random >> 33) % 20_000).to_be_bytes().to_vec();
            model.apply(match random >> 60 {
                0 => Step::Remove(key),
                _ => Step::Put(key, random.to_be_bytes().repeat(12)),
            });
        }
        model.apply(Step::Commit);
        model.apply(Step::Purge(3));
        if batch % 70 == 69 {
            model.apply(Step::Reopen(2));
        }
        assert!(model.store.memory_bytes() < 512 << 10, "{}", model.store.memory_bytes());
    }
    let files = std::fs::read_dir(model.folder.path()).unwrap().count();
    assert!(files < 60, "{files}");
    model.check();
}
