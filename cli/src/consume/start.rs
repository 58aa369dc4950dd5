//! Which partitions are read, and from where.

use std::collections::BTreeMap;
use std::str::FromStr;

use ottla_client::{Client, OffsetSpec};
use ottla_protocol::ErrorCode;
use tokio::time::Instant;

use super::Consume;
use crate::exit::Failure;
use crate::offsets;

/// The next offset to read, by partition.
pub(super) type Positions = BTreeMap<i32, i64>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StartAt {
    Earliest,
    Latest,
    Offset(i64),
}

/// The partitions that were asked for, or all. Waits for a topic that does not exist yet, and says so once; `None` if
/// the wait was too long.
pub(super) async fn partitions(client: &Client, consume: &Consume) -> Result<Option<Vec<i32>>, Failure> {
    let topic = &consume.topic;
    let deadline = consume.limits.idle_deadline(Instant::now());
    let mut told = consume.limits.until_end;
    while !consume.limits.until_end && !exists(client, topic).await? {
        if !std::mem::replace(&mut told, true) {
            eprintln!("topic `{topic}` does not exist yet; waiting for it …");
        }
        let next = Instant::now() + client.config().retry_backoff;
        if deadline.is_some_and(|deadline| next > deadline) {
            return Ok(None);
        }
        tokio::time::sleep_until(next).await;
    }
    offsets::partitions(client, topic, &consume.partition).await.map(Some)
}

async fn exists(client: &Client, topic: &str) -> Result<bool, Failure> {
    let metadata = client.metadata(&[topic]).await?;
    let error = metadata.topic(topic).and_then(|topic| topic.error);
    Ok(!matches!(error, Some(ErrorCode::UnknownTopicOrPartition | ErrorCode::LeaderNotAvailable)))
}

pub(super) async fn positions(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    start_at: StartAt,
) -> Result<Positions, Failure> {
    let spec = match start_at {
        StartAt::Earliest => OffsetSpec::Earliest,
        StartAt::Latest => OffsetSpec::Latest,
        StartAt::Offset(offset) => {
            return Ok(partitions.iter().map(|partition| (*partition, offset)).collect());
        }
    };
    let listed = offsets::list(client, topic, partitions, spec).await?;
    Ok(listed.into_iter().filter_map(|listed| Some((listed.partition, listed.offset?))).collect())
}

impl FromStr for StartAt {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<StartAt, &'static str> {
        match text {
            "earliest" => Ok(StartAt::Earliest),
            "latest" => Ok(StartAt::Latest),
            _ => match text.parse() {
                Ok(offset @ 0..) => Ok(StartAt::Offset(offset)),
                _ => Err("write a number, earliest or latest"),
            },
        }
    }
}
