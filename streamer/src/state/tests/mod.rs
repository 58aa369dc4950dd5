//! A store against a map in memory, killed, and with damaged files.

mod damage;
mod kill;
mod model;

use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;

use super::{StateColumn, StateDescription, StateError, StateMemory, StateStore};

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

fn description() -> StateDescription {
    let column = |name: &str| StateColumn { name: name.to_owned(), data_type: "Utf8".to_owned() };
    StateDescription { keys: vec![column("word")], values: vec![column("count")] }
}

fn open(folder: &Path, version: u64, memory_limit: usize) -> Result<StateStore, StateError> {
    StateStore::open(folder, version, &description(), &StateMemory::new(memory_limit))
}

fn rows(store: &StateStore) -> Result<Rows, StateError> {
    range(store, Bound::Unbounded, Bound::Unbounded)
}

fn range(store: &StateStore, from: Bound<&[u8]>, to: Bound<&[u8]>) -> Result<Rows, StateError> {
    store.range(from, to).map(|row| row.map(|(key, value)| (key.to_vec(), value.to_vec()))).collect()
}

#[test]
fn a_version_is_there_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path(), 0, 1 << 20).unwrap();
    store.put(b"a", b"1").unwrap();
    store.put(b"b", b"").unwrap();
    store.commit(1).unwrap();
    store.remove(b"a").unwrap();
    store.remove(b"never there").unwrap();
    store.commit(2).unwrap();
    store.put(b"c", b"3").unwrap();
    drop(store);
    for (version, wanted) in [(0, vec![]), (1, vec![&b"a"[..], b"b"]), (2, vec![b"b"])] {
        let mut store = open(folder.path(), version, 1 << 20).unwrap();
        assert_eq!(rows(&store).unwrap().into_keys().collect::<Vec<_>>(), wanted);
        assert_eq!(store.count().unwrap(), wanted.len() as u64);
    }
    let error = open(folder.path(), 3, 1 << 20).unwrap_err();
    assert!(matches!(error, StateError::Missing { version: 3, .. }), "{error}");
}

#[test]
fn the_state_of_another_query_is_refused_by_its_columns() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), 0, 1 << 20).unwrap().commit(1).unwrap();
    let mut other = description();
    other.values.clear();
    let options = StateMemory::new(1 << 20);
    let error = StateStore::open(folder.path(), 1, &other, &options).unwrap_err().to_string();
    assert!(error.contains("values (count Utf8)") && error.contains("1.manifest"), "{error}");
}

#[test]
fn a_batch_without_changes_writes_one_file_and_a_small_one_two() {
    let folder = tempfile::tempdir().unwrap();
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    let mut store = open(folder.path(), 0, 1 << 20).unwrap();
    store.put(b"a", b"1").unwrap();
    store.commit(1).unwrap();
    assert_eq!(files(), 2);
    store.remove(b"b").unwrap();
    store.commit(2).unwrap();
    assert_eq!(files(), 3);
}

#[test]
fn evicted_rows_at_the_front_are_not_walked_over_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = open(folder.path(), 0, 1 << 20).unwrap();
    for number in 0..20_000u32 {
        store.put(&number.to_be_bytes(), b"x").unwrap();
    }
    store.commit(1).unwrap();
    let end = 15_000u32.to_be_bytes();
    assert_eq!(store.remove_range(Bound::Unbounded, Bound::Excluded(&end)).unwrap(), 15_000);
    let first =
        |store: &StateStore| store.range(Bound::Unbounded, Bound::Unbounded).next().unwrap().unwrap().0;
    assert_eq!(first(&store), &end[..]);
    assert_eq!(store.gap.skip(b""), Some(first(&store)));
    store.put(&7u32.to_be_bytes(), b"again").unwrap();
    assert_eq!(first(&store), &7u32.to_be_bytes()[..]);
    store.rollback().unwrap();
    assert_eq!(first(&store), &[0; 4][..]);
    assert_eq!(rows(&store).unwrap().len(), 20_000);
}
