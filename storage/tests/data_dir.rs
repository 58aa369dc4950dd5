//! A data directory across clean stops and kills.
#![allow(clippy::disallowed_methods)]

use std::{collections::HashSet, fs, path::Path, sync::Arc};

use bytes::Bytes;
use ottla_protocol::{
    Compression,
    batch::BatchBuilder,
    records::metadata::{MetadataRecord, RemoveTopicRecord, TopicRecord},
};
use ottla_storage::{
    AppendContext, AppendOrigin, DataDir, DataDirError, Deletion, Durability, Isolation, Log, LogConfig,
    RecoveryOutcome, TopicPartition,
};
use uuid::Uuid;

const TOPIC_ID: Uuid = Uuid::from_u128(77);

fn topic_partition() -> TopicPartition {
    TopicPartition { topic: "t".to_owned(), partition: 0 }
}

fn batch() -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(1000, None, Some(b"value")).unwrap();
    batch.build().unwrap()
}

fn append(log: &Log) -> i64 {
    let context =
        AppendContext { leader_epoch: 0, now_ms: 1000, origin: AppendOrigin::Client, verification: None };
    log.append(&batch(), &context).unwrap().base_offset
}

fn open(path: &Path) -> DataDir {
    DataDir::open(path, 1, Durability::Process).unwrap()
}

fn create_topic(data_dir: &DataDir) -> Arc<Log> {
    let log = data_dir.create_log(topic_partition(), TOPIC_ID, LogConfig::default(), 0).unwrap();
    let topic = TopicRecord { name: "t".to_owned(), topic_id: TOPIC_ID };
    let partition = data_dir.partition_record(TOPIC_ID, 0);
    data_dir.commit(&[MetadataRecord::Topic(topic), MetadataRecord::Partition(partition)], 0).unwrap();
    Arc::new(log)
}

fn reopen(data_dir: &DataDir) -> (Arc<Log>, RecoveryOutcome) {
    let log = left(data_dir);
    let outcome = log.check_files().unwrap();
    (log, outcome)
}

/// As the last broker left it; nobody has looked at its files.
fn left(data_dir: &DataDir) -> Arc<Log> {
    Arc::new(data_dir.open_log(topic_partition(), TOPIC_ID, LogConfig::default(), 0).unwrap())
}

/// Turns the byte over at `position` of the log.
fn damage(path: &Path, position: usize) {
    let path = path.join("t-0/00000000000000000000.log");
    let mut bytes = fs::read(&path).unwrap();
    bytes[position] ^= 1;
    fs::write(&path, bytes).unwrap();
}

fn names(path: &Path) -> Vec<String> {
    let names = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_directory_serves_one_broker_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let Err(error) = DataDir::open(dir.path(), 1, Durability::Process) else { panic!("opened twice") };
    assert!(matches!(error, DataDirError::InUse { .. }));
    assert!(error.to_string().contains(dir.path().to_str().unwrap()));
    drop(first);
    open(dir.path());
}

#[test]
fn a_directory_belongs_to_one_node() {
    let dir = tempfile::tempdir().unwrap();
    let cluster_id = open(dir.path()).cluster_id().to_owned();
    assert_eq!(open(dir.path()).cluster_id(), cluster_id);
    assert!(matches!(
        DataDir::open(dir.path(), 2, Durability::Process),
        Err(DataDirError::OtherNode { found: 1, wanted: 2, .. })
    ));
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let Err(error) = DataDir::open(&file.path().join("data"), 1, Durability::Process) else {
        panic!("made inside a file")
    };
    assert!(error.to_string().contains(file.path().to_str().unwrap()));
}

#[cfg(unix)]
#[test]
fn a_read_only_directory_is_named() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(dir.path().join("probe"), "").is_ok() {
        println!("skipped: this user may write to read-only directories");
        return;
    }
    let Err(error) = DataDir::open(dir.path(), 1, Durability::Process) else {
        panic!("opened without writing")
    };
    assert!(matches!(error, DataDirError::NotWritable { .. }));
    assert!(error.to_string().contains(dir.path().to_str().unwrap()));
}

#[test]
fn nothing_is_scanned_after_a_clean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(dir.path());
    let log = create_topic(&data_dir);
    (0..10).for_each(|offset| assert_eq!(append(&log), offset));
    data_dir.close(&[log]).unwrap();
    drop(data_dir);

    let data_dir = open(dir.path());
    assert!(data_dir.was_left_clean());
    let (log, outcome) = reopen(&data_dir);
    assert_eq!((outcome.end_offset, outcome.scanned_bytes), (10, 0));
    assert_eq!(log.size_bytes(), 10 * batch().len() as u64);
    assert_eq!(append(&log), 10);
    assert_eq!(
        log.read(0, usize::MAX, true, Isolation::ReadUncommitted).unwrap().records.len(),
        11 * batch().len()
    );
}

#[test]
fn the_mark_of_a_clean_stop_holds_for_one_start() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(dir.path());
    let log = create_topic(&data_dir);
    append(&log);
    data_dir.close(&[log]).unwrap();
    drop(data_dir);
    drop(open(dir.path()));

    let data_dir = open(dir.path());
    assert!(!data_dir.was_left_clean());
    let (log, outcome) = reopen(&data_dir);
    assert_eq!((outcome.end_offset, outcome.truncation), (1, None));
    assert_eq!(append(&log), 1);
}

#[test]
fn only_what_lies_past_the_recovery_point_is_scanned_after_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(dir.path());
    let log = create_topic(&data_dir);
    (0..1000).for_each(|_| assert!(append(&log) >= 0));
    log.flush().unwrap();
    data_dir.write_checkpoints(&[Arc::clone(&log)]).unwrap();
    append(&log);
    drop((log, data_dir));

    let (_, outcome) = reopen(&open(dir.path()));
    assert_eq!((outcome.end_offset, outcome.truncation), (1001, None));
    let index_interval = u64::from(LogConfig::default().index_interval_bytes);
    assert!(outcome.scanned_bytes <= index_interval + 3 * batch().len() as u64, "{}", outcome.scanned_bytes);
}

#[test]
fn a_log_that_a_kill_left_is_checked_when_it_is_used() {
    let uses: [fn(&Log); 4] = [
        |log| assert_eq!(log.end_offset(), 2),
        |log| assert_eq!(append(log), 2),
        |log| assert_eq!(log.last_stable_offset().unwrap(), 2),
        |log| assert_eq!(log.size_bytes(), 2 * batch().len() as u64),
    ];
    for use_it in uses {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = open(dir.path());
        let log = create_topic(&data_dir);
        (0..3).for_each(|offset| assert_eq!(append(&log), offset));
        drop((log, data_dir));
        damage(dir.path(), 3 * batch().len() - 1);

        let log = left(&open(dir.path()));
        assert!(log.is_unchecked());
        use_it(&log);
        assert!(!log.is_unchecked());
        assert_eq!(log.check_files().unwrap().truncation, None);
    }
}

#[test]
fn a_log_that_nobody_used_after_a_kill_is_left_to_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(dir.path());
    let log = create_topic(&data_dir);
    (0..3).for_each(|offset| assert_eq!(append(&log), offset));
    drop((log, data_dir));

    let data_dir = open(dir.path());
    data_dir.close(&[left(&data_dir)]).unwrap();
    drop(data_dir);

    let data_dir = open(dir.path());
    assert!(!data_dir.was_left_clean());
    let (_, outcome) = reopen(&data_dir);
    assert_eq!((outcome.end_offset, outcome.scanned_bytes), (3, 3 * batch().len() as u64));
}

#[test]
fn records_of_a_log_that_nobody_uses_go_when_their_time_is_over() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(dir.path());
    let log = create_topic(&data_dir);
    append(&log);
    data_dir.close(&[log]).unwrap();
    drop(data_dir);

    let config = LogConfig { retention_ms: 1, ..LogConfig::default() };
    let log = open(dir.path()).open_log(topic_partition(), TOPIC_ID, config, 0).unwrap();
    assert_eq!(log.delete_old_segments(1_000_000).unwrap(), 1);
    assert_eq!((log.start_offset(), log.end_offset()), (1, 1));
}

#[test]
fn a_log_that_nobody_used_after_a_clean_stop_is_left_clean_again() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(dir.path());
    let log = create_topic(&data_dir);
    append(&log);
    data_dir.close(&[log]).unwrap();
    drop(data_dir);
    for _ in 0..2 {
        let data_dir = open(dir.path());
        assert!(data_dir.was_left_clean());
        data_dir.close(&[left(&data_dir)]).unwrap();
    }
    assert_eq!(left(&open(dir.path())).end_offset(), 1);
}

#[test]
fn a_log_that_is_read_while_it_is_closed_is_checked_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(dir.path());
    let log = create_topic(&data_dir);
    append(&log);
    let read = log.read(0, usize::MAX, true, Isolation::ReadUncommitted).unwrap().records;
    data_dir.close(&[log]).unwrap();
    assert_eq!(read[16..], batch()[16..]);
    drop(data_dir);

    let data_dir = open(dir.path());
    assert!(!data_dir.was_left_clean());
    assert_eq!(reopen(&data_dir).1.end_offset, 1);
}

#[test]
fn producer_ids_are_never_given_out_twice() {
    let dir = tempfile::tempdir().unwrap();
    let mut given = HashSet::new();
    for _ in 0..3 {
        let data_dir = open(dir.path());
        for _ in 0..2 {
            assert!(data_dir.allocate_producer_ids(0).unwrap().all(|id| given.insert(id)));
        }
    }
    assert_eq!(given.len(), 6000);
}

#[test]
fn a_deleted_topic_can_be_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(dir.path());
    let log = create_topic(&data_dir);
    append(&log);
    let remove = MetadataRecord::RemoveTopic(RemoveTopicRecord { topic_id: TOPIC_ID });
    data_dir.commit(&[remove], 0).unwrap();
    assert_eq!(log.delete().unwrap(), Deletion::Done);
    assert_eq!(create_topic(&data_dir).end_offset(), 0);
}

#[test]
fn a_topic_that_is_read_while_it_is_deleted_goes_with_its_last_reader() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(dir.path());
    let log = create_topic(&data_dir);
    append(&log);
    let read = log.read(0, usize::MAX, true, Isolation::ReadUncommitted).unwrap().records;
    assert_eq!(log.delete().unwrap(), Deletion::WhenUnmapped);
    assert!(log.read(0, usize::MAX, true, Isolation::ReadUncommitted).is_err());
    assert_eq!(read[16..], batch()[16..]);
    assert!(names(dir.path()).contains(&"t-0".to_owned()));
    drop(read);
    assert!(!names(dir.path()).iter().any(|name| name.starts_with("t-0")));
}

#[test]
fn leftovers_are_removed_and_strays_set_aside() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(dir.path());
    create_topic(&data_dir);
    let stray = TopicPartition { topic: "unknown".to_owned(), partition: 4 };
    data_dir.create_log(stray, Uuid::from_u128(1), LogConfig::default(), 0).unwrap();
    drop(data_dir);
    fs::create_dir(dir.path().join("old-1.0123456789abcdef0123456789abcdef-delete")).unwrap();
    fs::create_dir(dir.path().join("notes")).unwrap();

    drop(open(dir.path()));
    let names = names(dir.path());
    assert!(names.contains(&"t-0".to_owned()) && names.contains(&"notes".to_owned()));
    assert!(!names.iter().any(|name| name.ends_with("-delete") || name == "unknown-4"));
    assert!(names.iter().any(|name| name.starts_with("unknown-4.") && name.ends_with("-stray")));
}

#[test]
fn a_log_whose_directory_was_never_made_is_made() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(dir.path());
    let (log, _) = reopen(&data_dir);
    assert_eq!(append(&log), 0);
}

#[test]
fn a_thousand_partitions_are_cheap() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = open(dir.path());
    let logs: Vec<Log> = (0..1000)
        .map(|partition| {
            let topic_partition = TopicPartition { topic: "t".to_owned(), partition };
            data_dir.create_log(topic_partition, TOPIC_ID, LogConfig::default(), 0).unwrap()
        })
        .collect();
    logs.iter().for_each(|log| assert_eq!(append(log), 0));
    let files = logs.iter().flat_map(|log| fs::read_dir(log.dir()).unwrap());
    let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    assert!(bytes <= 1000 * (17 << 10), "{bytes} bytes on the disk");
    #[cfg(target_os = "linux")]
    {
        let open_files = fs::read_dir("/proc/self/fd").unwrap().count();
        assert!(open_files < 100, "{open_files} open files");
    }
}
