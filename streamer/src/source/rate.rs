//! `rate`: so many rows a second, for trying things out. Spark's `RateStreamMicroBatchStream`.
//!
//! Offsets are whole seconds since the query first began, which stands in the checkpoint as `sources/<i>/0`.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;

use super::formats::Declared;
use super::generated::{self, GeneratedRows, POSITIVE, whole_number};
use super::{
    BatchRead, LatestOffset, Offset, ReadLimit, Source, SourceContext, SourceDefinition, SourceError,
};
use crate::checkpoint::log_file::{self, LogFileError};
use crate::duration_text;

const MS_PER_SECOND: i64 = 1_000;

/// Milliseconds since 1970.
type Clock = fn() -> i64;

#[derive(Clone, Debug)]
pub(super) struct RateDefinition {
    schema: SchemaRef,
    rate: Rate,
    clock: Clock,
}

#[derive(Clone, Copy, Debug)]
struct Rate {
    rows_per_second: i64,
    ramp_up_seconds: i64,
    partitions: i64,
}

impl RateDefinition {
    pub(super) fn new(declared: &Declared<'_>) -> Result<RateDefinition, SourceError> {
        declared.refuse_schema("RateStreamProvider")?;
        let rate = Rate {
            rows_per_second: whole_number(declared, "rowsPerSecond", 1, POSITIVE)?,
            ramp_up_seconds: ramp_up_seconds(declared)?,
            partitions: generated::partitions(declared)?,
        };
        Ok(RateDefinition { schema: generated::schema(declared.time_zone), rate, clock: now_ms })
    }
}

fn ramp_up_seconds(declared: &Declared<'_>) -> Result<i64, SourceError> {
    let Some(text) = declared.options.get("rampUpTime") else {
        return Ok(0);
    };
    let rule = "not be negative";
    duration_text::parse_seconds(text)
        .filter(|seconds| *seconds >= 0)
        .ok_or_else(|| SourceError::OptionValue { key: "rampUpTime", value: text.to_owned(), rule })
}

fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

#[async_trait]
impl SourceDefinition for RateDefinition {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    async fn open(&self, context: &SourceContext) -> Result<Box<dyn Source>, SourceError> {
        let file = context.folder.join("0");
        let created_ms = match read_created(&file)? {
            Some(created_ms) => created_ms,
            None => {
                let created_ms = (self.clock)();
                log_file::write_new(&file, format!("v1\n{created_ms}").as_bytes())?;
                created_ms
            }
        };
        Ok(Box::new(RateStream {
            definition: self.clone(),
            file,
            created_ms,
            latest_ms: created_ms,
            available_now: None,
        }))
    }
}

fn read_created(path: &Path) -> Result<Option<i64>, SourceError> {
    let Some(text) = log_file::read_text(path)? else {
        return Ok(None);
    };
    let line = log_file::strip_version(path, &text)?;
    match line.trim().parse() {
        Ok(created_ms) => Ok(Some(created_ms)),
        Err(_) => {
            let reason = format!("{line:?} is no time in milliseconds");
            Err(LogFileError::malformed(path, reason).into())
        }
    }
}

struct RateStream {
    definition: RateDefinition,
    file: PathBuf,
    created_ms: i64,
    /// The clock at its latest: it may be set back.
    latest_ms: i64,
    available_now: Option<i64>,
}

impl RateStream {
    fn seconds(&mut self) -> i64 {
        self.latest_ms = self.latest_ms.max((self.definition.clock)());
        (self.latest_ms - self.created_ms) / MS_PER_SECOND
    }

    fn parse(&self, json: &str) -> Result<i64, SourceError> {
        json.trim().parse().map_err(|_| SourceError::Offset {
            json: json.to_owned(),
            description: format!("{} (see {})", self.description(), self.file.display()),
        })
    }
}

#[async_trait]
impl Source for RateStream {
    /// Without the bracket that would close it, as in Spark.
    fn description(&self) -> String {
        let Rate { rows_per_second, ramp_up_seconds, partitions } = self.definition.rate;
        format!(
            "RateStreamV2[rowsPerSecond={rows_per_second}, rampUpTimeSeconds={ramp_up_seconds}, \
             numPartitions={partitions}"
        )
    }

    fn offset(&self, json: &str) -> Result<Offset, SourceError> {
        Ok(Offset(self.parse(json)?.to_string()))
    }

    async fn initial_offset(&mut self) -> Result<Option<Offset>, SourceError> {
        Ok(Some(Offset("0".to_owned())))
    }

    async fn prepare_for_available_now(&mut self) -> Result<(), SourceError> {
        self.available_now = Some(self.seconds());
        Ok(())
    }

    async fn latest_offset(
        &mut self,
        from: Option<&Offset>,
        _limit: ReadLimit,
    ) -> Result<LatestOffset, SourceError> {
        let from = from.map_or(Ok(0), |from| self.parse(&from.0))?;
        let seconds = match self.available_now {
            Some(seconds) => seconds,
            None => self.seconds(),
        };
        // A clock that was set back while the query was down does not take seconds back.
        let end = Some(Offset(seconds.max(from).to_string()));
        Ok(LatestOffset { end: end.clone(), available: end })
    }

    async fn batch(&mut self, from: Option<&Offset>, to: &Offset) -> Result<Arc<dyn BatchRead>, SourceError> {
        let (from, to) = (from.map_or(Ok(0), |from| self.parse(&from.0))?, self.parse(&to.0)?);
        let rate = self.definition.rate;
        let (first, end) = (rate.rows_until(from)?, rate.rows_until(to)?);
        let ms = (to.saturating_sub(from)).saturating_mul(MS_PER_SECOND);
        Ok(Arc::new(GeneratedRows {
            schema: self.definition.schema.clone(),
            first,
            end,
            partitions: rate.partitions,
            first_ms: self.created_ms.saturating_add(from.saturating_mul(MS_PER_SECOND)),
            ms_per_value: ms as f64 / end.saturating_sub(first).max(1) as f64,
        }))
    }

    async fn wait_for_data(&mut self, from: Option<&Offset>, max_wait: Duration) -> Result<(), SourceError> {
        let from = from.map_or(Ok(0), |from| self.parse(&from.0))?;
        let next_ms = self.created_ms.saturating_add(from.saturating_add(1).saturating_mul(MS_PER_SECOND));
        let wait_ms = next_ms.saturating_sub((self.definition.clock)()).max(1);
        tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs()).min(max_wait)).await;
        Ok(())
    }
}

impl Rate {
    /// How many rows have come when so many seconds are over. While the rate ramps up, each second has `step` rows more
    /// than the one before.
    fn rows_until(&self, seconds: i64) -> Result<i64, SourceError> {
        let overflow = SourceError::RateOverflow { seconds, rows_per_second: self.rows_per_second };
        self.checked_rows_until(seconds).ok_or(overflow)
    }

    fn checked_rows_until(&self, seconds: i64) -> Option<i64> {
        let step = (self.rows_per_second / self.ramp_up_seconds.checked_add(1)?).max(1);
        let ramping = i128::from(seconds.min(self.ramp_up_seconds));
        let rows = ramping * (ramping + 1) / 2 * i128::from(step);
        let steady = i128::from(seconds) - ramping;
        i64::try_from(rows.checked_add(steady * i128::from(self.rows_per_second))?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_ramps_up_as_spark_s() {
        let rate = Rate { rows_per_second: 10, ramp_up_seconds: 4, partitions: 1 };
        let rows: Vec<_> = (0..7).map(|second| rate.rows_until(second).unwrap()).collect();
        assert_eq!(rows, [0, 2, 6, 12, 20, 30, 40]);
        let steady = Rate { ramp_up_seconds: 0, ..rate };
        assert_eq!(steady.rows_until(3).unwrap(), 30);
        assert!(rate.rows_until(i64::MAX).is_err());
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_takes_nothing_back() {
        use std::sync::atomic::{AtomicI64, Ordering};
        static NOW_MS: AtomicI64 = AtomicI64::new(100_000);

        let folder = tempfile::tempdir().unwrap();
        let rate = Rate { rows_per_second: 10, ramp_up_seconds: 0, partitions: 1 };
        let clock = || NOW_MS.load(Ordering::SeqCst);
        let definition = RateDefinition { schema: generated::schema("UTC"), rate, clock };
        let context = SourceContext::for_tests(folder.path());
        let mut source = definition.open(&context).await.unwrap();
        let latest = async |source: &mut Box<dyn Source>, from: Option<&Offset>| {
            source.latest_offset(from, ReadLimit::OwnOptions).await.unwrap().end.unwrap().0
        };
        NOW_MS.store(105_999, Ordering::SeqCst);
        assert_eq!(latest(&mut source, None).await, "5");
        NOW_MS.store(50_000, Ordering::SeqCst);
        assert_eq!(latest(&mut source, None).await, "5");
        // And after a restart, which has only the checkpoint.
        let mut source = definition.open(&context).await.unwrap();
        assert_eq!(latest(&mut source, Some(&Offset("5".to_owned()))).await, "5");
        NOW_MS.store(107_000, Ordering::SeqCst);
        assert_eq!(latest(&mut source, Some(&Offset("5".to_owned()))).await, "7");
        assert_eq!(std::fs::read_to_string(folder.path().join("0")).unwrap(), "v1\n100000");
    }
}
