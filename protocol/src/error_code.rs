use std::fmt;

use kafka_protocol::ResponseError as ErrorCode;

/// Shows an error code by Kafka's name for it, such as `UNKNOWN_TOPIC_OR_PARTITION`, as users look it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KafkaName(pub ErrorCode);

impl fmt::Display for KafkaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let ErrorCode::Unknown(code) = self.0 {
            return write!(f, "error code {code}");
        }
        let camel_case = self.0.to_string();
        for (i, letter) in camel_case.chars().enumerate() {
            if i > 0 && letter.is_ascii_uppercase() {
                f.write_str("_")?;
            }
            write!(f, "{}", letter.to_ascii_uppercase())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_kafka_s() {
        let names = [
            (-1, "UNKNOWN_SERVER_ERROR"),
            (3, "UNKNOWN_TOPIC_OR_PARTITION"),
            (56, "KAFKA_STORAGE_ERROR"),
            (70, "FETCH_SESSION_ID_NOT_FOUND"),
            (1000, "error code 1000"),
        ];
        for (code, name) in names {
            assert_eq!(KafkaName(ErrorCode::try_from_code(code).unwrap()).to_string(), name);
        }
    }
}
