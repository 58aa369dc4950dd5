//! `ottla groups list`

use clap::Args;
use ottla_client::Client;
use serde::Serialize;

use crate::exit::Failure;
use crate::output::{Format, Output};
use crate::table::Table;

/// List groups with their states
#[derive(Debug, Args)]
pub(super) struct List {}

#[derive(Debug, Serialize)]
struct Listed {
    group: String,
    protocol_type: String,
    state: String,
}

impl List {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let groups = client.list_groups().await?.into_iter().map(|listed| Listed {
            group: listed.group,
            protocol_type: listed.protocol_type,
            state: listed.state,
        });
        if output.format() == Format::Json {
            return groups.into_iter().try_for_each(|group| output.json(&group));
        }
        let mut table = Table::new(["GROUP", "PROTOCOL-TYPE", "STATE"]);
        groups.for_each(|Listed { group, protocol_type, state }| table.row([group, protocol_type, state]));
        output.text(&table)
    }
}
