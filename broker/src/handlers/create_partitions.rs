//! CreatePartitions v0–3 (KIP-195).
//!
//! Adds partitions to topics; each topic succeeds or fails on its own, but for the one write of the metadata that makes
//! them all known. `validate_only` checks without adding.

use std::sync::Arc;

use ottla_protocol::messages::create_partitions_request::CreatePartitionsTopic;
use ottla_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use ottla_protocol::messages::{BrokerId, CreatePartitionsRequest, CreatePartitionsResponse};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::handlers::repeated::repeated;
use crate::state::BrokerState;
use crate::topics::{MAX_PARTITIONS, Topic, TopicWriteError};

impl Handler for CreatePartitionsRequest {
    const SERVED: VersionRange = VersionRange { min: 0, max: 3 };

    async fn handle(mut self, broker: Arc<BrokerState>, _: RequestContext) -> CreatePartitionsResponse {
        let repeated = repeated(self.topics.iter().map(|topic| topic.name.clone()));
        self.topics.retain(|topic| !repeated.contains(&topic.name));
        let plans = self.topics.iter().map(|asked| Ok((check(&broker, asked)?, asked.count)));
        let outcomes: Vec<Result<_, _>> = if self.validate_only {
            plans.map(|plan| plan.map(|(topic, _)| topic)).collect()
        } else {
            broker.topics.add_partitions(plans.collect())
        };
        let outcomes = self.topics.into_iter().map(|topic| topic.name).zip(outcomes);
        let duplicates = repeated.into_iter().map(|name| (name, Err(AddPartitionsError::Duplicate)));
        let results = outcomes.chain(duplicates).map(|(name, outcome)| {
            let result = CreatePartitionsTopicResult::default().with_name(name);
            match outcome {
                Ok(_) => result,
                Err(error) => result
                    .with_error_code(error.code().code())
                    .with_error_message(Some(StrBytes::from_string(error.to_string()))),
            }
        });
        CreatePartitionsResponse::default().with_results(results.collect())
    }
}

/// Why partitions are not added; worded as Kafka words it.
#[derive(Debug, thiserror::Error)]
enum AddPartitionsError {
    #[error("Duplicate topic name.")]
    Duplicate,
    #[error("This server does not host this topic-partition.")]
    UnknownTopic,
    #[error("Topic already has {0} partition(s).")]
    Unchanged(i32),
    #[error("The topic {topic} currently has {current} partition(s); {asked} would not be an increase.")]
    NotAnIncrease { topic: String, current: i32, asked: i32 },
    #[error("{asked} partitions are more than the {MAX_PARTITIONS} that a topic can have here")]
    TooMany { asked: i32 },
    #[error(
        "Attempted to add {added} additional partition(s), but only {assigned} assignment(s) were specified."
    )]
    AssignmentCount { added: i32, assigned: usize },
    #[error("A partition can only be assigned to broker {node_id}, the only one.")]
    Assignment { node_id: i32 },
    #[error(transparent)]
    Write(#[from] TopicWriteError),
}

impl AddPartitionsError {
    fn code(&self) -> ErrorCode {
        match self {
            AddPartitionsError::Duplicate => ErrorCode::InvalidRequest,
            AddPartitionsError::UnknownTopic => ErrorCode::UnknownTopicOrPartition,
            AddPartitionsError::Unchanged(_)
            | AddPartitionsError::NotAnIncrease { .. }
            | AddPartitionsError::TooMany { .. } => ErrorCode::InvalidPartitions,
            AddPartitionsError::AssignmentCount { .. } | AddPartitionsError::Assignment { .. } => {
                ErrorCode::InvalidReplicaAssignment
            }
            AddPartitionsError::Write(error) => error.code(),
        }
    }
}

/// The topic, if it can have as many partitions as are asked for.
fn check(broker: &BrokerState, asked: &CreatePartitionsTopic) -> Result<Arc<Topic>, AddPartitionsError> {
    let topic = broker.topics.by_name(&asked.name).ok_or(AddPartitionsError::UnknownTopic)?;
    let current = topic.partitions.len() as i32;
    if asked.count == current {
        return Err(AddPartitionsError::Unchanged(current));
    }
    if asked.count < current {
        let topic = topic.name.to_string();
        return Err(AddPartitionsError::NotAnIncrease { topic, current, asked: asked.count });
    }
    if asked.count > MAX_PARTITIONS {
        return Err(AddPartitionsError::TooMany { asked: asked.count });
    }
    let node_id = BrokerId(broker.config.settings.node_id);
    if let Some(assignments) = &asked.assignments {
        let (added, assigned) = (asked.count - current, assignments.len());
        if usize::try_from(added) != Ok(assigned) {
            return Err(AddPartitionsError::AssignmentCount { added, assigned });
        }
        if assignments.iter().any(|assignment| assignment.broker_ids != [node_id]) {
            return Err(AddPartitionsError::Assignment { node_id: node_id.0 });
        }
    }
    Ok(topic)
}
