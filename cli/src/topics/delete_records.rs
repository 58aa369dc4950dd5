//! `ottla topics delete-records`

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use clap::Args;
use ottla_client::{Client, DeleteBefore, DeletedRecords};
use serde::Serialize;

use crate::exit::Failure;
use crate::output::Output;

/// Delete the oldest records of a topic's partitions
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(super) struct DeleteRecords {
    /// The topic whose records go
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Deletes what the partition has before this offset; -1 or `end` stands for its high watermark
    #[arg(long, required = true, num_args = 1.., value_name = "PARTITION:OFFSET")]
    before: Vec<Before>,
}

const HELP: &str = "\
Examples:
  ottla topics delete-records my-topic --before 0:1000
  ottla topics delete-records my-topic --before 0:end 1:end --format json
A line says where a partition begins now, as kafka-delete-records prints it.";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Before {
    partition: i32,
    offset: DeleteBefore,
}

#[derive(Debug, Serialize)]
struct Deleted<'a> {
    topic: &'a str,
    partition: i32,
    low_watermark: i64,
}

impl DeleteRecords {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let mut named = HashSet::new();
        if let Some(twice) = self.before.iter().find(|before| !named.insert(before.partition)) {
            return Err(Failure::Usage(format!(
                "--before names partition {} twice; name it once",
                twice.partition
            )));
        }
        let before = self.before.iter().map(|before| (self.topic.as_str(), before.partition, before.offset));
        let deleted = client.delete_records(&before.collect::<Vec<_>>()).await?;
        print_deleted(&deleted, output)
    }
}

/// Prints what was done; the first refusal is the command's failure.
fn print_deleted(deleted: &[DeletedRecords], output: &mut Output) -> Result<(), Failure> {
    let mut refusal = None;
    for DeletedRecords { topic, partition, low_watermark } in deleted {
        match low_watermark {
            Ok(low_watermark) => {
                output.print(&Deleted { topic, partition: *partition, low_watermark: *low_watermark })?;
            }
            Err(error) => {
                let action = format!("records of {topic}-{partition} were not deleted");
                refusal.get_or_insert(Failure::Refused { action, error: error.clone() });
            }
        }
    }
    output.flush()?;
    refusal.map_or(Ok(()), Err)
}

impl FromStr for Before {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Before, &'static str> {
        let before = text.split_once(':').and_then(|(partition, offset)| {
            let offset = match offset {
                "end" | "-1" => DeleteBefore::HighWatermark,
                offset => DeleteBefore::Offset(offset.parse().ok().filter(|offset| *offset >= 0)?),
            };
            Some(Before { partition: partition.parse().ok().filter(|index| *index >= 0)?, offset })
        });
        before.ok_or("write PARTITION:OFFSET, such as 0:1000, or 0:end for all that partition 0 has")
    }
}

impl fmt::Display for Deleted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "partition: {}-{}\tlow_watermark: {}", self.topic, self.partition, self.low_watermark)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_is_a_partition_and_an_offset_or_its_end() {
        let before = |partition, offset| Ok(Before { partition, offset });
        assert_eq!("0:42".parse(), before(0, DeleteBefore::Offset(42)));
        assert_eq!("3:end".parse(), before(3, DeleteBefore::HighWatermark));
        assert_eq!("3:-1".parse(), before(3, DeleteBefore::HighWatermark));
        for bad in ["", "0", "0:", ":1", "0:-2", "-1:0", "0:1:2", "a:1", "0:start"] {
            assert!(bad.parse::<Before>().is_err(), "{bad}");
        }
    }
}
