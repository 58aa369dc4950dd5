//! The types of Kafka's configuration values, and how each is written.

/// The type of a setting, as `DescribeConfigs` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigType {
    Boolean,
    String,
    Int,
    Long,
    Double,
    List,
}

impl ConfigType {
    /// The number that stands for it in `DescribeConfigs` (v3, KIP-569).
    pub fn wire_code(self) -> i8 {
        match self {
            ConfigType::Boolean => 1,
            ConfigType::String => 2,
            ConfigType::Int => 3,
            ConfigType::Long => 5,
            ConfigType::Double => 6,
            ConfigType::List => 7,
        }
    }
}

/// A value that a setting can have.
pub trait ConfigValue: Sized + Clone + PartialEq {
    const TYPE: ConfigType;
    /// What a user should have written, for error messages.
    const EXPECTED: &'static str;

    fn parse(text: &str) -> Option<Self>;

    /// As it stands in a properties file; nothing for a value that is not set.
    fn to_text(&self) -> Option<String>;
}

impl<T: ConfigValue> ConfigValue for Option<T> {
    const TYPE: ConfigType = T::TYPE;
    const EXPECTED: &'static str = T::EXPECTED;

    fn parse(text: &str) -> Option<Option<T>> {
        T::parse(text).map(Some)
    }

    fn to_text(&self) -> Option<String> {
        self.as_ref().and_then(T::to_text)
    }
}

impl ConfigValue for bool {
    const TYPE: ConfigType = ConfigType::Boolean;
    const EXPECTED: &'static str = "true or false";

    fn parse(text: &str) -> Option<bool> {
        match text {
            _ if text.eq_ignore_ascii_case("true") => Some(true),
            _ if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }

    fn to_text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl ConfigValue for i32 {
    const TYPE: ConfigType = ConfigType::Int;
    const EXPECTED: &'static str = "a 32-bit integer";

    fn parse(text: &str) -> Option<i32> {
        text.parse().ok()
    }

    fn to_text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl ConfigValue for i64 {
    const TYPE: ConfigType = ConfigType::Long;
    const EXPECTED: &'static str = "a 64-bit integer";

    fn parse(text: &str) -> Option<i64> {
        text.parse().ok()
    }

    fn to_text(&self) -> Option<String> {
        Some(self.to_string())
    }
}

impl ConfigValue for f64 {
    const TYPE: ConfigType = ConfigType::Double;
    const EXPECTED: &'static str = "a number";

    fn parse(text: &str) -> Option<f64> {
        text.parse().ok().filter(|number: &f64| number.is_finite())
    }

    fn to_text(&self) -> Option<String> {
        // As Java's Double.toString for the magnitudes that settings have.
        Some(format!("{self:?}").replace('e', "E"))
    }
}

impl ConfigValue for String {
    const TYPE: ConfigType = ConfigType::String;
    const EXPECTED: &'static str = "a text";

    fn parse(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    fn to_text(&self) -> Option<String> {
        Some(self.clone())
    }
}

impl ConfigValue for Vec<String> {
    const TYPE: ConfigType = ConfigType::List;
    const EXPECTED: &'static str = "a list separated by commas";

    fn parse(text: &str) -> Option<Vec<String>> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        Some(items.map(str::to_owned).collect())
    }

    fn to_text(&self) -> Option<String> {
        Some(self.join(","))
    }
}

/// Which clock stamps a topic's records (KIP-32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MessageTimestampType {
    #[default]
    CreateTime,
    LogAppendTime,
}

impl ConfigValue for MessageTimestampType {
    const TYPE: ConfigType = ConfigType::String;
    const EXPECTED: &'static str = "CreateTime or LogAppendTime";

    fn parse(text: &str) -> Option<Self> {
        match text {
            "CreateTime" => Some(MessageTimestampType::CreateTime),
            "LogAppendTime" => Some(MessageTimestampType::LogAppendTime),
            _ => None,
        }
    }

    fn to_text(&self) -> Option<String> {
        Some(format!("{self:?}"))
    }
}

/// The codec of a topic's stored batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompressionType {
    /// That of whoever sent them.
    Producer,
    Uncompressed,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

const COMPRESSION_TYPES: [(CompressionType, &str); 6] = [
    (CompressionType::Producer, "producer"),
    (CompressionType::Uncompressed, "uncompressed"),
    (CompressionType::Gzip, "gzip"),
    (CompressionType::Snappy, "snappy"),
    (CompressionType::Lz4, "lz4"),
    (CompressionType::Zstd, "zstd"),
];

impl ConfigValue for CompressionType {
    const TYPE: ConfigType = ConfigType::String;
    const EXPECTED: &'static str = "producer, uncompressed, gzip, snappy, lz4 or zstd";

    fn parse(text: &str) -> Option<Self> {
        COMPRESSION_TYPES.iter().find(|(_, name)| *name == text).map(|(compression, _)| *compression)
    }

    fn to_text(&self) -> Option<String> {
        COMPRESSION_TYPES
            .iter()
            .find(|(compression, _)| compression == self)
            .map(|(_, name)| (*name).to_owned())
    }
}

/// What becomes of old records: `delete`, `compact`, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CleanupPolicy {
    pub delete: bool,
    pub compact: bool,
}

impl ConfigValue for CleanupPolicy {
    const TYPE: ConfigType = ConfigType::List;
    const EXPECTED: &'static str = "delete, compact, or both separated by a comma";

    fn parse(text: &str) -> Option<Self> {
        let mut policy = CleanupPolicy { delete: false, compact: false };
        for item in text.split(',').map(str::trim) {
            match item {
                "delete" => policy.delete = true,
                "compact" => policy.compact = true,
                _ => return None,
            }
        }
        Some(policy)
    }

    fn to_text(&self) -> Option<String> {
        let names = [(self.compact, "compact"), (self.delete, "delete")];
        Some(names.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_round_trip() {
        assert_eq!(
            i64::parse("9223372036854775807").and_then(|v| v.to_text()).as_deref(),
            Some("9223372036854775807")
        );
        assert_eq!(f64::parse("0.5").and_then(|v| v.to_text()).as_deref(), Some("0.5"));
        assert_eq!(f64::parse("1").and_then(|v| v.to_text()).as_deref(), Some("1.0"));
        let policy = CleanupPolicy::parse("delete, compact").and_then(|v| v.to_text());
        assert_eq!(policy.as_deref(), Some("compact,delete"));
    }

    #[test]
    fn what_does_not_fit_the_type_is_refused() {
        assert_eq!(i32::parse("2147483648"), None);
        assert_eq!(bool::parse("yes"), None);
        assert_eq!(CleanupPolicy::parse(""), None);
        assert_eq!(CleanupPolicy::parse("delete,shrink"), None);
        assert_eq!(f64::parse("NaN"), None);
    }
}
