//! A process that is killed between any two changes of files, and in the middle of each write, leaves all sealed versions.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::disk::kill;
use super::{Rows, StateError, StateStore, open, rows};

const MEMORY_LIMIT: usize = 2_000;

/// Commits versions from `from` on, and says of each in `sealed` what it holds, before it is sealed.
fn run(folder: &Path, from: u64, to: u64, sealed: &mut BTreeMap<u64, Rows>) -> Result<(), StateError> {
    let mut store = open(folder, from, MEMORY_LIMIT)?;
    let mut expected = sealed[&from].clone();
    for version in from + 1..=to {
        change(&mut store, &mut expected, version)?;
        sealed.insert(version, expected.clone());
        store.commit(version)?;
        store.purge(version.saturating_sub(2))?;
    }
    Ok(())
}

fn change(store: &mut StateStore, expected: &mut Rows, version: u64) -> Result<(), StateError> {
    for number in 0..12 {
        let key = (version * 7 + number * 5) % 40;
        let key = format!("key-{key:02}").into_bytes();
        if number % 4 == 3 {
            store.remove(&key)?;
            expected.remove(&key);
        } else {
            let value = format!("value of version {version}").into_bytes();
            store.put(&key, &value)?;
            expected.insert(key, value);
        }
    }
    Ok(())
}

#[test]
fn every_sealed_version_survives_a_kill_at_any_step() {
    let mut kills = 0;
    for operations in 0.. {
        let folder = tempfile::tempdir().unwrap();
        let mut sealed = BTreeMap::from([(0, Rows::new())]);
        kill::after(Some(operations));
        let ended = run(folder.path(), 0, 14, &mut sealed);
        let killed = kill::happened();
        kill::after(None);
        if !killed {
            ended.unwrap();
            break;
        }
        kills += 1;
        let version = *sealed.last_key_value().unwrap().0;
        // The version that was just being sealed is there whole, or the one before is.
        let found = match open(folder.path(), version, MEMORY_LIMIT) {
            Err(StateError::Missing { .. }) => version - 1,
            opened => {
                assert_eq!(rows(&opened.unwrap()).unwrap(), sealed[&version], "{operations}");
                version
            }
        };
        for version in found.saturating_sub(1)..=found {
            let mut store = open(folder.path(), version, MEMORY_LIMIT).unwrap();
            assert_eq!(rows(&store).unwrap(), sealed[&version], "version {version} after {operations}");
            assert_eq!(store.count().unwrap(), sealed[&version].len() as u64);
        }
        // Goes on, from one before as a batch that runs again does.
        run(folder.path(), found.saturating_sub(1), found + 6, &mut sealed).unwrap();
        let store = open(folder.path(), found + 6, MEMORY_LIMIT).unwrap();
        assert_eq!(rows(&store).unwrap(), sealed[&(found + 6)], "after {operations}");
    }
    assert!(kills > 100, "{kills}");
}
