//! One thread appends through growth and rolls while others read.
#![allow(clippy::disallowed_methods)]

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use bytes::Bytes;
use ottla_protocol::{
    Compression,
    batch::{self, BatchBuilder},
};
use ottla_storage::{AppendContext, AppendOrigin, Isolation, Log, LogConfig, LogStart, TopicPartition};
use uuid::Uuid;

const APPENDS: i64 = 20_000;

/// Of a size that depends on its place, so that batches lie across every boundary.
fn batch(at: i64) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(at, None, Some(&[at as u8; 512][..(at * 37 % 512) as usize])).unwrap();
    batch.build().unwrap()
}

/// Reads from the start as a consumer does, until the writer is done and everything was seen.
fn follow(log: &Log, done: &AtomicBool) -> i64 {
    let mut next = 0;
    loop {
        let was_done = done.load(Ordering::Acquire);
        let read = log.read(next, 10_000, true, Isolation::ReadUncommitted).unwrap();
        for batch in batch::batches(&read.records) {
            let batch = batch.unwrap();
            batch.verify_crc().unwrap();
            assert_eq!(batch.base_offset(), next);
            next = batch.header().next_offset();
        }
        assert!(next <= read.high_watermark, "no record lies behind the log end that came with it");
        if was_done && read.records.is_empty() {
            return next;
        }
    }
}

#[test]
fn readers_see_whole_batches_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let topic_partition = TopicPartition { topic: "t".to_owned(), partition: 0 };
    let config = LogConfig { segment_bytes: 300_000, ..LogConfig::default() };
    let path = dir.path().join("t-0");
    let log = Log::create(path.clone(), topic_partition.clone(), Uuid::nil(), config.clone(), 0).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let readers: Vec<_> = (0..3).map(|_| scope.spawn(|| follow(&log, &done))).collect();
        let flusher = scope.spawn(|| {
            while !done.load(Ordering::Acquire) {
                log.flush().unwrap();
            }
        });
        let context = AppendContext {
            leader_epoch: 0,
            now_ms: APPENDS,
            origin: AppendOrigin::Client,
            verification: None,
        };
        for at in 0..APPENDS {
            assert_eq!(log.append(&batch(at), &context).unwrap().base_offset, at);
        }
        done.store(true, Ordering::Release);
        flusher.join().unwrap();
        readers.into_iter().for_each(|reader| assert_eq!(reader.join().unwrap(), APPENDS));
    });
    let recovery_point = log.recovery_point();
    drop(log);
    let start = LogStart::Unclean { recovery_point };
    let (log, outcome) = Log::open(path, topic_partition, config, start, 0, 0).unwrap();
    assert_eq!((outcome.end_offset, outcome.truncation), (APPENDS, None));
    assert_eq!(follow(&log, &AtomicBool::new(true)), APPENDS);
}

#[test]
fn a_log_is_closed_under_its_readers() {
    let dir = tempfile::tempdir().unwrap();
    let topic_partition = TopicPartition { topic: "t".to_owned(), partition: 0 };
    let (path, config) = (dir.path().join("t-0"), LogConfig::default());
    let log = Log::create(path.clone(), topic_partition.clone(), Uuid::nil(), config.clone(), 0).unwrap();
    let context =
        AppendContext { leader_epoch: 0, now_ms: 1000, origin: AppendOrigin::Client, verification: None };
    (0..100).for_each(|at| assert!(log.append(&batch(at), &context).is_ok()));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while let Ok(read) = log.read(0, usize::MAX, true, Isolation::ReadUncommitted) {
                    assert_eq!(batch::batches(&read.records).filter(Result::is_ok).count(), 100);
                }
            });
        }
        log.close().unwrap();
    });
    assert!(log.append(&batch(0), &context).is_err());
    // Space that was still mapped is left to the next start: by then somebody else may write to the file.
    let start = LogStart::Unclean { recovery_point: 0 };
    let (log, outcome) = Log::open(path, topic_partition, config, start, 0, 0).unwrap();
    assert_eq!((outcome.end_offset, outcome.truncation), (100, None));
    assert_eq!(log.append(&batch(100), &context).unwrap().base_offset, 100);
}
