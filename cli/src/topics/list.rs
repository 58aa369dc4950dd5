//! `ottla topics list`

use std::fmt;

use clap::Args;
use ottla_client::Client;
use serde::Serialize;

use crate::exit::Failure;
use crate::output::Output;

/// List topics
#[derive(Debug, Args)]
pub(super) struct List {
    /// Leave out Kafka's own topics, such as __consumer_offsets
    #[arg(long)]
    exclude_internal: bool,
}

#[derive(Debug, Serialize)]
struct Listed<'a> {
    topic: &'a str,
    partitions: usize,
    internal: bool,
}

impl List {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        for topic in &client.all_metadata().await?.topics {
            if !(self.exclude_internal && topic.is_internal) {
                let partitions = topic.partitions.len();
                output.print(&Listed { topic: &topic.name, partitions, internal: topic.is_internal })?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.topic)
    }
}
