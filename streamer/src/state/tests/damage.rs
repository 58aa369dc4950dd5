//! A damaged file is named, and never makes a wrong answer.

use std::fs;
use std::path::{Path, PathBuf};

use super::super::StateReader;
use super::{Rows, StateError, open, rows};

const MEMORY_LIMIT: usize = 1 << 10;

fn state(folder: &Path) -> Rows {
    let mut store = open(folder, 0, MEMORY_LIMIT).unwrap();
    for version in 1..=3 {
        for key in 0..10 {
            let key = format!("key-{}-{}", key, version % 2);
            store.put(key.as_bytes(), format!("value-{version}").as_bytes()).unwrap();
        }
        store.commit(version).unwrap();
    }
    rows(&store).unwrap()
}

/// The rows of version 3 by a scan and by lookups.
fn read(folder: &Path, keys: &Rows) -> Result<Rows, StateError> {
    let store = open(folder, 3, MEMORY_LIMIT)?;
    let scanned = rows(&store)?;
    let keys: Vec<_> = keys.keys().map(Vec::as_slice).collect();
    let values = store.get_many(&keys)?;
    let found = keys.iter().zip(values).filter_map(|(key, value)| Some((key.to_vec(), value?.to_vec())));
    assert_eq!(found.collect::<Rows>(), scanned);
    Ok(scanned)
}

/// Those of version 3.
fn files(folder: &Path) -> Vec<PathBuf> {
    let runs = StateReader::open(folder, 3).unwrap().files();
    let runs = runs.into_iter().map(|run| folder.join(run.name));
    runs.chain([folder.join("3.manifest")]).collect()
}

/// Puts the content in the place of the file's, and wants an error that names the file.
fn assert_found(folder: &Path, path: &Path, content: Option<&[u8]>, good: &Rows, what: &str) {
    let whole = fs::read(path).unwrap();
    match content {
        Some(content) => fs::write(path, content).unwrap(),
        None => fs::remove_file(path).unwrap(),
    }
    match read(folder, good) {
        Err(StateError::Damaged { path: named, .. }) => assert_eq!(named, path, "{what}"),
        Err(StateError::Missing { version: 3, .. }) if content.is_none() => {}
        Err(error) => panic!("{what} of {}: {error}", path.display()),
        Ok(_) => panic!("{what} of {} was not found", path.display()),
    }
    fs::write(path, whole).unwrap();
    assert_eq!(&read(folder, good).unwrap(), good);
}

#[test]
fn any_bit_that_flips_is_found_and_its_file_named() {
    let folder = tempfile::tempdir().unwrap();
    let good = state(folder.path());
    for path in files(folder.path()) {
        let whole = fs::read(&path).unwrap();
        for place in 0..whole.len() {
            let mut content = whole.clone();
            content[place] ^= 1 << (place % 8);
            assert_found(folder.path(), &path, Some(&content), &good, &format!("bit in byte {place}"));
        }
    }
}

#[test]
fn any_truncation_or_loss_is_found_and_its_file_named() {
    let folder = tempfile::tempdir().unwrap();
    let good = state(folder.path());
    for path in files(folder.path()) {
        let whole = fs::read(&path).unwrap();
        for length in 0..whole.len() {
            assert_found(folder.path(), &path, Some(&whole[..length]), &good, &format!("end {length}"));
        }
        let longer = [&whole[..], b"x"].concat();
        assert_found(folder.path(), &path, Some(&longer), &good, "more at the end");
        assert_found(folder.path(), &path, None, &good, "loss");
    }
}

#[test]
fn a_run_of_another_state_in_a_runs_place_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let good = state(folder.path());
    let runs: Vec<_> =
        files(folder.path()).into_iter().filter(|path| path.extension().unwrap() == "run").collect();
    let other = fs::read(&runs[1]).unwrap();
    assert_found(folder.path(), &runs[0], Some(&other), &good, "swap");
}

#[test]
fn an_older_version_is_there_when_the_newest_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let good = state(folder.path());
    fs::write(folder.path().join("3.manifest"), b"").unwrap();
    assert!(matches!(read(folder.path(), &good), Err(StateError::Damaged { .. })));
    let mut store = open(folder.path(), 2, MEMORY_LIMIT).unwrap();
    assert_eq!(store.count().unwrap(), 20);
    store.commit(3).unwrap();
    assert_eq!(rows(&open(folder.path(), 3, MEMORY_LIMIT).unwrap()).unwrap().len(), 20);
}
