//! `ottla offsets`: where the partitions of a topic begin and end, or what a point in time is in offsets.

use std::fmt;
use std::str::FromStr;

use clap::Args;
use ottla_client::{Client, OffsetSpec};
use ottla_protocol::ErrorCode;
use serde::Serialize;

use crate::connect::Bootstrap;
use crate::exit::Failure;
use crate::output::{Format, Output};

/// Show the offsets of a topic's partitions
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Offsets {
    /// The topics to look at
    #[arg(required = true, value_name = "TOPIC")]
    topics: Vec<String>,
    /// Only this partition; repeat it for several
    #[arg(long)]
    partition: Vec<i32>,
    /// One offset for each partition: earliest, latest, max-timestamp, or the first record from this time on, in
    /// milliseconds since 1970 [default: earliest and latest]
    #[arg(long, value_name = "TIME")]
    time: Option<Time>,
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// How to print the offsets
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const HELP: &str = "\
Examples:
  ottla offsets my-topic
  ottla offsets my-topic --time latest
  ottla offsets my-topic --time 1767225600000 --format json
Without --time a line is TOPIC:PARTITION:EARLIEST:LATEST, with it TOPIC:PARTITION:OFFSET, as kafka-get-offsets prints
it. The offset is left out where no record has such a timestamp.";

#[derive(Debug, Clone, Copy)]
struct Time(OffsetSpec);

#[derive(Debug, Serialize)]
struct Ends<'a> {
    topic: &'a str,
    partition: i32,
    earliest: Option<i64>,
    latest: Option<i64>,
}

#[derive(Debug, Serialize)]
struct AtTime<'a> {
    topic: &'a str,
    partition: i32,
    offset: Option<i64>,
    timestamp_ms: Option<i64>,
}

impl Offsets {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let client = self.bootstrap.connect().await?;
        let mut output = Output::new(self.format);
        for topic in &self.topics {
            let partitions = partitions(&client, topic, &self.partition).await?;
            match self.time {
                Some(Time(spec)) => print_at(&client, topic, &partitions, spec, &mut output).await?,
                None => print_ends(&client, topic, &partitions, &mut output).await?,
            }
        }
        output.flush()
    }
}

/// Those that were asked for, or all. A topic that does not exist is not made.
pub(crate) async fn partitions(client: &Client, topic: &str, only: &[i32]) -> Result<Vec<i32>, Failure> {
    let metadata = client.metadata(&[topic]).await?;
    let found = metadata.topic(topic).filter(|found| found.error != Some(ErrorCode::UnknownTopicOrPartition));
    let found = found.ok_or_else(|| Failure::NotFound(format!("topic `{topic}` does not exist")))?;
    if let Some(missing) = only.iter().find(|index| found.partition(**index).is_none()) {
        return Err(Failure::NotFound(format!("topic `{topic}` has no partition {missing}")));
    }
    let all = found.partitions.iter().map(|partition| partition.index);
    Ok(all.filter(|index| only.is_empty() || only.contains(index)).collect())
}

async fn print_ends(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    output: &mut Output,
) -> Result<(), Failure> {
    let earliest = list(client, topic, partitions, OffsetSpec::Earliest).await?;
    let latest = list(client, topic, partitions, OffsetSpec::Latest).await?;
    for (first, next) in earliest.iter().zip(&latest) {
        let partition = first.partition;
        output.print(&Ends { topic, partition, earliest: first.offset, latest: next.offset })?;
    }
    Ok(())
}

async fn print_at(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    spec: OffsetSpec,
    output: &mut Output,
) -> Result<(), Failure> {
    for listed in list(client, topic, partitions, spec).await? {
        let (offset, timestamp_ms) = (listed.offset, listed.timestamp_ms);
        output.print(&AtTime { topic, partition: listed.partition, offset, timestamp_ms })?;
    }
    Ok(())
}

/// One offset for each partition, in their order.
pub(crate) async fn list(
    client: &Client,
    topic: &str,
    partitions: &[i32],
    spec: OffsetSpec,
) -> Result<Vec<ottla_client::ListedOffset>, Failure> {
    let wanted: Vec<_> = partitions.iter().map(|partition| (topic, *partition, spec)).collect();
    Ok(client.list_offsets(&wanted).await?)
}

impl FromStr for Time {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Time, &'static str> {
        let spec = match text {
            "earliest" => OffsetSpec::Earliest,
            "latest" => OffsetSpec::Latest,
            "max-timestamp" => OffsetSpec::MaxTimestamp,
            _ => match text.parse() {
                Ok(timestamp_ms @ 0..) => OffsetSpec::Timestamp(timestamp_ms),
                _ => return Err("write earliest, latest, max-timestamp, or milliseconds since 1970"),
            },
        };
        Ok(Time(spec))
    }
}

impl fmt::Display for Ends<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ends { topic, partition, earliest, latest } = self;
        write!(f, "{topic}:{partition}:{}:{}", number(*earliest), number(*latest))
    }
}

impl fmt::Display for AtTime<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.topic, self.partition, number(self.offset))
    }
}

fn number(offset: Option<i64>) -> String {
    offset.map(|offset| offset.to_string()).unwrap_or_default()
}
