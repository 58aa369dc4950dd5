//! DeleteTopics v1–6.
//!
//! A deleted topic is gone when the answer comes: its name can be created again at once, with a new id. Fetches that
//! wait on it are woken and told, and groups forget what they have committed of it. Topics that go together go with one
//! write of the metadata. What is named twice stays, as in Kafka. v5: error messages. v6: topics by id (KIP-516).

use std::sync::Arc;

use ottla_protocol::messages::delete_topics_request::DeleteTopicState;
use ottla_protocol::messages::delete_topics_response::DeletableTopicResult;
use ottla_protocol::messages::{DeleteTopicsRequest, DeleteTopicsResponse, TopicName};
use ottla_protocol::{ErrorCode, StrBytes, VersionRange};
use uuid::Uuid;

use crate::context::RequestContext;
use crate::handlers::Handler;
use crate::handlers::repeated::repeated;
use crate::state::BrokerState;
use crate::topics::Topic;

impl Handler for DeleteTopicsRequest {
    const SERVED: VersionRange = VersionRange { min: 1, max: 6 };

    async fn handle(self, broker: Arc<BrokerState>, _: RequestContext) -> DeleteTopicsResponse {
        // Up to v5 topics are named in a list of their own.
        let by_name =
            self.topic_names.into_iter().map(|name| DeleteTopicState::default().with_name(Some(name)));
        let asked: Vec<_> = by_name.chain(self.topics).map(|asked| (asked.name, asked.topic_id)).collect();
        let mut responses = Vec::new();
        let going = sort_out(&broker, asked, &mut responses);
        delete(&broker, going, &mut responses);
        DeleteTopicsResponse::default().with_responses(responses)
    }
}

/// How a request names a topic: by name or by id, the other being empty.
type Asked = (Option<TopicName>, Uuid);

type Refused = (ErrorCode, &'static str);

/// The topics to be deleted, each once. What is not among them is answered at once.
fn sort_out(
    broker: &BrokerState,
    asked: Vec<Asked>,
    responses: &mut Vec<DeletableTopicResult>,
) -> Vec<Arc<Topic>> {
    let duplicates = repeated(asked.iter().cloned());
    let mut found = Vec::new();
    for asked in asked.into_iter().filter(|asked| !duplicates.contains(asked)) {
        match find(broker, &asked) {
            Ok(topic) => found.push((asked.0, topic)),
            Err((error, message)) => responses.push(refuse(asked, error, message)),
        }
    }
    let duplicate_ids = duplicates.iter().map(|(_, id)| *id).filter(|id| !id.is_nil());
    let by_name_and_id = repeated(found.iter().map(|(_, topic)| topic.id).chain(duplicate_ids));
    let (twice, once): (Vec<_>, Vec<_>) =
        found.into_iter().partition(|(_, topic)| by_name_and_id.contains(&topic.id));
    // Kafka answers these by the name alone.
    responses.extend(twice.into_iter().filter(|(name, _)| name.is_some()).map(|(name, topic)| {
        let message = "The provided topic name maps to an ID that was already supplied.";
        refuse((name, topic.id), ErrorCode::InvalidRequest, message)
    }));
    responses.extend(duplicates.into_iter().map(|asked| {
        let message = if asked.0.is_some() { "Duplicate topic name." } else { "Duplicate topic id." };
        refuse(asked, ErrorCode::InvalidRequest, message)
    }));
    once.into_iter().map(|(_, topic)| topic).collect()
}

fn find(broker: &BrokerState, (name, topic_id): &Asked) -> Result<Arc<Topic>, Refused> {
    if !broker.config.settings.delete_topic_enable {
        return Err((ErrorCode::TopicDeletionDisabled, "delete.topic.enable is false"));
    }
    match name {
        Some(_) if !topic_id.is_nil() => {
            Err((ErrorCode::InvalidRequest, "You may not specify both topic name and topic id."))
        }
        Some(name) => {
            let topic = broker.topics.by_name(name);
            topic.ok_or((
                ErrorCode::UnknownTopicOrPartition,
                "This server does not host this topic-partition.",
            ))
        }
        None if topic_id.is_nil() => {
            Err((ErrorCode::InvalidRequest, "Neither topic name nor id were specified."))
        }
        None => {
            let topic = broker.topics.by_id(*topic_id);
            topic.ok_or((ErrorCode::UnknownTopicId, "This server does not host this topic ID."))
        }
    }
}

fn delete(broker: &BrokerState, mut going: Vec<Arc<Topic>>, responses: &mut Vec<DeletableTopicResult>) {
    // First, so that no new topic of this name inherits them, whatever happens in between.
    going.retain(|topic| match broker.groups.delete_topic_offsets(&topic.name) {
        Ok(()) => true,
        Err(error) => {
            let message = "the deletion of the topic's committed offsets cannot be written to disk";
            responses.push(refuse((Some(topic.name.clone()), topic.id), error, message));
            false
        }
    });
    let deleted = going.iter().zip(broker.topics.delete(&going)).map(|(topic, deleted)| {
        if let Err(error) = deleted {
            tracing::error!("cannot delete topic {}: {error}", &*topic.name);
            return refuse((Some(topic.name.clone()), topic.id), error.code(), &error.to_string());
        }
        // Those that were committed meanwhile. None can come any more.
        if broker.groups.delete_topic_offsets(&topic.name).is_err() {
            tracing::warn!("offsets outlive their topic; a new topic {} would inherit them", &*topic.name);
        }
        DeletableTopicResult::default().with_name(Some(topic.name.clone())).with_topic_id(topic.id)
    });
    responses.extend(deleted);
}

fn refuse((name, topic_id): Asked, error: ErrorCode, message: &str) -> DeletableTopicResult {
    DeletableTopicResult::default()
        .with_name(name)
        .with_topic_id(topic_id)
        .with_error_code(error.code())
        .with_error_message(Some(StrBytes::from_string(message.to_owned())))
}
