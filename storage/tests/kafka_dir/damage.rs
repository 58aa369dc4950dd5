//! Metadata logs that were cut, torn or damaged: never a panic, and a cluster that is whole or a sentence that says where
//! it is not.

use std::fs;

use ottla_protocol::batch::batches;
use ottla_protocol::records::metadata::MetadataRecord;
use ottla_storage::{AdoptionError, DataDir, DataDirError, Durability, KRaftLogError};
use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use crate::kafka_log::{KafkaLog, topic};
use crate::samples::{KRAFT_LOG, LOG, Sample, kafka_dir, open, partitions, refused};

const SNAPSHOT: &str = "00000000000000000036-0000000001.checkpoint";

fn with(sample: Sample, name: &str, bytes: &[u8]) -> TempDir {
    let dir = sample.dir();
    let path = dir.path().join(KRAFT_LOG).join(name);
    fs::write(path, bytes).unwrap();
    dir
}

/// Topics `t-0` to `t-9`, each in a batch of its own, and where the batches begin.
fn ten_topics() -> (KafkaLog, Vec<usize>) {
    let mut log = KafkaLog::of_a_cluster();
    let mut starts = Vec::new();
    for number in 0..10 {
        starts.push(log.bytes.len());
        log.push(&[topic(&format!("t-{number}"), Uuid::from_u128(100 + number)), MetadataRecord::NoOp]);
    }
    (log, starts)
}

#[test]
fn a_tail_that_was_not_written_whole_is_left_out() {
    let (log, starts) = ten_topics();
    for cut in starts[8]..log.bytes.len() {
        let dir = kafka_dir(Uuid::from_u128(9));
        fs::write(dir.path().join(KRAFT_LOG).join(LOG), &log.bytes[..cut]).unwrap();
        let whole = starts.iter().filter(|&&start| start <= cut).count() - 1;
        assert_eq!(partitions(&open(dir.path())).len(), whole, "cut at {cut}");
    }
}

#[test]
fn zeros_and_garbage_behind_the_last_batch_are_left_out() {
    let (log, _) = ten_topics();
    let garbage: Vec<u8> = (0..5000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for tail in [vec![0; 1], vec![0; 5000], garbage] {
        let dir = kafka_dir(Uuid::from_u128(9));
        fs::write(dir.path().join(KRAFT_LOG).join(LOG), [&log.bytes[..], &tail].concat()).unwrap();
        assert_eq!(partitions(&open(dir.path())).len(), 10);
    }
}

#[test]
fn damage_before_sound_batches_is_named_and_nothing_is_lost() {
    let (log, starts) = ten_topics();
    for within in [0, 8, 16, 17, 40, 65] {
        let mut bytes = log.bytes.clone();
        bytes[starts[4] + within] ^= 0x41;
        let dir = kafka_dir(Uuid::from_u128(9));
        let path = dir.path().join(KRAFT_LOG).join(LOG);
        fs::write(&path, &bytes).unwrap();
        let error = refused(dir.path());
        let text = error.to_string();
        assert!(matches!(error, DataDirError::Adoption { source: AdoptionError::Log(_), .. }), "{text}");
        assert!(text.contains(path.to_str().unwrap()), "{text}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_missing_segment_is_a_gap() {
    let dir = Sample::Standalone.dir();
    let kraft = dir.path().join(KRAFT_LOG);
    fs::remove_file(kraft.join(SNAPSHOT)).unwrap();
    fs::rename(kraft.join(LOG), kraft.join("00000000000000000012.log")).unwrap();
    let error = refused(dir.path());
    assert!(
        matches!(
            error,
            DataDirError::Adoption {
                source: AdoptionError::Log(KRaftLogError::Gap { expected: 0, found: 12, .. }),
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn a_damaged_snapshot_is_passed_over_for_the_log() {
    let whole = Sample::Standalone.dir();
    let expected = open(whole.path()).metadata();
    let mut bytes = Sample::Standalone.bytes(SNAPSHOT);
    for cut in [0, 100, bytes.len() - 1] {
        let dir = with(Sample::Standalone, SNAPSHOT, &bytes[..cut]);
        assert_eq!(open(dir.path()).metadata(), expected);
    }
    bytes[1000] ^= 1;
    let dir = with(Sample::Standalone, SNAPSHOT, &bytes);
    assert_eq!(open(dir.path()).metadata(), expected);
}

#[test]
fn a_snapshot_stands_for_the_segments_before_its_end() {
    let whole = Sample::Standalone.dir();
    let expected = open(whole.path()).metadata();
    let log = Sample::Standalone.bytes(LOG);
    let behind = batches(&log).map(Result::unwrap).find(|batch| batch.base_offset() == 36).unwrap();
    let start = behind.bytes().as_ptr() as usize - log.as_ptr() as usize;
    let dir = with(Sample::Standalone, "00000000000000000036.log", &log[start..]);
    fs::remove_file(dir.path().join(KRAFT_LOG).join(LOG)).unwrap();
    assert_eq!(open(dir.path()).metadata(), expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happened_to_the_files_they_are_read_or_refused(
        sample in prop::sample::select(&Sample::ALL[..]),
        is_snapshot: bool,
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<Option<prop::sample::Index>>(),
        tail in vec(any::<u8>(), 0..80),
    ) {
        let name = if is_snapshot && sample == Sample::Standalone { SNAPSHOT } else { LOG };
        let mut bytes = sample.bytes(name);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        bytes.extend_from_slice(&tail);
        let dir = with(sample, name, &bytes);
        if let Err(error) = DataDir::open(dir.path(), 1, Durability::Process) {
            prop_assert!(dir.path().join(KRAFT_LOG).join(LOG).exists());
            prop_assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
        }
    }
}
