//! `ottla groups delete`

use std::fmt;

use clap::Args;
use ottla_client::Client;
use serde::Serialize;

use crate::exit::Failure;
use crate::output::Output;

/// Delete groups that have no members, with all that they have committed
#[derive(Debug, Args)]
pub(super) struct Delete {
    /// The groups to delete
    #[arg(required = true, value_name = "GROUP")]
    groups: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Deleted<'a> {
    group: &'a str,
    result: &'static str,
}

impl Delete {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        for group in &self.groups {
            client.delete_group(group).await?;
            output.print(&Deleted { group, result: "deleted" })?;
        }
        Ok(())
    }
}

impl fmt::Display for Deleted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "group `{}` {}", self.group, self.result)
    }
}
