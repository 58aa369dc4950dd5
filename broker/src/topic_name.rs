//! Which texts are topic names.

/// Directory names end in a partition number; this much is left for the topic.
const MAX_LENGTH: usize = 249;

/// Why a text is no topic name; worded as Kafka words it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Topic name is invalid: {0}")]
pub(crate) struct InvalidTopicName(String);

/// Checks a name that a client wants to create.
pub(crate) fn validate(name: &str) -> Result<(), InvalidTopicName> {
    let invalid = |reason: String| Err(InvalidTopicName(reason));
    match name {
        "" => invalid("the empty string is not allowed".to_owned()),
        "." | ".." => invalid(format!("'{name}' is not allowed")),
        _ if name.chars().count() > MAX_LENGTH => {
            invalid(format!("the length of '{name}' is longer than the max allowed length {MAX_LENGTH}"))
        }
        _ if !name.bytes().all(is_legal) => invalid(format!(
            "'{name}' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"
        )),
        _ => Ok(()),
    }
}

/// Topics that the broker keeps for itself; clients may read them, and are told that they are internal.
pub(crate) fn is_internal(name: &str) -> bool {
    matches!(name, "__consumer_offsets" | "__transaction_state" | "__share_group_state")
}

/// The form in which `a.b` and `a_b` are the same: Kafka's metric names cannot tell them apart, so it refuses the
/// second of two such topics.
pub(crate) fn collision_form(name: &str) -> String {
    name.replace('.', "_")
}

fn is_legal(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafkas() {
        for good in ["a", "my-topic", "a.b_c-1", "...", "__consumer_offsets", &"x".repeat(MAX_LENGTH)] {
            assert_eq!(validate(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a b", "a/b", "ä", "a\0", &"x".repeat(MAX_LENGTH + 1)] {
            assert!(validate(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dots_and_underscores_collide() {
        assert_eq!(collision_form("a.b"), collision_form("a_b"));
        assert_ne!(collision_form("a-b"), collision_form("a_b"));
    }
}
