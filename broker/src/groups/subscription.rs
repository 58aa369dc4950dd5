//! What a consumer's JoinGroup metadata says it subscribes to.

use bytes::{Buf, Bytes};
use ottla_protocol::StrBytes;
use ottla_protocol::messages::TopicName;

/// The metadata is not a subscription in the consumer protocol's format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the member's metadata is not a consumer subscription; its client uses a format of its own")]
pub(crate) struct NotASubscription;

/// Reads the topics of a `ConsumerProtocolSubscription` of any version: version, then the array of topics, which all
/// versions begin with.
pub(crate) fn subscribed_topics(mut metadata: Bytes) -> Result<Vec<TopicName>, NotASubscription> {
    metadata.try_get_i16().map_err(|_| NotASubscription)?;
    let count = metadata.try_get_i32().map_err(|_| NotASubscription)?;
    (0..count).map(|_| read_topic(&mut metadata)).collect()
}

fn read_topic(metadata: &mut Bytes) -> Result<TopicName, NotASubscription> {
    let length = metadata.try_get_i16().map_err(|_| NotASubscription)?;
    let length = usize::try_from(length).map_err(|_| NotASubscription)?;
    if length > metadata.remaining() {
        return Err(NotASubscription);
    }
    let name = StrBytes::from_utf8(metadata.split_to(length)).map_err(|_| NotASubscription)?;
    Ok(TopicName(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_come_first_in_every_version() {
        for version in 0..4 {
            let bytes = [&[0, version], &b"\0\0\0\x02\0\x01a\0\x02bc\0\0\0\0"[..]].concat();
            let topics = subscribed_topics(Bytes::from(bytes)).unwrap();
            assert_eq!(topics, ["a", "bc"].map(|name| TopicName(StrBytes::from_static_str(name))));
        }
    }

    #[test]
    fn metadata_that_lies_about_its_lengths_is_not_a_subscription() {
        for bytes in
            [&b""[..], b"\0\0\x7f\xff\xff\xff", b"\0\0\0\0\0\x01\0\x05abc", b"\0\0\0\0\0\x01\xff\xff"]
        {
            assert_eq!(subscribed_topics(Bytes::from_static(bytes)), Err(NotASubscription), "{bytes:?}");
        }
    }
}
