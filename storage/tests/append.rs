//! What an append refuses, changes and rolls.
#![allow(clippy::disallowed_methods)]

use std::{fs, path::Path};

use bytes::{Bytes, BytesMut};
use ottla_protocol::{
    Compression,
    batch::{self, BatchBuilder, BatchError, RecordBatch, TimestampType, set_base_offset},
};
use ottla_storage::{
    AppendContext, AppendError, AppendOrigin, AppendOutcome, EpochEnd, Isolation, Log, LogConfig,
    RecordRefused, SequenceError, TopicPartition,
};
use tempfile::TempDir;
use uuid::Uuid;

const NOW_MS: i64 = 1_000_000;

struct Harness {
    dir: TempDir,
    log: Log,
}

impl Harness {
    fn new(config: LogConfig) -> Harness {
        let dir = tempfile::tempdir().unwrap();
        let topic_partition = TopicPartition { topic: "t".to_owned(), partition: 0 };
        let log = Log::create(dir.path().join("t-0"), topic_partition, Uuid::nil(), config, NOW_MS).unwrap();
        Harness { dir, log }
    }

    fn append(&self, records: &[u8]) -> Result<AppendOutcome, AppendError> {
        self.append_in_epoch(records, 0)
    }

    fn append_in_epoch(&self, records: &[u8], leader_epoch: i32) -> Result<AppendOutcome, AppendError> {
        self.log.append(
            records,
            &AppendContext { leader_epoch, now_ms: NOW_MS, origin: AppendOrigin::Client, verification: None },
        )
    }

    fn read(&self) -> Bytes {
        self.log.read(0, usize::MAX, true, Isolation::ReadUncommitted).unwrap().records
    }

    fn files(&self, extension: &str) -> Vec<String> {
        names(&self.dir.path().join("t-0"), extension)
    }
}

fn names(dir: &Path, extension: &str) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.filter(|name| name.ends_with(extension)).collect();
    names.sort();
    names
}

fn builder(timestamps: &[i64]) -> BatchBuilder {
    let mut batch = BatchBuilder::new(Compression::None);
    timestamps.iter().for_each(|&timestamp| batch.push(timestamp, Some(b"key"), Some(&[7; 100])).unwrap());
    batch
}

fn batch(timestamps: &[i64]) -> Bytes {
    builder(timestamps).build().unwrap()
}

fn header(records: &[u8]) -> batch::BatchHeader {
    *RecordBatch::parse(records).unwrap().0.header()
}

#[test]
fn damaged_batches_are_refused() {
    let harness = Harness::new(LogConfig::default());
    let sound = batch(&[NOW_MS]);
    let mut damaged = BytesMut::from(&sound[..]);
    damaged[80] ^= 1;
    let refused = harness.append(&damaged);
    assert!(matches!(refused, Err(AppendError::Batch(BatchError::CrcMismatch { .. }))));
    let refused = harness.append(&sound[..100]);
    assert!(matches!(refused, Err(AppendError::Batch(BatchError::Cut { .. }))));
    let mut old = BytesMut::from(&sound[..]);
    old[16] = 1;
    let refused = harness.append(&old);
    assert!(matches!(refused, Err(AppendError::Batch(BatchError::UnsupportedMagic { magic: 1 }))));
    assert_eq!(harness.log.end_offset(), 0);
}

#[test]
fn a_client_sends_one_batch_of_data_from_offset_zero() {
    let harness = Harness::new(LogConfig::default());
    let refused = |records: &[u8]| match harness.append(records) {
        Err(AppendError::InvalidRecord(refused)) => refused,
        other => panic!("{other:?}"),
    };
    let sound = batch(&[NOW_MS]);
    assert_eq!(refused(&[]), RecordRefused::NotOneBatch);
    assert_eq!(refused(&[&sound[..], &sound[..]].concat()), RecordRefused::NotOneBatch);
    let mut shifted = BytesMut::from(&sound[..]);
    set_base_offset(&mut shifted, 5);
    assert_eq!(refused(&shifted), RecordRefused::BaseOffset { base_offset: 5 });
    assert_eq!(refused(&builder(&[NOW_MS]).control().build().unwrap()), RecordRefused::ControlBatch);
    let unsequenced = builder(&[NOW_MS]).with_producer(1, 0, -1).build().unwrap();
    assert_eq!(refused(&unsequenced), RecordRefused::NoSequence { base_sequence: -1 });
}

#[test]
fn the_broker_may_append_several_batches_at_once() {
    let harness = Harness::new(LogConfig::default());
    let records = [batch(&[NOW_MS, NOW_MS]), batch(&[NOW_MS])].concat();
    let context = AppendContext {
        leader_epoch: 4,
        now_ms: NOW_MS,
        origin: AppendOrigin::Coordinator,
        verification: None,
    };
    let outcome = harness.log.append(&records, &context).unwrap();
    assert_eq!((outcome.base_offset, outcome.last_offset), (0, 2));
    let read = harness.read();
    let offsets: Vec<_> = batch::batches(&read).map(|batch| batch.unwrap().base_offset()).collect();
    assert_eq!(offsets, [0, 2]);
}

#[test]
fn keyless_records_are_refused_by_compacted_topics_compressed_or_not() {
    let harness = Harness::new(LogConfig { compacted: true, ..LogConfig::default() });
    for compression in [Compression::None, Compression::Lz4] {
        let mut keyless = BatchBuilder::new(compression);
        keyless.push(NOW_MS, None, Some(b"value")).unwrap();
        let refused = harness.append(&keyless.build().unwrap());
        assert!(matches!(refused, Err(AppendError::InvalidRecord(RecordRefused::NoKey))));
    }
    harness.append(&batch(&[NOW_MS])).unwrap();
}

#[test]
fn what_is_damaged_inside_compressed_records_is_refused() {
    let harness = Harness::new(LogConfig::default());
    let mut stored = 0;
    for compression in &Compression::ALL[1..] {
        let mut sound = BatchBuilder::new(*compression);
        for at in 0..20 {
            sound.push(NOW_MS, Some(b"key"), Some(&[at; 50])).unwrap();
        }
        let sound = sound.build().unwrap();
        let sealed = |damage: &dyn Fn(&mut BytesMut)| {
            let mut batch = BytesMut::from(&sound[..]);
            damage(&mut batch);
            let length = batch.len() as u32 - 12;
            batch[8..12].copy_from_slice(&length.to_be_bytes());
            let crc = crc32c::crc32c(&batch[21..]);
            batch[17..21].copy_from_slice(&crc.to_be_bytes());
            batch.freeze()
        };
        for (what, damaged) in [
            ("cut short", sealed(&|batch| batch.truncate(batch.len() - 9))),
            ("nothing", sealed(&|batch| batch.truncate(61))),
            ("another codec's", sealed(&|batch| batch[61..64].copy_from_slice(b"odd"))),
            ("more than counted", sealed(&|batch| (batch[26], batch[60]) = (18, 19))),
            ("fewer than counted", sealed(&|batch| (batch[26], batch[60]) = (20, 21))),
        ] {
            let refused = harness.append(&damaged);
            assert!(matches!(refused, Err(AppendError::Batch(_))), "{compression}, {what}: {refused:?}");
        }
        assert_eq!(harness.append(&sound).unwrap().base_offset, stored, "{compression}");
        stored += 20;
    }
}

#[test]
fn what_is_cut_short_behind_a_batch_is_dropped() {
    let harness = Harness::new(LogConfig::default());
    let sound = batch(&[NOW_MS]);
    for (end, behind) in [(1, &sound[..sound.len() - 1]), (2, &sound[..20]), (3, &[7; 5])] {
        let outcome = harness.append(&[&sound[..], behind].concat()).unwrap();
        assert_eq!(outcome.last_offset + 1, end);
    }
    assert_eq!(harness.read().len(), 3 * sound.len(), "nothing of it is stored");
    let zeros = harness.append(&[&sound[..], &[0; 40]].concat());
    assert!(matches!(zeros, Err(AppendError::Batch(BatchError::LengthTooSmall { claimed: 0, .. }))));
}

#[test]
fn sizes_are_bounded() {
    let sound = batch(&[NOW_MS]);
    let max_message_bytes = sound.len() as u32 - 1;
    let harness = Harness::new(LogConfig { max_message_bytes, ..LogConfig::default() });
    assert!(matches!(harness.append(&sound), Err(AppendError::MessageTooLarge { .. })));
    harness.log.set_config(LogConfig { segment_bytes: 100, ..LogConfig::default() });
    assert!(matches!(harness.append(&sound), Err(AppendError::RecordListTooLarge { .. })));
    harness.log.set_config(LogConfig::default());
    harness.append(&sound).unwrap();
}

#[test]
fn timestamps_are_bounded() {
    let harness = Harness::new(LogConfig {
        message_timestamp_before_max_ms: 1000,
        message_timestamp_after_max_ms: 10,
        ..LogConfig::default()
    });
    for outside in [NOW_MS + 11, NOW_MS - 1001] {
        let refused = harness.append(&batch(&[NOW_MS, outside]));
        assert!(
            matches!(refused, Err(AppendError::InvalidTimestamp { timestamp, .. }) if timestamp == outside)
        );
    }
    harness.append(&batch(&[NOW_MS + 10, NOW_MS - 1000])).unwrap();
}

#[test]
fn the_brokers_time_replaces_the_producers_under_log_append_time() {
    let message_timestamp_type = TimestampType::LogAppendTime;
    let harness = Harness::new(LogConfig { message_timestamp_type, ..LogConfig::default() });
    let outcome = harness.append(&batch(&[5, 3])).unwrap();
    assert_eq!(outcome.log_append_time_ms, Some(NOW_MS));
    let records = harness.read();
    let (stored, _) = RecordBatch::parse(&records).unwrap();
    stored.verify_crc().unwrap();
    assert_eq!(stored.header().timestamp_type(), TimestampType::LogAppendTime);
    let timestamps =
        stored.records(0).unwrap().iter().map(|record| record.unwrap().timestamp).collect::<Vec<_>>();
    assert_eq!(timestamps, [NOW_MS, NOW_MS]);
}

#[test]
fn a_wrong_largest_timestamp_is_corrected() {
    let harness = Harness::new(LogConfig::default());
    let sound = batch(&[NOW_MS - 5]);
    let mut lying = *sound.first_chunk().unwrap();
    let records = &sound[batch::HEADER_BYTES..];
    batch::set_header_timestamp(&mut lying, records, TimestampType::CreateTime, NOW_MS);
    assert_eq!(harness.append(&[&lying, records].concat()).unwrap().log_append_time_ms, None);
    let records = harness.read();
    RecordBatch::parse(&records).unwrap().0.verify_crc().unwrap();
    assert_eq!(header(&records).max_timestamp, NOW_MS - 5);
}

#[test]
fn a_fenced_producer_is_told_so() {
    let harness = Harness::new(LogConfig::default());
    let from = |epoch, sequence| {
        harness.append(&builder(&[NOW_MS]).with_producer(1, epoch, sequence).build().unwrap())
    };
    from(1, 0).unwrap();
    let fenced = SequenceError::InvalidProducerEpoch { producer_id: 1, received: 0, current: 1 };
    assert!(matches!(from(0, 1), Err(AppendError::Sequence(error)) if error == fenced));
}

#[test]
fn leader_epochs_are_remembered() {
    let harness = Harness::new(LogConfig::default());
    for leader_epoch in [2, 2, 5] {
        harness.append_in_epoch(&batch(&[NOW_MS]), leader_epoch).unwrap();
    }
    let end = |epoch| harness.log.end_of_leader_epoch(epoch).unwrap();
    assert_eq!(end(1), Some(EpochEnd { leader_epoch: 1, end_offset: 0 }));
    assert_eq!(end(6), None);
    assert_eq!(end(3), Some(EpochEnd { leader_epoch: 2, end_offset: 2 }));
    assert_eq!(end(5), Some(EpochEnd { leader_epoch: 5, end_offset: 3 }));
    assert_eq!(harness.log.latest_leader_epoch().unwrap(), Some(5));
    assert_eq!(harness.log.leader_epoch_at(1).unwrap(), Some(2));
}

#[test]
fn a_segment_rolls_by_size() {
    let size = batch(&[NOW_MS]).len() as u32;
    let harness = Harness::new(LogConfig { segment_bytes: 2 * size, ..LogConfig::default() });
    (0..5).for_each(|_| assert!(harness.append(&batch(&[NOW_MS])).is_ok()));
    let logs = ["00000000000000000000.log", "00000000000000000002.log", "00000000000000000004.log"];
    assert_eq!(harness.files(".log"), logs);
    assert_eq!(harness.files(".snapshot").len(), 2);
    assert_eq!(harness.files(".timeindex").len(), 2);
    let rolled = fs::metadata(harness.dir.path().join("t-0").join(logs[0])).unwrap();
    assert_eq!(rolled.len(), u64::from(2 * size), "space that was allocated ahead is given back");
    assert_eq!(harness.log.size_bytes(), u64::from(5 * size));
}

#[test]
fn a_segment_rolls_by_the_age_of_its_first_batch() {
    let harness = Harness::new(LogConfig { segment_ms: 100, ..LogConfig::default() });
    for timestamp in [NOW_MS, NOW_MS + 100, NOW_MS + 101, NOW_MS + 201] {
        harness.append(&batch(&[timestamp])).unwrap();
    }
    assert_eq!(harness.files(".log"), ["00000000000000000000.log", "00000000000000000002.log"]);
}

#[test]
fn a_segment_rolls_when_its_index_is_full() {
    let config = LogConfig { segment_index_bytes: 36, index_interval_bytes: 0, ..LogConfig::default() };
    let harness = Harness::new(config);
    (0..10).for_each(|at| assert!(harness.append(&batch(&[NOW_MS + at])).is_ok()));
    assert_eq!(harness.files(".log").len(), 4, "two entries for three batches fill it");
}

#[test]
fn a_small_log_takes_little_space() {
    let harness = Harness::new(LogConfig::default());
    harness.append(&batch(&[NOW_MS])).unwrap();
    let log = harness.dir.path().join("t-0").join("00000000000000000000.log");
    assert_eq!(fs::metadata(log).unwrap().len(), 4 << 10);
}

/// Needs the right to mount.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_an_error_that_passes() {
    use std::process::Command;

    let dir = tempfile::tempdir().unwrap();
    let path = dir.path();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=256k", "tmpfs"]).arg(path).status();
    if !mounted.is_ok_and(|status| status.success()) {
        println!("skipped: this user may not mount a small file system");
        return;
    }
    let topic_partition = TopicPartition { topic: "t".to_owned(), partition: 0 };
    let log = Log::create(path.join("t-0"), topic_partition, Uuid::nil(), LogConfig::default(), 0).unwrap();
    let ballast = path.join("ballast");
    fs::write(&ballast, vec![1; 100 << 10]).unwrap();
    let context =
        AppendContext { leader_epoch: 0, now_ms: NOW_MS, origin: AppendOrigin::Client, verification: None };
    let full = loop {
        match log.append(&batch(&[NOW_MS]), &context) {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    let kept = log.end_offset();
    fs::remove_file(ballast).unwrap();
    let appended = log.append(&batch(&[NOW_MS]), &context);
    let read = log.read(0, usize::MAX, true, Isolation::ReadUncommitted).unwrap().records;
    let count =
        batch::batches(&read).filter(|batch| batch.as_ref().is_ok_and(|b| b.verify_crc().is_ok())).count();
    drop((log, read));
    assert!(Command::new("umount").arg(path).status().is_ok_and(|status| status.success()));

    assert!(matches!(full, AppendError::DiskFull { .. }), "{full}");
    assert_eq!((appended.unwrap().base_offset, count as i64), (kept, kept + 1));
}
