//! Kafka's `range` assignor: each topic's partitions in order, in near-equal runs, over the members that want it.

use std::collections::{BTreeMap, HashMap};

use super::consumer_protocol::TopicPartitions;

/// `subscriptions`: member id to topics. `partition_counts`: a topic without one is left out.
pub(crate) fn assign(
    subscriptions: &BTreeMap<String, Vec<String>>,
    partition_counts: &HashMap<String, i32>,
) -> BTreeMap<String, TopicPartitions> {
    let mut assignments: BTreeMap<String, TopicPartitions> =
        subscriptions.keys().map(|member| (member.clone(), TopicPartitions::new())).collect();
    for (topic, partitions) in partition_counts {
        let members: Vec<&String> = subscribers(subscriptions, topic).collect();
        for (member, range) in members.iter().zip(ranges(*partitions, members.len() as i32)) {
            if let Some(assignment) = assignments.get_mut(*member).filter(|_| !range.is_empty()) {
                assignment.insert(topic.clone(), range.collect());
            }
        }
    }
    assignments
}

/// In the order of their member ids.
fn subscribers<'a>(
    subscriptions: &'a BTreeMap<String, Vec<String>>,
    topic: &'a str,
) -> impl Iterator<Item = &'a String> {
    subscriptions
        .iter()
        .filter(move |(_, topics)| topics.iter().any(|wanted| wanted == topic))
        .map(|(id, _)| id)
}

/// The first members take one partition more where the division leaves a rest.
fn ranges(partitions: i32, members: i32) -> impl Iterator<Item = std::ops::Range<i32>> {
    let (share, rest) = if members == 0 { (0, 0) } else { (partitions / members, partitions % members) };
    (0..members).map(move |member| {
        let start = member * share + member.min(rest);
        start..start + share + i32::from(member < rest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_members_take_what_is_left_over() {
        let both = vec!["t0".to_owned(), "t1".to_owned()];
        let subscriptions = BTreeMap::from([("c1".to_owned(), both.clone()), ("c0".to_owned(), both)]);
        let counts = HashMap::from([("t0".to_owned(), 3), ("t1".to_owned(), 3)]);
        let assigned = assign(&subscriptions, &counts);
        let owned = |member: &str| assigned.get(member).unwrap().values().cloned().collect::<Vec<_>>();
        assert_eq!(owned("c0"), [[0, 1], [0, 1]]);
        assert_eq!(owned("c1"), [[2], [2]]);
    }

    #[test]
    fn a_member_gets_only_what_it_asked_for() {
        let subscriptions = BTreeMap::from([
            ("a".to_owned(), vec!["t".to_owned()]),
            ("b".to_owned(), vec!["t".to_owned(), "u".to_owned()]),
            ("c".to_owned(), vec!["missing".to_owned()]),
        ]);
        let assigned = assign(&subscriptions, &HashMap::from([("t".to_owned(), 1), ("u".to_owned(), 2)]));
        assert_eq!(assigned["a"], TopicPartitions::from([("t".to_owned(), vec![0])]));
        assert_eq!(assigned["b"], TopicPartitions::from([("u".to_owned(), vec![0, 1])]));
        assert!(assigned["c"].is_empty());
    }
}
