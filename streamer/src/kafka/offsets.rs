//! Offsets per partition and their JSON: `{"topic":{"0":23,"1":-1}}`. Spark's `JsonUtils`.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Map, Value};
use thiserror::Error;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: String,
    pub partition: i32,
}

impl TopicPartition {
    pub fn new(topic: impl Into<String>, partition: i32) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// For each partition the next offset to read, which is one past the last that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartitionOffsets(pub BTreeMap<TopicPartition, i64>);

#[derive(Debug, PartialEq, Eq, Error)]
#[error("Expected e.g. {{\"topicA\":{{\"0\":23,\"1\":-1}},\"topicB\":{{\"0\":-2}}}}, got {text}")]
pub struct OffsetsJsonError {
    text: String,
}

impl PartitionOffsets {
    pub fn from_json(text: &str) -> Result<PartitionOffsets, OffsetsJsonError> {
        parse(text).ok_or_else(|| OffsetsJsonError { text: text.to_owned() })
    }

    /// The bytes that Spark writes for these offsets.
    pub fn to_json(&self) -> String {
        Value::Object(self.to_map()).to_string()
    }

    pub fn to_map(&self) -> Map<String, Value> {
        let mut topics = ScalaHashMap::new(|topic: &String| java_string_hash(topic));
        let mut by_topic = BTreeMap::<&str, ScalaHashMap<i32>>::new();
        for partition in self.0.keys() {
            // Spark puts the topic's map back into the outer one after each partition.
            topics.put(partition.topic.clone());
            by_topic
                .entry(&partition.topic)
                .or_insert_with(|| ScalaHashMap::new(|partition| *partition))
                .put(partition.partition);
        }
        let offset = |topic: &str, partition| {
            let offset = self.0.get(&TopicPartition::new(topic, partition));
            (partition.to_string(), Value::from(offset.copied()))
        };
        let mut json = Map::new();
        for topic in topics.into_keys() {
            let partitions = by_topic.remove(topic.as_str()).into_iter();
            let offsets = partitions
                .flat_map(ScalaHashMap::into_keys)
                .map(|partition| offset(&topic, partition))
                .collect();
            json.insert(topic, Value::Object(offsets));
        }
        json
    }
}

/// The partitions of an `assign` option: `{"topicA":[0,1],"topicB":[2,4]}`.
pub fn partitions_from_json(text: &str) -> Option<Vec<TopicPartition>> {
    let topics: BTreeMap<String, Vec<i32>> = serde_json::from_str(text).ok()?;
    let partitions = topics.into_iter().flat_map(|(topic, partitions)| {
        partitions.into_iter().map(move |partition| TopicPartition::new(&topic, partition))
    });
    Some(partitions.collect())
}

fn parse(text: &str) -> Option<PartitionOffsets> {
    let topics: BTreeMap<String, BTreeMap<String, i64>> = serde_json::from_str(text).ok()?;
    let mut offsets = BTreeMap::new();
    for (topic, partitions) in topics {
        for (partition, offset) in partitions {
            offsets.insert(TopicPartition::new(&topic, partition.parse().ok()?), offset);
        }
    }
    Some(PartitionOffsets(offsets))
}

/// The order in which Scala 2.13's `mutable.HashMap` yields its keys, which is the order in Spark's files:
/// by slot, then by hash, then by insertion.
struct ScalaHashMap<K> {
    hash: fn(&K) -> i32,
    slots: u32,
    keys: Vec<K>,
}

impl<K: PartialEq> ScalaHashMap<K> {
    fn new(hash: fn(&K) -> i32) -> ScalaHashMap<K> {
        ScalaHashMap { hash, slots: 16, keys: Vec::new() }
    }

    fn put(&mut self, key: K) {
        // It grows at a load of 3/4, before it looks whether the key is there.
        if self.keys.len() + 1 >= self.slots as usize / 4 * 3 {
            self.slots = self.slots.saturating_mul(2);
        }
        // Keys come sorted, so that a key that is there is the last one.
        if self.keys.last() != Some(&key) {
            self.keys.push(key);
        }
    }

    fn into_keys(mut self) -> Vec<K> {
        let (hash, mask) = (self.hash, self.slots - 1);
        self.keys.sort_by_key(|key| {
            let hash = hash(key).cast_unsigned();
            let improved = hash ^ (hash >> 16);
            (improved & mask, improved.cast_signed())
        });
        self.keys
    }
}

/// `java.lang.String.hashCode`.
fn java_string_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn offsets(entries: impl IntoIterator<Item = (&'static str, i32, i64)>) -> PartitionOffsets {
        let entries = entries.into_iter();
        PartitionOffsets(
            entries
                .map(|(topic, partition, offset)| (TopicPartition::new(topic, partition), offset))
                .collect(),
        )
    }

    #[test]
    fn writes_what_spark_writes() {
        let one = offsets([("t1", 0, 2), ("t1", 1, 1), ("t1", 2, 1), ("t1", 3, 0)]);
        assert_eq!(one.to_json(), r#"{"t1":{"0":2,"1":1,"2":1,"3":0}}"#);
        // Partitions beyond the sixteen slots of a small table come by slot.
        let sparse = offsets([("t", 0, 5), ("t", 1, 6), ("t", 16, 7)]);
        assert_eq!(sparse.to_json(), r#"{"t":{"0":5,"16":7,"1":6}}"#);
        // Ten partitions fit sixteen slots, twelve make them thirty-two.
        let many = offsets((0..12).map(|partition| ("t", partition, 0)));
        assert!(many.to_json().ends_with(r#""10":0,"11":0}}"#));
        assert_eq!(java_string_hash("my-topic"), -1_894_580_786);
    }

    #[test]
    fn reads_the_special_offsets() {
        let json = r#"{"topicA":{"0":23,"1":-1},"topicB":{"0":-2}}"#;
        let read = PartitionOffsets::from_json(json).unwrap();
        assert_eq!(read, offsets([("topicA", 0, 23), ("topicA", 1, -1), ("topicB", 0, -2)]));
        let error = PartitionOffsets::from_json("{\"t\":[0]}").unwrap_err();
        assert_eq!(
            error.to_string(),
            r#"Expected e.g. {"topicA":{"0":23,"1":-1},"topicB":{"0":-2}}, got {"t":[0]}"#
        );
        assert_eq!(
            partitions_from_json(r#"{"a":[1,0]}"#).unwrap(),
            [TopicPartition::new("a", 1), TopicPartition::new("a", 0)]
        );
    }

    proptest! {
        #[test]
        fn reads_back_what_it_wrote(
            offsets in proptest::collection::btree_map(("[a-zA-Z0-9._-]{1,12}", 0..200_i32), any::<i64>(), 0..60),
        ) {
            let offsets = offsets
                .into_iter()
                .map(|((topic, partition), offset)| (TopicPartition { topic, partition }, offset));
            let offsets = PartitionOffsets(offsets.collect());
            prop_assert_eq!(PartitionOffsets::from_json(&offsets.to_json()), Ok(offsets));
        }
    }
}
