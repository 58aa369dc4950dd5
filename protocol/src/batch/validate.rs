use super::records::RawRecord;
use super::{BatchError, RecordBatch, RecordFault, Records};

/// What a walk over a batch's records found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordsSummary {
    /// The largest timestamp of the records; a producer may have written another one into the header.
    pub max_timestamp: i64,
    /// Whether a record has no key, which a compacted topic refuses.
    pub has_null_key: bool,
}

impl RecordBatch<'_> {
    /// Whether a client's batch may be appended: CRC, count, and that its records fill it exactly and are numbered
    /// from zero. A compressed one is opened, into at most `max_bytes`, so that every record which a consumer gets can
    /// be read.
    pub fn validate(&self, max_bytes: usize) -> Result<RecordsSummary, BatchError> {
        self.verify_crc()?;
        self.check_count()?;
        self.records(max_bytes)?.check()
    }

    fn check_count(&self) -> Result<(), BatchError> {
        let header = self.header();
        let (count, last_offset_delta) = (header.records_count, header.last_offset_delta);
        if count <= 0 || last_offset_delta != count - 1 {
            let base_offset = header.base_offset;
            return Err(BatchError::CountMismatch { base_offset, count, last_offset_delta });
        }
        Ok(())
    }
}

impl Records<'_> {
    /// Walks the records: they must be as many as counted, numbered from zero, and fill the batch exactly.
    pub fn check(&self) -> Result<RecordsSummary, BatchError> {
        let header = self.header();
        let fail = |index, fault| BatchError::Record { base_offset: header.base_offset, index, fault };
        let mut rest = self.as_bytes();
        let mut max_delta = i64::MIN;
        let mut has_null_key = false;
        for index in 0..u32::try_from(header.records_count).unwrap_or(0) {
            let record = RawRecord::take(&mut rest).map_err(|fault| fail(index, fault))?;
            if record.offset_delta != index as i32 {
                return Err(fail(index, RecordFault::OffsetDelta));
            }
            max_delta = max_delta.max(record.timestamp_delta);
            has_null_key |= record.key.is_none();
        }
        if !rest.is_empty() {
            return Err(fail(header.records_count as u32, RecordFault::TrailingBytes));
        }
        Ok(RecordsSummary { max_timestamp: header.record_timestamp(max_delta), has_null_key })
    }
}
