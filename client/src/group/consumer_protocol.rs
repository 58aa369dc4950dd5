//! What members of a consumer group tell each other, opaque to the broker: Kafka's `ConsumerProtocolSubscription` and
//! `ConsumerProtocolAssignment`. Version 0 is written, which every consumer reads; later ones only append fields.

use std::collections::BTreeMap;

use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Partitions by topic.
pub type TopicPartitions = BTreeMap<String, Vec<i32>>;

const VERSION: i16 = 0;
const NO_USER_DATA: i32 = -1;

/// The bytes are not what the consumer protocol says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a member sent {0} that cannot be read")]
pub(crate) struct MalformedMemberData(&'static str);

pub(crate) fn encode_subscription(topics: &[String]) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(VERSION);
    put_count(&mut bytes, topics.len());
    for topic in topics {
        put_string(&mut bytes, topic);
    }
    bytes.put_i32(NO_USER_DATA);
    bytes.freeze()
}

pub(crate) fn decode_subscription(bytes: Bytes) -> Result<Vec<String>, MalformedMemberData> {
    read_subscription(bytes).ok_or(MalformedMemberData("a subscription"))
}

pub(crate) fn encode_assignment(assignment: &TopicPartitions) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_i16(VERSION);
    put_count(&mut bytes, assignment.len());
    for (topic, partitions) in assignment {
        put_string(&mut bytes, topic);
        put_count(&mut bytes, partitions.len());
        partitions.iter().for_each(|partition| bytes.put_i32(*partition));
    }
    bytes.put_i32(NO_USER_DATA);
    bytes.freeze()
}

/// No bytes at all are no partitions: so the coordinator answers a member whom the leader left out.
pub(crate) fn decode_assignment(bytes: Bytes) -> Result<TopicPartitions, MalformedMemberData> {
    if bytes.is_empty() {
        return Ok(TopicPartitions::new());
    }
    read_assignment(bytes).ok_or(MalformedMemberData("an assignment"))
}

fn read_subscription(mut bytes: Bytes) -> Option<Vec<String>> {
    bytes.try_get_i16().ok()?;
    read_array(&mut bytes, read_string)
}

fn read_assignment(mut bytes: Bytes) -> Option<TopicPartitions> {
    bytes.try_get_i16().ok()?;
    let read_partition = |bytes: &mut Bytes| bytes.try_get_i32().ok();
    let topics =
        read_array(&mut bytes, |bytes| Some((read_string(bytes)?, read_array(bytes, read_partition)?)))?;
    Some(topics.into_iter().collect())
}

/// Reads as many items as are claimed; allocates only for those that are there.
fn read_array<T>(bytes: &mut Bytes, mut read: impl FnMut(&mut Bytes) -> Option<T>) -> Option<Vec<T>> {
    let count = bytes.try_get_i32().ok()?;
    (0..count).map(|_| read(bytes)).collect()
}

fn read_string(bytes: &mut Bytes) -> Option<String> {
    let length = usize::try_from(bytes.try_get_i16().ok()?).ok()?;
    let text = (bytes.remaining() >= length).then(|| bytes.split_to(length))?;
    String::from_utf8(text.to_vec()).ok()
}

/// Counts of topics and partitions are far below the limit that the format sets.
fn put_count(bytes: &mut BytesMut, count: usize) {
    bytes.put_i32(count as i32);
}

/// Kafka's topic names have at most 249 bytes.
fn put_string(bytes: &mut BytesMut, text: &str) {
    bytes.put_i16(text.len() as i16);
    bytes.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_assignment_comes_back_as_it_went() {
        let assignment = TopicPartitions::from([("a".to_owned(), vec![0, 2]), ("b".to_owned(), vec![])]);
        assert_eq!(decode_assignment(encode_assignment(&assignment)), Ok(assignment));
        assert_eq!(decode_assignment(Bytes::new()), Ok(TopicPartitions::new()));
    }

    #[test]
    fn a_subscription_of_a_later_version_is_read() {
        let mut later = BytesMut::from(&encode_subscription(&["t".to_owned()])[..]);
        later[1] = 3;
        later.put_slice(&[0, 0, 0, 0, 0, 0, 0, 7, 255, 255]);
        assert_eq!(decode_subscription(later.freeze()), Ok(vec!["t".to_owned()]));
    }

    #[test]
    fn data_that_lies_about_its_length_is_refused() {
        for bytes in [&[0, 0, 127, 255, 255, 255][..], &[0, 0, 0, 0, 0, 1, 0, 9, 65], &[0]] {
            assert!(decode_subscription(Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
            assert!(decode_assignment(Bytes::copy_from_slice(bytes)).is_err(), "{bytes:?}");
        }
    }
}
