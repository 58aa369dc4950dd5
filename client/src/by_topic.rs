//! Kafka's requests nest partitions in topics; callers list them flat.

use ottla_protocol::StrBytes;
use ottla_protocol::messages::TopicName;

/// Gathers the items of each topic, in the order in which the topics first appear.
pub(crate) fn by_topic<'a, T>(items: impl IntoIterator<Item = (&'a str, T)>) -> Vec<(TopicName, Vec<T>)> {
    let mut topics: Vec<(TopicName, Vec<T>)> = Vec::new();
    for (topic, item) in items {
        match topics.iter_mut().find(|(name, _)| name.as_str() == topic) {
            Some((_, items)) => items.push(item),
            None => topics.push((topic_name(topic), vec![item])),
        }
    }
    topics
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(StrBytes::from_string(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_keep_their_order() {
        let grouped = by_topic([("b", 1), ("a", 2), ("b", 3)]);
        assert_eq!(grouped, [(topic_name("b"), vec![1, 3]), (topic_name("a"), vec![2])]);
    }
}
