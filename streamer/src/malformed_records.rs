//! Records of a micro-batch that do not fit the schema of `from_json` or of their file source: how many, and which if
//! somebody wants them.

use std::sync::Arc;

use datafusion::execution::context::SessionContext;
use parking_lot::Mutex;

/// One for each query, which its batches share one after the other.
#[derive(Debug, Default)]
pub(crate) struct MalformedRecords {
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    count: u64,
    keeps: bool,
    records: Vec<String>,
}

impl MalformedRecords {
    /// What the session's functions and sources tell of.
    pub(crate) fn of(context: &SessionContext) -> Arc<MalformedRecords> {
        context.state_ref().read().config().get_extension().unwrap_or_default()
    }

    /// Begins a batch, whose records are kept or only counted.
    pub(crate) fn begin(&self, keeps: bool) {
        *self.seen.lock() = Seen { keeps, ..Seen::default() };
    }

    pub(crate) fn add(&self, record: &str) {
        let mut seen = self.seen.lock();
        seen.count += 1;
        if seen.keeps {
            seen.records.push(record.to_owned());
        }
    }

    /// How many there were in the batch, and those that were kept.
    pub(crate) fn take(&self) -> (u64, Vec<String>) {
        let Seen { count, records, .. } = std::mem::take(&mut *self.seen.lock());
        (count, records)
    }
}
