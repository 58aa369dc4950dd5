//! The options of a Kafka source: Spark's names, checks and messages (`KafkaSourceProvider`).

use std::time::Duration;

use ottla_client::IsolationLevel;
use regex::Regex;
use thiserror::Error;

use super::offsets::{PartitionOffsets, TopicPartition, partitions_from_json};
use crate::duration_text;
use crate::options::{Options, OptionsError};

/// -1 and -2 in a JSON of offsets.
pub(super) const LATEST: i64 = -1;
pub(super) const EARLIEST: i64 = -2;

/// What only a query that ends may say.
const ENDINGS: &[&str] = &["endingOffsets", "endingOffsetsByTimestamp", "endingTimestamp"];

const GROUP_ID: &str = "kafka.group.id";
const ISOLATION_LEVEL: &str = "kafka.isolation.level";

/// Every option of the source, as Spark writes it. Keys are case-insensitive.
pub const OPTIONS: &[&str] = &[
    "assign",
    "subscribe",
    "subscribePattern",
    "startingOffsets",
    "startingOffsetsByTimestamp",
    "startingTimestamp",
    "startingOffsetsByTimestampStrategy",
    "endingOffsets",
    "endingOffsetsByTimestamp",
    "endingTimestamp",
    "failOnDataLoss",
    "includeHeaders",
    "maxOffsetsPerTrigger",
    "minOffsetsPerTrigger",
    "maxTriggerDelay",
    "minPartitions",
    "maxRecordsPerPartition",
    "groupIdPrefix",
];

/// What tunes Spark's own reader.
const NO_EFFECT: &[&str] =
    &["kafkaConsumer.pollTimeoutMs", "fetchOffset.numRetries", "fetchOffset.retryIntervalMs"];

/// A source's options, checked.
#[derive(Clone, Debug)]
pub struct KafkaOptions {
    pub bootstrap_servers: String,
    pub subscription: Subscription,
    pub starting: StartingOffsets,
    pub fail_on_data_loss: bool,
    pub include_headers: bool,
    /// At most about so many offsets in one batch, over all partitions.
    pub max_offsets_per_trigger: Option<u64>,
    /// A batch waits until there are so many offsets for it, but not for longer than `max_trigger_delay`.
    pub min_offsets_per_trigger: Option<u64>,
    pub max_trigger_delay: Duration,
    /// Into how many pieces at least, and of how many offsets at most, a batch's ranges are split.
    pub min_partitions: Option<u64>,
    pub max_records_per_partition: Option<u64>,
    /// `kafka.isolation.level`
    pub isolation_level: IsolationLevel,
    pub group: Group,
}

/// The consumer group under which others see how far the query is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Group {
    /// `kafka.group.id`
    Named(String),
    /// `groupIdPrefix`; the query's id is put behind it.
    Prefix(String),
}

/// Which partitions are read.
#[derive(Clone, Debug)]
pub enum Subscription {
    Assign(Vec<TopicPartition>),
    Subscribe(Vec<String>),
    /// Matches a topic's whole name.
    SubscribePattern(Regex),
}

/// Where a new query begins. A checkpoint goes before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StartingOffsets {
    Earliest,
    Latest,
    /// -2 is the earliest offset, -1 the latest.
    Specific(PartitionOffsets),
    /// The first record of each partition that is not older.
    Timestamp {
        ms: i64,
        no_match: NoMatch,
    },
    TimestampPerPartition {
        ms: PartitionOffsets,
        no_match: NoMatch,
    },
}

/// What happens when every record of a partition is older than the starting timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoMatch {
    Error,
    Latest,
}

#[derive(Debug, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct OptionError(String);

impl KafkaOptions {
    /// `options` as the user wrote them, with the settings of the consumer under `kafka.`.
    pub fn parse(options: &Options) -> Result<KafkaOptions, OptionError> {
        refuse_ending_offsets(options)?;
        let subscription = subscription(options)?;
        refuse_consumer_settings(options)?;
        refuse_unknown(options)?;
        let max_offsets_per_trigger = options.count("maxOffsetsPerTrigger", 1)?;
        let min_offsets_per_trigger = options.count("minOffsetsPerTrigger", 1)?;
        if let (Some(min), Some(max)) = (min_offsets_per_trigger, max_offsets_per_trigger)
            && min > max
        {
            return fail(format!(
                "The value of minOffsetPerTrigger({min}) is higher than the maxOffsetsPerTrigger({max})."
            ));
        }
        Ok(KafkaOptions {
            bootstrap_servers: bootstrap_servers(options)?,
            subscription,
            starting: starting_offsets(options)?,
            fail_on_data_loss: options.boolean("failOnDataLoss", true)?,
            include_headers: options.boolean("includeHeaders", false)?,
            max_offsets_per_trigger,
            min_offsets_per_trigger,
            max_trigger_delay: max_trigger_delay(options)?,
            min_partitions: options.count("minPartitions", 1)?,
            max_records_per_partition: options.count("maxRecordsPerPartition", 1)?,
            isolation_level: isolation_level(options)?,
            group: group(options),
        })
    }
}

/// A topic that is read whole, as it is at that time.
#[derive(Clone, Debug)]
pub struct BatchOptions {
    pub source: KafkaOptions,
    /// Where reading ends, without the record there.
    pub ending: StartingOffsets,
}

impl BatchOptions {
    pub fn parse(options: &Options) -> Result<BatchOptions, OptionError> {
        let mut of_source = Options::default();
        options
            .iter()
            .filter(|(key, _)| !ENDINGS.iter().any(|ending| ending.eq_ignore_ascii_case(key)))
            .for_each(|(key, value)| of_source.set(key, value));
        if options.get("startingOffsets").is_none() {
            of_source.set("startingOffsets", "earliest");
        }
        let source = KafkaOptions::parse(&of_source)?;
        match &source.starting {
            StartingOffsets::Latest => {
                return fail("starting offset can't be latest for batch queries on Kafka");
            }
            StartingOffsets::Specific(offsets) => {
                refuse_special(offsets, LATEST, "startingOffsets", "latest")?;
            }
            _ => {}
        }
        let ending = ending_offsets(options)?;
        match &ending {
            StartingOffsets::Earliest => {
                return fail("ending offset can't be earliest for batch queries on Kafka");
            }
            StartingOffsets::Specific(offsets) => {
                refuse_special(offsets, EARLIEST, "endingOffsets", "earliest")?;
            }
            _ => {}
        }
        Ok(BatchOptions { source, ending })
    }
}

fn refuse_special(
    offsets: &PartitionOffsets,
    special: i64,
    option: &str,
    what: &str,
) -> Result<(), OptionError> {
    let found = offsets.0.iter().find(|(_, offset)| **offset == special);
    match found {
        Some((partition, _)) => {
            fail(format!("{option} for {partition} can't be {what} for batch queries on Kafka"))
        }
        None => Ok(()),
    }
}

impl From<OptionsError> for OptionError {
    fn from(error: OptionsError) -> OptionError {
        OptionError(error.to_string())
    }
}

fn fail<T>(message: impl Into<String>) -> Result<T, OptionError> {
    Err(OptionError(message.into()))
}

fn refuse_ending_offsets(options: &Options) -> Result<(), OptionError> {
    if options.get("endingOffsets").is_some() {
        return fail("ending offset not valid in streaming queries");
    }
    let by_timestamp = options.get("endingOffsetsByTimestamp");
    if by_timestamp.or(options.get("endingTimestamp")).is_some() {
        return fail("ending timestamp not valid in streaming queries");
    }
    Ok(())
}

fn subscription(options: &Options) -> Result<Subscription, OptionError> {
    const KEYS: &str = "subscribe, subscribepattern, assign. See the docs for more details.";
    match (options.get("assign"), options.get("subscribe"), options.get("subscribePattern")) {
        (Some(json), None, None) => assigned(json),
        (None, Some(topics), None) => subscribed(topics),
        (None, None, Some(pattern)) => matched(pattern),
        (None, None, None) => {
            fail(format!("One of the following options must be specified for Kafka source: {KEYS}"))
        }
        _ => fail(format!("Only one of the following options can be specified for Kafka source: {KEYS}")),
    }
}

fn assigned(json: &str) -> Result<Subscription, OptionError> {
    if !json.trim_start().starts_with('{') {
        return fail(format!(
            "No topicpartitions to assign as specified value for option 'assign' is '{json}'"
        ));
    }
    match partitions_from_json(json) {
        Some(partitions) => Ok(Subscription::Assign(partitions)),
        None => fail(format!("Expected e.g. {{\"topicA\":[0,1],\"topicB\":[0,1]}}, got {json}")),
    }
}

fn subscribed(topics: &str) -> Result<Subscription, OptionError> {
    let names: Vec<String> =
        topics.split(',').map(|topic| topic.trim().to_owned()).filter(|topic| !topic.is_empty()).collect();
    if names.is_empty() {
        return fail(format!(
            "No topics to subscribe to as specified value for option 'subscribe' is '{topics}'"
        ));
    }
    Ok(Subscription::Subscribe(names))
}

fn matched(pattern: &str) -> Result<Subscription, OptionError> {
    let trimmed = pattern.trim();
    if trimmed.is_empty() {
        return fail(format!(
            "Pattern to subscribe is empty as specified value for option 'subscribePattern' is '{pattern}'"
        ));
    }
    match Regex::new(&format!("^(?:{trimmed})$")) {
        Ok(pattern) => Ok(Subscription::SubscribePattern(pattern)),
        Err(error) => fail(format!("Option 'subscribePattern' is no pattern: {error}")),
    }
}

fn refuse_consumer_settings(options: &Options) -> Result<(), OptionError> {
    if options.get("kafka.auto.offset.reset").is_some() {
        return fail(
            "Kafka option 'auto.offset.reset' is not supported. Instead set the source option \
             'startingoffsets' to 'earliest' or 'latest' to specify where to start. Structured Streaming \
             manages which offsets are consumed internally, rather than relying on the kafkaConsumer to do it.",
        );
    }
    for (setting, what) in [("key", "keys"), ("value", "values")] {
        if options.get(&format!("kafka.{setting}.deserializer")).is_some() {
            return fail(format!(
                "Kafka option '{setting}.deserializer' is not supported as {what} are deserialized as byte \
                 arrays with ByteArrayDeserializer. Use DataFrame operations to explicitly deserialize the {what}."
            ));
        }
    }
    for setting in ["enable.auto.commit", "interceptor.classes"] {
        if options.get(&format!("kafka.{setting}")).is_some() {
            return fail(format!("Kafka option '{setting}' is not supported"));
        }
    }
    Ok(())
}

fn refuse_unknown(options: &Options) -> Result<(), OptionError> {
    for (key, value) in options.iter() {
        let key = &key.to_lowercase();
        let is = |name: &&&str| name.eq_ignore_ascii_case(key);
        if let Some(setting) = key.strip_prefix("kafka.") {
            check_consumer_setting(setting, value)?;
        } else if NO_EFFECT.iter().any(|name| is(&name)) {
            tracing::warn!("option '{key}' has no effect in Ottla");
        } else if !OPTIONS.iter().any(|name| is(&name)) {
            return fail(format!("Unknown option '{key}' of a Kafka source; it has {}", OPTIONS.join(", ")));
        }
    }
    Ok(())
}

/// Settings of the Java consumer. Those about its speed are its own affair, those about safety are not.
fn check_consumer_setting(setting: &str, value: &str) -> Result<(), OptionError> {
    let is_plain = setting == "security.protocol" && value.eq_ignore_ascii_case("PLAINTEXT");
    let is_security = ["security.", "sasl.", "ssl."].iter().any(|prefix| setting.starts_with(prefix));
    if is_security && !is_plain {
        return fail(format!(
            "Kafka option '{setting}' is not served by Ottla yet: it connects without TLS and SASL"
        ));
    }
    let is_served = ["bootstrap.servers", "group.id", "isolation.level"].contains(&setting);
    if !is_served && !is_plain {
        tracing::warn!("Kafka option '{setting}' has no effect in Ottla");
    }
    Ok(())
}

fn bootstrap_servers(options: &Options) -> Result<String, OptionError> {
    match options.get("kafka.bootstrap.servers") {
        Some(servers) => Ok(servers.to_owned()),
        None => fail("Option 'kafka.bootstrap.servers' must be specified for configuring Kafka consumer"),
    }
}

/// The more specific option goes first: one timestamp for all, then timestamps, then offsets.
fn starting_offsets(options: &Options) -> Result<StartingOffsets, OptionError> {
    let keys = ["startingTimestamp", "startingOffsetsByTimestamp", "startingOffsets"];
    offsets_of(options, keys, no_match(options)?)
}

/// A timestamp that no record has reached ends at the latest one.
fn ending_offsets(options: &Options) -> Result<StartingOffsets, OptionError> {
    let keys = ["endingTimestamp", "endingOffsetsByTimestamp", "endingOffsets"];
    offsets_of(options, keys, NoMatch::Latest)
}

fn offsets_of(options: &Options, keys: [&str; 3], no_match: NoMatch) -> Result<StartingOffsets, OptionError> {
    let [timestamp, timestamps, offsets] = keys.map(|key| options.get(key));
    if let Some(text) = timestamp {
        return match text.trim().parse() {
            Ok(ms) => Ok(StartingOffsets::Timestamp { ms, no_match }),
            Err(_) => fail(format!("Expected a single long value, got {text}")),
        };
    }
    let specific = |json| PartitionOffsets::from_json(json).map_err(|error| OptionError(error.to_string()));
    if let Some(json) = timestamps {
        let ms = specific(json)?;
        return Ok(StartingOffsets::TimestampPerPartition { ms, no_match });
    }
    let offsets = offsets.unwrap_or("latest").trim();
    match offsets.to_lowercase().as_str() {
        "earliest" => Ok(StartingOffsets::Earliest),
        "latest" => Ok(StartingOffsets::Latest),
        _ => specific(offsets).map(StartingOffsets::Specific),
    }
}

fn no_match(options: &Options) -> Result<NoMatch, OptionError> {
    let strategy = options.get("startingOffsetsByTimestampStrategy");
    match strategy.map(str::to_lowercase).as_deref() {
        None | Some("error") => Ok(NoMatch::Error),
        Some("latest") => Ok(NoMatch::Latest),
        Some(other) => {
            fail(format!("Option 'startingOffsetsByTimestampStrategy' is error or latest, not '{other}'"))
        }
    }
}

fn max_trigger_delay(options: &Options) -> Result<Duration, OptionError> {
    let text = options.get("maxTriggerDelay").unwrap_or("15m");
    let ms = duration_text::parse_ms(text).map_err(|error| OptionError(error.to_string()))?;
    Ok(Duration::from_millis(u64::try_from(ms).unwrap_or(0)))
}

fn isolation_level(options: &Options) -> Result<IsolationLevel, OptionError> {
    match options.get(ISOLATION_LEVEL).map(str::to_lowercase).as_deref() {
        None | Some("read_uncommitted") => Ok(IsolationLevel::ReadUncommitted),
        Some("read_committed") => Ok(IsolationLevel::ReadCommitted),
        Some(other) => fail(format!(
            "Invalid value {other} for configuration isolation.level: String must be one of: read_committed, \
             read_uncommitted"
        )),
    }
}

fn group(options: &Options) -> Group {
    match options.get(GROUP_ID) {
        Some(name) => Group::Named(name.to_owned()),
        None => Group::Prefix(options.get("groupIdPrefix").unwrap_or("spark-kafka-source").to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(options: &[(&str, &str)]) -> Result<KafkaOptions, String> {
        let options =
            options.iter().chain(&[("kafka.bootstrap.servers", "localhost:9092")]).copied().collect();
        KafkaOptions::parse(&options).map_err(|error| error.to_string())
    }

    #[test]
    fn keys_are_case_insensitive_and_defaults_are_spark_s() {
        let options = parse(&[("SUBSCRIBE", " a, b "), ("maxoffsetspertrigger", "7")]).unwrap();
        assert!(matches!(options.subscription, Subscription::Subscribe(topics) if topics == ["a", "b"]));
        assert_eq!(options.starting, StartingOffsets::Latest);
        assert!(options.fail_on_data_loss && !options.include_headers);
        assert_eq!(options.max_offsets_per_trigger, Some(7));
        assert_eq!(options.max_trigger_delay, Duration::from_secs(900));
        assert_eq!(options.isolation_level, IsolationLevel::ReadUncommitted);
        assert_eq!(options.group, Group::Prefix("spark-kafka-source".to_owned()));
    }

    #[test]
    fn what_the_consumer_is_told_counts() {
        let options = parse(&[
            ("subscribe", "t"),
            ("kafka.group.id", "mine"),
            ("kafka.isolation.level", "read_committed"),
            ("maxTriggerDelay", "1m"),
            ("minOffsetsPerTrigger", "5"),
        ])
        .unwrap();
        assert_eq!(options.group, Group::Named("mine".to_owned()));
        assert_eq!(options.isolation_level, IsolationLevel::ReadCommitted);
        assert_eq!(
            (options.max_trigger_delay, options.min_offsets_per_trigger),
            (Duration::from_secs(60), Some(5))
        );
    }

    #[test]
    fn a_timestamp_goes_before_offsets() {
        let starting = |options: &[(&str, &str)]| {
            parse(&[&[("subscribe", "t")], options].concat()).map(|options| options.starting)
        };
        assert_eq!(
            starting(&[("startingOffsets", "earliest"), ("startingTimestamp", "5")]),
            Ok(StartingOffsets::Timestamp { ms: 5, no_match: NoMatch::Error })
        );
        let offsets = PartitionOffsets::from_json("{\"t\":{\"0\":-2}}").unwrap();
        assert_eq!(
            starting(&[("startingOffsets", "{\"t\":{\"0\":-2}}")]),
            Ok(StartingOffsets::Specific(offsets))
        );
        assert!(starting(&[("startingOffsets", "newest")]).unwrap_err().starts_with("Expected e.g."));
    }

    #[test]
    fn a_pattern_matches_the_whole_name() {
        let options = parse(&[("subscribePattern", "a|b.*")]).unwrap();
        let Subscription::SubscribePattern(pattern) = options.subscription else {
            panic!("not a pattern");
        };
        assert!(pattern.is_match("a") && pattern.is_match("bc") && !pattern.is_match("ac"));
    }

    #[test]
    fn refuses_what_spark_refuses_in_its_words() {
        for (options, message) in [
            (&[][..], "One of the following options must be specified for Kafka source"),
            (
                &[("subscribe", "t"), ("assign", "{}")],
                "Only one of the following options can be specified for Kafka source",
            ),
            (
                &[("subscribe", " , ")],
                "No topics to subscribe to as specified value for option 'subscribe' is ' , '",
            ),
            (
                &[("assign", "t")],
                "No topicpartitions to assign as specified value for option 'assign' is 't'",
            ),
            (
                &[("subscribe", "t"), ("endingOffsets", "latest")],
                "ending offset not valid in streaming queries",
            ),
            (
                &[("subscribe", "t"), ("kafka.auto.offset.reset", "x")],
                "Kafka option 'auto.offset.reset' is not supported.",
            ),
            (
                &[("subscribe", "t"), ("kafka.enable.auto.commit", "x")],
                "Kafka option 'enable.auto.commit' is not supported",
            ),
            (
                &[("subscribe", "t"), ("kafka.value.deserializer", "x")],
                "Kafka option 'value.deserializer' is not supported as values",
            ),
            (&[("subscribe", "t"), ("subscribeTo", "x")], "Unknown option 'subscribeto'"),
            (
                &[("subscribe", "t"), ("minOffsetsPerTrigger", "8"), ("maxOffsetsPerTrigger", "7")],
                "The value of minOffsetPerTrigger(8) is higher than the maxOffsetsPerTrigger(7).",
            ),
            (
                &[("subscribe", "t"), ("maxTriggerDelay", "soon")],
                "Time must be specified as seconds (s), milliseconds (ms)",
            ),
            (
                &[("subscribe", "t"), ("kafka.isolation.level", "x")],
                "Invalid value x for configuration isolation.level",
            ),
            (
                &[("subscribe", "t"), ("kafka.sasl.mechanism", "PLAIN")],
                "Kafka option 'sasl.mechanism' is not served",
            ),
        ] {
            let error = parse(options).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
