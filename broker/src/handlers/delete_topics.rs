//! DeleteTopics v1–6.
//!
//! A deleted topic is gone when the answer comes: its name can be created again at once, with a new id. Fetches that
//! wait on it are woken and told, and groups forget what they have committed of it. v5: error messages. v6: topics by id (KIP-516).

use std::sync::Arc;

use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::delete_topics_response::DeletableTopicResult;
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};
use uuid::Uuid;

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::state::BrokerState;
use crate::topics::Topic;

impl Handler for DeleteTopicsRequest {
    const SERVED: VersionRange = VersionRange { min: 1, max: 6 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> DeleteTopicsResponse {
        // Up to v5 topics are named in a list of their own.
        let by_name =
            self.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name)));
        let asked = by_name.chain(self.topics);
        let responses = asked.map(|asked| delete(&broker, asked)).collect();
        DeleteTopicsResponse::default().with_responses(responses)
    }
}

fn delete(broker: &BrokerState, asked: DeleteTopicState) -> DeletableTopicResult {
    let deleted = find(broker, asked.name.as_ref(), asked.topic_id).and_then(|topic| {
        // First, so that no new topic of this name inherits them, whatever happens in between.
        broker.groups.delete_topic_offsets(&topic.name).map_err(|error| {
            (error, "the deletion of the topic's committed offsets cannot be written to disk")
        })?;
        broker.topics.delete(&topic).map_err(|error| {
            tracing::error!("cannot delete topic {}: {error}", &*topic.name);
            (ErrorCode::KafkaStorageError, "the topic's deletion cannot be written to disk")
        })?;
        // Those that were committed meanwhile. None can come any more.
        if broker.groups.delete_topic_offsets(&topic.name).is_err() {
            tracing::warn!("offsets outlive their topic; a new topic {} would inherit them", &*topic.name);
        }
        Ok(topic)
    });
    match deleted {
        Ok(topic) => {
            DeletableTopicResult::default().with_name(Some(topic.name.clone())).with_topic_id(topic.id)
        }
        Err((error, message)) => DeletableTopicResult::default()
            .with_name(asked.name)
            .with_topic_id(asked.topic_id)
            .with_error_code(error.code())
            .with_error_message(Some(StrBytes::from_static_str(message))),
    }
}

type Refused = (ErrorCode, &'static str);

fn find(broker: &BrokerState, name: Option<&TopicName>, topic_id: Uuid) -> Result<Arc<Topic>, Refused> {
    if !broker.config.settings.delete_topic_enable {
        return Err((ErrorCode::TopicDeletionDisabled, "delete.topic.enable is false"));
    }
    match name {
        Some(_) if !topic_id.is_nil() => {
            Err((ErrorCode::InvalidRequest, "a topic is named by its name or by its id, not by both"))
        }
        Some(name) => {
            let topic = broker.topics.by_name(name);
            topic.ok_or((
                ErrorCode::UnknownTopicOrPartition,
                "This server does not host this topic-partition.",
            ))
        }
        None => {
            let topic = broker.topics.by_id(topic_id);
            topic.ok_or((ErrorCode::UnknownTopicId, "This server does not host this topic ID."))
        }
    }
}
