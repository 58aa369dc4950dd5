//! A checkpoint file that is cut short, changed or gone is named, or does not matter; the checkpoint stays usable.

use std::fs;
use std::path::{Path, PathBuf};

use ottla_stream::output_mode::OutputMode;
use tempfile::tempdir;

use crate::harness::{Job, Kafka, Outcome};

const SQL: &str = "SELECT CAST(value AS STRING) AS word, count(*) AS n FROM STREAM words GROUP BY value";

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect();
    files.sort();
    files
}

fn copy(from: &Path, to: &Path) {
    for file in files(from) {
        let target = to.join(file.strip_prefix(from).unwrap());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(&file, target).unwrap();
    }
}

/// What may have become of a file's bytes.
fn damages(content: &[u8]) -> Vec<Option<Vec<u8>>> {
    let mut damages = vec![None, Some(Vec::new())];
    for length in [1, content.len() / 2, content.len().saturating_sub(1)] {
        damages.push(content.get(..length).map(<[u8]>::to_vec));
    }
    for place in [0, content.len() / 3, content.len().saturating_sub(2)] {
        let mut changed = content.to_vec();
        if let Some(byte) = changed.get_mut(place) {
            *byte ^= 0x20;
        }
        damages.push(Some(changed));
    }
    damages
}

/// A checkpoint of two batches, the second of which is committed or not.
async fn checkpoint(kafka: &Kafka, job: &Job, folder: &Path) {
    kafka.create("words", 1).await;
    kafka.put("words", 0, ["a", "b"]).await;
    job.run(kafka, folder).await;
    kafka.put("words", 0, ["a", "c"]).await;
    job.run(kafka, folder).await;
    kafka.put("words", 0, ["a", "d"]).await;
}

#[tokio::test]
async fn a_damaged_file_is_named_and_once_restored_the_query_goes_on() {
    let (kafka, whole) = (Kafka::start().await, tempdir().unwrap());
    let job = Job::new(SQL).output_mode(OutputMode::Update);
    checkpoint(&kafka, &job, whole.path()).await;
    let run = async |folder: &Path| -> Outcome { job.run(&kafka, folder).await };
    let undamaged = tempdir().unwrap();
    copy(whole.path(), undamaged.path());
    let expected = run(undamaged.path()).await;
    assert_eq!(expected.error, None);
    assert_eq!(expected.rows(), [r#"{"word":"a","n":3}"#, r#"{"word":"d","n":1}"#]);
    let mut named = 0;
    for file in files(whole.path()) {
        let relative = file.strip_prefix(whole.path()).unwrap();
        let content = fs::read(&file).unwrap();
        for damage in damages(&content) {
            let damaged = tempdir().unwrap();
            copy(whole.path(), damaged.path());
            match &damage {
                None => fs::remove_file(damaged.path().join(relative)).unwrap(),
                Some(bytes) => fs::write(damaged.path().join(relative), bytes).unwrap(),
            }
            let outcome = run(damaged.path()).await;
            let Some(error) = &outcome.error else {
                // A batch whose commit is gone runs again before.
                let rows = outcome.rows();
                assert!(rows.ends_with(&expected.rows()), "{} as {damage:?}: {rows:?}", relative.display());
                continue;
            };
            let names = relative.components().next_back().unwrap().as_os_str().to_string_lossy().into_owned();
            assert!(error.contains(&names), "{} as {damage:?}: {error}", relative.display());
            named += 1;
            fs::write(damaged.path().join(relative), &content).unwrap();
            let restored = run(damaged.path()).await;
            assert_eq!(restored.error, None, "{} restored after {damage:?}", relative.display());
            assert_eq!(restored.rows(), expected.rows(), "{}", relative.display());
        }
    }
    assert!(named > 10, "damage is found: {named}");
}
