//! DescribeProducers.

use ottla_protocol::messages::DescribeProducersRequest;
use ottla_protocol::messages::describe_producers_request::TopicRequest;

use crate::both::Both;
use crate::topic_name;
use crate::topics::TOPIC;

pub(crate) async fn ask(both: &mut Both) {
    for (what, name, partition) in [
        ("a partition without producers", TOPIC, 0),
        ("a partition with one", TOPIC, 1),
        ("an unknown partition", TOPIC, 9),
        ("an unknown topic", "unknown", 0),
        ("a topic whose name is invalid", "a/b", 0),
        ("a topic without a name", "", 0),
    ] {
        let topic =
            TopicRequest::default().with_name(topic_name(name)).with_partition_indexes(vec![partition]);
        let request = DescribeProducersRequest::default().with_topics(vec![topic]);
        both.ask(&format!("DescribeProducers of {what}"), 0, request, |response| response.topics).await;
    }
}
