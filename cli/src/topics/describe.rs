//! `ottla topics describe`: partitions, leaders, and the settings that differ from the defaults.

use std::collections::BTreeMap;
use std::fmt;

use clap::Args;
use ottla_client::{Client, KafkaError, PartitionMetadata, TopicMetadata};
use ottla_protocol::ErrorCode;
use ottla_storage::kafka_uuid;
use serde::Serialize;

use crate::exit::Failure;
use crate::output::Output;

/// Describe topics [default: all]
#[derive(Debug, Args)]
pub(super) struct Describe {
    /// The topics to describe
    #[arg(value_name = "TOPIC")]
    topics: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Description {
    topic: String,
    topic_id: String,
    internal: bool,
    replication_factor: usize,
    /// What was set on the topic itself.
    configs: BTreeMap<String, Option<String>>,
    partitions: Vec<PartitionDescription>,
}

#[derive(Debug, Serialize)]
struct PartitionDescription {
    partition: i32,
    leader: Option<i32>,
    leader_epoch: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
}

impl Describe {
    pub(super) async fn run(self, client: &Client, output: &mut Output) -> Result<(), Failure> {
        let names: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        let metadata = match names.is_empty() {
            true => client.all_metadata().await?,
            false => client.metadata(&names).await?,
        };
        for topic in &metadata.topics {
            output.print(&describe(client, topic).await?)?;
        }
        Ok(())
    }
}

async fn describe(client: &Client, topic: &TopicMetadata) -> Result<Description, Failure> {
    match topic.error {
        None => {}
        Some(ErrorCode::UnknownTopicOrPartition) => {
            return Err(Failure::NotFound(format!("topic `{}` does not exist", topic.name)));
        }
        Some(code) => {
            let (action, error) = (format!("topic `{}`", topic.name), KafkaError { code, message: None });
            return Err(Failure::Refused { action, error });
        }
    }
    let configs = client.describe_topic_configs(&topic.name).await?;
    let own = configs.into_iter().filter(|config| config.is_set_on_topic);
    Ok(Description {
        topic: topic.name.clone(),
        topic_id: kafka_uuid::format(topic.id),
        internal: topic.is_internal,
        replication_factor: topic.partitions.first().map_or(0, |partition| partition.replicas.len()),
        configs: own.map(|config| (config.name, config.value)).collect(),
        partitions: topic.partitions.iter().map(partition_description).collect(),
    })
}

fn partition_description(partition: &PartitionMetadata) -> PartitionDescription {
    PartitionDescription {
        partition: partition.index,
        leader: partition.leader,
        leader_epoch: partition.leader_epoch,
        replicas: partition.replicas.clone(),
        isr: partition.in_sync_replicas.clone(),
    }
}

/// As `kafka-topics --describe` prints it.
impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let configs =
            self.configs.iter().map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("")));
        write!(
            f,
            "Topic: {}\tTopicId: {}\tPartitionCount: {}\tReplicationFactor: {}\tConfigs: {}",
            self.topic,
            self.topic_id,
            self.partitions.len(),
            self.replication_factor,
            configs.collect::<Vec<_>>().join(",")
        )?;
        for partition in &self.partitions {
            let leader = partition.leader.map_or("none".to_owned(), |leader| leader.to_string());
            write!(
                f,
                "\n\tTopic: {}\tPartition: {}\tLeader: {leader}\tReplicas: {}\tIsr: {}",
                self.topic,
                partition.partition,
                commas(&partition.replicas),
                commas(&partition.isr)
            )?;
        }
        Ok(())
    }
}

fn commas(nodes: &[i32]) -> String {
    nodes.iter().map(i32::to_string).collect::<Vec<_>>().join(",")
}
