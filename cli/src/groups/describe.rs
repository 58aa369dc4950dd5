//! `ottla groups describe`: how far a group has read, how far it lags behind, and who reads what.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use ottla_client::{Client, CommittedOffset, GroupDescription, GroupMemberDescription, OffsetSpec};
use ottla_protocol::ErrorCode;
use serde::Serialize;

use crate::exit::Failure;
use crate::output::{Format, Output};
use crate::table::Table;

/// Show the offsets, the lag and the members of a group
#[derive(Debug, Args)]
pub(super) struct Describe {
    /// The group to describe
    #[arg(value_name = "GROUP")]
    group: String,
}

#[derive(Debug, Serialize)]
struct Row<'a> {
    group: &'a str,
    state: &'a str,
    topic: String,
    partition: i32,
    current_offset: Option<i64>,
    log_end_offset: Option<i64>,
    lag: Option<i64>,
    member_id: Option<&'a str>,
    host: Option<&'a str>,
    client_id: Option<&'a str>,
}

impl Describe {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let described = match client.describe_group(&self.group).await {
            Err(error) if error.code() == Some(ErrorCode::GroupIdNotFound) => {
                return Err(Failure::NotFound(format!("group `{}` does not exist", self.group)));
            }
            described => described?,
        };
        let committed = client.fetch_all_offsets(&self.group).await?;
        let rows = rows(client, &described, &committed).await?;
        if output.format() == Format::Json {
            return rows.iter().try_for_each(|row| output.json(row));
        }
        if described.members.is_empty() {
            eprintln!("group `{}` has no active members (state {})", self.group, described.state);
        }
        output.text(&table(&rows))
    }
}

/// A row for each partition that the group has committed or reads.
async fn rows<'a>(
    client: &Client,
    described: &'a GroupDescription,
    committed: &[CommittedOffset],
) -> Result<Vec<Row<'a>>, Failure> {
    let committed: BTreeMap<(&str, i32), i64> =
        committed.iter().map(|offset| ((offset.topic.as_str(), offset.partition), offset.offset)).collect();
    let owners = owners(described);
    let partitions: BTreeSet<(&str, i32)> = committed.keys().chain(owners.keys()).copied().collect();
    let mut rows = Vec::new();
    for (topic, partition) in partitions {
        let current_offset = committed.get(&(topic, partition)).copied();
        let log_end_offset = log_end_offset(client, topic, partition).await?;
        let owner = owners.get(&(topic, partition));
        rows.push(Row {
            group: &described.group,
            state: &described.state,
            topic: topic.to_owned(),
            partition,
            current_offset,
            log_end_offset,
            lag: log_end_offset.zip(current_offset).map(|(end, current)| end - current),
            member_id: owner.map(|owner| owner.member_id.as_str()),
            host: owner.map(|owner| owner.client_host.as_str()),
            client_id: owner.map(|owner| owner.client_id.as_str()),
        });
    }
    Ok(rows)
}

/// `None` for a topic that has been deleted since.
async fn log_end_offset(client: &Client, topic: &str, partition: i32) -> Result<Option<i64>, Failure> {
    match client.list_offsets(&[(topic, partition, OffsetSpec::Latest)]).await {
        Ok(listed) => Ok(listed.into_iter().find_map(|listed| listed.offset)),
        Err(error) if error.code() == Some(ErrorCode::UnknownTopicOrPartition) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn owners(described: &GroupDescription) -> BTreeMap<(&str, i32), &GroupMemberDescription> {
    let mut owners = BTreeMap::new();
    for member in &described.members {
        for (topic, partitions) in &member.assignment {
            owners.extend(partitions.iter().map(|partition| ((topic.as_str(), *partition), member)));
        }
    }
    owners
}

/// The columns of `kafka-consumer-groups --describe`.
fn table(rows: &[Row<'_>]) -> Table<9> {
    let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
    let text = |text: Option<&str>| text.unwrap_or("-").to_owned();
    let mut table = Table::new([
        "GROUP",
        "TOPIC",
        "PARTITION",
        "CURRENT-OFFSET",
        "LOG-END-OFFSET",
        "LAG",
        "CONSUMER-ID",
        "HOST",
        "CLIENT-ID",
    ]);
    for row in rows {
        table.row([
            row.group.to_owned(),
            row.topic.clone(),
            row.partition.to_string(),
            number(row.current_offset),
            number(row.log_end_offset),
            number(row.lag),
            text(row.member_id),
            text(row.host),
            text(row.client_id),
        ]);
    }
    table
}
