//! DescribeLogDirs v1–4 (KIP-113).
//!
//! One log directory. A partition's size is that of its records; it lags behind nothing.
//!
//! Not done: the volume's total and usable bytes (v4, KIP-827) are answered −1, unknown.

use std::sync::Arc;

use ottla_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use ottla_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use ottla_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use ottla_protocol::{StrBytes, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::partition::Partition;
use crate::state::BrokerState;
use crate::topics::Topic;

impl Handler for DescribeLogDirsRequest {
    const SERVED: VersionRange = VersionRange { min: 1, max: 4 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> DescribeLogDirsResponse {
        let topics = match self.topics {
            None => broker.topics.all().iter().map(|topic| describe(topic, |_| true)).collect(),
            Some(asked) => asked.iter().filter_map(|asked| describe_some(&broker, asked)).collect(),
        };
        let directory = broker.topics.directory().display().to_string();
        let result = DescribeLogDirsResult::default()
            .with_log_dir(StrBytes::from_string(directory))
            .with_topics(topics)
            .with_total_bytes(-1)
            .with_usable_bytes(-1);
        DescribeLogDirsResponse::default().with_results(vec![result])
    }
}

fn describe_some(broker: &BrokerState, asked: &DescribableLogDirTopic) -> Option<DescribeLogDirsTopic> {
    let topic = broker.topics.by_name(&asked.topic)?;
    Some(describe(&topic, |partition| asked.partitions.contains(&partition.index)))
}

fn describe(topic: &Topic, wanted: impl Fn(&Partition) -> bool) -> DescribeLogDirsTopic {
    let partitions = topic.partitions.iter().filter(|partition| wanted(partition)).map(|partition| {
        DescribeLogDirsPartition::default()
            .with_partition_index(partition.index)
            .with_partition_size(i64::try_from(partition.log.size_bytes()).unwrap_or(i64::MAX))
    });
    DescribeLogDirsTopic::default().with_partitions(partitions.collect()).with_name(topic.name.clone())
}
