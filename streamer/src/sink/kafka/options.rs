//! The options of a Kafka sink: Spark's `topic` and `kafka.*`, and `exactlyOnce`, which is ours.

use std::time::Duration;

use ottla_client::Acks;
use ottla_client::producer::ProducerConfig;
use ottla_protocol::Compression;

use super::error::KafkaSinkError;
use crate::options::{Options, OptionsError};
use crate::sink::{SinkContext, SinkError};

/// Larger than Kafka's `batch.size` of 16 KiB: a micro-batch is there as a whole, so nothing waits for it to fill.
const BATCH_BYTES: u64 = 128 << 10;
/// Kafka's `transaction.timeout.ms`.
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(60);

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KafkaSinkOptions {
    pub(super) bootstrap_servers: String,
    pub(super) client_id: String,
    pub(super) request_timeout: Option<Duration>,
    /// Goes before the column.
    pub(super) topic: Option<String>,
    pub(super) producer: ProducerConfig,
    pub(super) exactly_once: Option<ExactlyOnce>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ExactlyOnce {
    pub(super) transactional_id: String,
    pub(super) timeout: Duration,
    /// Where the batch that was committed last is told.
    pub(super) group: String,
}

impl KafkaSinkOptions {
    pub(super) fn parse(options: &Options, context: &SinkContext) -> Result<KafkaSinkOptions, SinkError> {
        check_settings(options)?;
        let text = |key| options.get(key).map(str::to_owned);
        let milliseconds = |key| options.count(key, 1).map(|count| count.map(Duration::from_millis));
        Ok(KafkaSinkOptions {
            bootstrap_servers: text("kafka.bootstrap.servers")
                .unwrap_or_else(|| context.bootstrap_servers.clone()),
            client_id: text("kafka.client.id").unwrap_or_else(|| "ottla-stream".to_owned()),
            request_timeout: milliseconds("kafka.request.timeout.ms")?,
            topic: text("topic"),
            producer: producer_config(options)?,
            exactly_once: exactly_once(options, context)?,
        })
    }
}

fn exactly_once(options: &Options, context: &SinkContext) -> Result<Option<ExactlyOnce>, SinkError> {
    let transactional_id = options.get("kafka.transactional.id");
    if !options.boolean("exactlyOnce", false)? {
        return match transactional_id {
            None => Ok(None),
            Some(_) => Err(KafkaSinkError::TransactionalIdAlone.into()),
        };
    }
    let own = format!("ottla-stream-{}", context.query_id);
    let timeout = options.count("kafka.transaction.timeout.ms", 1)?;
    Ok(Some(ExactlyOnce {
        transactional_id: transactional_id.map_or(own.clone(), str::to_owned),
        timeout: timeout.map_or(TRANSACTION_TIMEOUT, Duration::from_millis),
        // A name of its own: offsets that somebody commits without a transaction would erase the batch.
        group: format!("{own}-exactly-once"),
    }))
}

fn producer_config(options: &Options) -> Result<ProducerConfig, OptionsError> {
    let unfit = |key, value: &str, reason: &str| OptionsError::Unfit {
        key,
        value: value.to_owned(),
        reason: reason.to_owned(),
    };
    let acks = match options.get("kafka.acks") {
        None | Some("all" | "-1") => Acks::All,
        Some("1") => Acks::Leader,
        Some("0") => Acks::None,
        Some(other) => return Err(unfit("kafka.acks", other, "it is all, -1, 0 or 1")),
    };
    let compression = match options.get("kafka.compression.type") {
        None => Compression::None,
        Some(name) => name
            .parse()
            .map_err(|_| unfit("kafka.compression.type", name, "it is none, gzip, snappy, lz4 or zstd"))?,
    };
    let batch_bytes = options.count("kafka.batch.size", 0)?.unwrap_or(BATCH_BYTES);
    Ok(ProducerConfig {
        acks,
        compression,
        batch_bytes: usize::try_from(batch_bytes).unwrap_or(usize::MAX),
        linger: Duration::ZERO,
        idempotence: options.boolean("kafka.enable.idempotence", true)?,
    })
}

/// What Spark refuses is refused, and what has no effect here is mentioned.
fn check_settings(options: &Options) -> Result<(), KafkaSinkError> {
    const KNOWN: &[&str] = &[
        "bootstrap.servers",
        "client.id",
        "request.timeout.ms",
        "acks",
        "compression.type",
        "batch.size",
        "enable.idempotence",
        "transactional.id",
        "transaction.timeout.ms",
    ];
    for (key, value) in options.iter() {
        let key = key.to_lowercase();
        let Some(setting) = key.strip_prefix("kafka.") else {
            continue;
        };
        match setting {
            "key.serializer" => return Err(KafkaSinkError::Serializer("key.serializer", "keys")),
            "value.serializer" => return Err(KafkaSinkError::Serializer("value.serializer", "value")),
            "security.protocol" if value.eq_ignore_ascii_case("PLAINTEXT") => {}
            _ if ["security.", "sasl.", "ssl."].iter().any(|prefix| setting.starts_with(prefix)) => {
                return Err(KafkaSinkError::Security(setting.to_owned()));
            }
            _ if KNOWN.contains(&setting) => {}
            _ => tracing::warn!("Kafka option '{setting}' has no effect in Ottla's sink"),
        }
    }
    Ok(())
}
