//! Fetches from the assigned partitions, prints what comes, and keeps the positions.

use std::time::Duration;

use ottla_client::{
    Client, Fetch, FetchPartition, FetchedPartition, IsolationLevel, KafkaError, OffsetToCommit, RequestError,
};
use ottla_protocol::ErrorCode;
use tokio::time::Instant;

use super::Consume;
use super::start::{self, Positions, StartAt};
use crate::exit::Failure;
use crate::output::Output;

/// How long one fetch may wait for records.
pub(super) const MAX_WAIT: Duration = Duration::from_millis(500);
/// Kafka's `max.partition.fetch.bytes` and `fetch.max.bytes`.
const MAX_PARTITION_BYTES: i32 = 1024 * 1024;
const MAX_BYTES: i32 = 50 * 1024 * 1024;
/// A batch that decompresses to more is refused.
const MAX_DECOMPRESSED_BYTES: usize = 1024 * 1024 * 1024;

pub(super) struct Reader<'a> {
    client: &'a Client,
    consume: &'a Consume,
    output: &'a mut Output,
    positions: Positions,
    /// Where to stop, if at the ends that the partitions had.
    ends: Positions,
    printed: u64,
    last_record: Instant,
    is_broker_away: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Poll {
    GoOn,
    /// A limit has been reached.
    Stop,
}

impl<'a> Reader<'a> {
    pub(super) fn new(client: &'a Client, consume: &'a Consume, output: &'a mut Output) -> Reader<'a> {
        Reader {
            client,
            consume,
            output,
            positions: Positions::new(),
            ends: Positions::new(),
            printed: 0,
            last_record: Instant::now(),
            is_broker_away: false,
        }
    }

    /// Reads these partitions from here on.
    pub(super) async fn assign(&mut self, positions: Positions) -> Result<(), Failure> {
        self.positions = positions;
        if self.consume.limits.until_end {
            let partitions: Vec<i32> = self.positions.keys().copied().collect();
            self.ends =
                start::positions(self.client, &self.consume.topic, &partitions, StartAt::Latest).await?;
        }
        Ok(())
    }

    /// Where each partition stands, for a commit.
    pub(super) fn offsets(&self) -> Vec<OffsetToCommit> {
        let to_commit =
            |(partition, offset): (&i32, &i64)| OffsetToCommit::new(&self.consume.topic, *partition, *offset);
        self.positions.iter().map(to_commit).collect()
    }

    /// Waits for records for at most `max_wait`, and prints those that come.
    pub(super) async fn poll(&mut self, max_wait: Duration) -> Result<Poll, Failure> {
        if self.is_done() {
            return Ok(Poll::Stop);
        }
        self.output.flush()?;
        let fetch = self.fetch(max_wait);
        if fetch.partitions.is_empty() {
            tokio::time::sleep(fetch.max_wait).await;
            return Ok(Poll::GoOn);
        }
        match self.client.fetch(&fetch).await {
            Ok(fetched) => self.take(fetched).await?,
            Err(error) if error.is_retriable() => self.say_once(&error),
            Err(error) => return Err(error.into()),
        }
        Ok(if self.is_done() { Poll::Stop } else { Poll::GoOn })
    }

    async fn take(&mut self, fetched: Vec<FetchedPartition>) -> Result<(), Failure> {
        self.is_broker_away = false;
        for fetched in fetched {
            match fetched.error {
                None => self.print(&fetched)?,
                Some(ErrorCode::OffsetOutOfRange) => self.reset(&fetched).await?,
                Some(code) => return Err(self.refused(fetched.partition, code)),
            }
        }
        Ok(())
    }

    fn say_once(&mut self, error: &RequestError) {
        if !std::mem::replace(&mut self.is_broker_away, true) {
            eprintln!("{error}; waiting for it …");
        }
    }

    fn is_done(&self) -> bool {
        let limits = &self.consume.limits;
        let at_end = |(partition, end)| self.positions.get(partition).is_none_or(|position| position >= end);
        limits.is_enough(self.printed)
            || limits.idle_deadline(self.last_record).is_some_and(|deadline| Instant::now() >= deadline)
            || (limits.until_end && self.ends.iter().all(at_end))
    }

    fn fetch(&self, max_wait: Duration) -> Fetch {
        let idle = self.consume.limits.idle_deadline(self.last_record);
        let until_idle = idle.map_or(max_wait, |deadline| deadline.saturating_duration_since(Instant::now()));
        let partition = |(partition, offset): (&i32, &i64)| FetchPartition {
            topic: self.consume.topic.clone(),
            partition: *partition,
            offset: *offset,
            max_bytes: MAX_PARTITION_BYTES,
        };
        Fetch {
            partitions: self.positions.iter().map(partition).collect(),
            max_wait: max_wait.min(until_idle),
            min_bytes: 1,
            max_bytes: MAX_BYTES,
            isolation_level: IsolationLevel::ReadUncommitted,
        }
    }

    fn print(&mut self, fetched: &FetchedPartition) -> Result<(), Failure> {
        let partition = fetched.partition;
        let unreadable = |error| Failure::Batch { topic: self.consume.topic.clone(), partition, error };
        for batch in fetched.batches() {
            let batch = batch.map_err(unreadable)?;
            batch.verify_crc().map_err(unreadable)?;
            let records = batch.records(MAX_DECOMPRESSED_BYTES).map_err(unreadable)?;
            let is_data = !batch.header().is_control();
            for record in records.iter().filter(|_| is_data) {
                let record = record.map_err(unreadable)?;
                if record.offset < fetched.fetch_offset {
                    continue;
                }
                if self.is_done() {
                    return Ok(());
                }
                let format = &self.consume.record_format;
                format.print(&self.consume.topic, partition, batch.header(), &record, self.output)?;
                self.advance(partition, record.offset + 1);
                self.printed += 1;
                self.last_record = Instant::now();
            }
            self.advance(partition, batch.header().next_offset());
        }
        Ok(())
    }

    fn advance(&mut self, partition: i32, next_offset: i64) {
        self.positions.entry(partition).and_modify(|position| *position = next_offset.max(*position));
    }

    /// The records at this position have been deleted, or it is behind the end.
    async fn reset(&mut self, fetched: &FetchedPartition) -> Result<(), Failure> {
        let (topic, partition) = (&self.consume.topic, fetched.partition);
        let earliest = start::positions(self.client, topic, &[partition], StartAt::Earliest).await?;
        let latest = start::positions(self.client, topic, &[partition], StartAt::Latest).await?;
        let is_behind = earliest.get(&partition).is_some_and(|earliest| fetched.fetch_offset < *earliest);
        let reset = if is_behind { earliest } else { latest };
        for (partition, offset) in reset {
            eprintln!("{topic}-{partition} has no offset {}; going on at {offset}", fetched.fetch_offset);
            self.positions.insert(partition, offset);
        }
        Ok(())
    }

    fn refused(&self, partition: i32, code: ErrorCode) -> Failure {
        let action = format!("cannot read {}-{partition}", self.consume.topic);
        Failure::Refused { action, error: KafkaError { code, message: None } }
    }
}
