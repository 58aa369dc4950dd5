//! `ottla groups reset-offsets`: commits other offsets for a group that has no members.

use std::fmt;
use std::str::FromStr;

use clap::Args;
use ottla_client::{Client, Committer, OffsetSpec, OffsetToCommit};
use serde::Serialize;

use crate::exit::Failure;
use crate::offsets;
use crate::output::Output;

/// Let a group without members read from elsewhere
#[derive(Debug, Args)]
pub(super) struct ResetOffsets {
    /// The group; it must have no members
    #[arg(value_name = "GROUP")]
    group: String,
    /// The topic whose offsets are reset
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Only this partition; repeat it for several
    #[arg(long)]
    partition: Vec<i32>,
    /// earliest, latest, an offset, or @MS for the first record from this time on, in milliseconds since 1970
    #[arg(long, value_name = "OFFSET")]
    to: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Spec(OffsetSpec),
    Offset(i64),
}

#[derive(Debug, Serialize)]
struct Reset<'a> {
    group: &'a str,
    topic: &'a str,
    partition: i32,
    new_offset: i64,
}

impl ResetOffsets {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let partitions = offsets::partitions(client, &self.topic, &self.partition).await?;
        let offsets = self.new_offsets(client, &partitions).await?;
        client.commit_offsets(&self.group, Committer::Standalone, &offsets).await?;
        for OffsetToCommit { partition, offset, .. } in offsets {
            output.print(&Reset { group: &self.group, topic: &self.topic, partition, new_offset: offset })?;
        }
        Ok(())
    }

    /// Never outside of what a partition holds: an offset is moved to the nearer end, a time after all records to the
    /// log end.
    async fn new_offsets(&self, client: &Client, partitions: &[i32]) -> Result<Vec<OffsetToCommit>, Failure> {
        let earliest = offsets::list(client, &self.topic, partitions, OffsetSpec::Earliest).await?;
        let latest = offsets::list(client, &self.topic, partitions, OffsetSpec::Latest).await?;
        let wanted: Vec<Option<i64>> = match self.to {
            Target::Offset(offset) => vec![Some(offset); partitions.len()],
            Target::Spec(spec) => {
                let listed = offsets::list(client, &self.topic, partitions, spec).await?;
                listed.into_iter().map(|listed| listed.offset).collect()
            }
        };
        let ends = earliest.iter().zip(&latest);
        let offsets = ends.zip(wanted).filter_map(|((first, next), wanted)| {
            let (first, next, partition) = (first.offset?, next.offset?, first.partition);
            Some(OffsetToCommit::new(&self.topic, partition, wanted.unwrap_or(next).max(first).min(next)))
        });
        Ok(offsets.collect())
    }
}

impl FromStr for Target {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Target, &'static str> {
        let number = |text: &str| text.parse().ok().filter(|number: &i64| *number >= 0);
        let target = match text {
            "earliest" => Some(Target::Spec(OffsetSpec::Earliest)),
            "latest" => Some(Target::Spec(OffsetSpec::Latest)),
            _ => match text.strip_prefix('@') {
                Some(time) => number(time).map(|time| Target::Spec(OffsetSpec::Timestamp(time))),
                None => number(text).map(Target::Offset),
            },
        };
        target.ok_or("write earliest, latest, an offset, or @ and milliseconds since 1970")
    }
}

impl fmt::Display for Reset<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group `{}` reads {}-{} from {}", self.group, self.topic, self.partition, self.new_offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_ends_offsets_and_times() {
        assert_eq!("latest".parse(), Ok(Target::Spec(OffsetSpec::Latest)));
        assert_eq!("42".parse(), Ok(Target::Offset(42)));
        assert_eq!("@42".parse(), Ok(Target::Spec(OffsetSpec::Timestamp(42))));
        assert!("-1".parse::<Target>().is_err() && "@x".parse::<Target>().is_err());
    }
}
