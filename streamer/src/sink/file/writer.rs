//! The rows of one partition into files: one, or one for each folder that they belong to.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::PathBuf;
use std::sync::Arc;

use datafusion::arrow::array::timezone::Tz;
use datafusion::arrow::array::{RecordBatch, UInt32Array};
use datafusion::arrow::compute::take_record_batch;
use datafusion::physical_plan::SendableRecordBatchStream;
use futures::TryStreamExt;
use uuid::Uuid;

use super::Created;
use super::error::FileSinkError;
use super::file_format::FileFormat;
use super::log::CommittedFile;
use super::part::PartFile;
use super::partition::Partitioning;
use crate::crash_point;
use crate::format::text::{Style, TextFormat};
use crate::sink::SinkError;

/// So many files a partition has open; where its rows belong to more folders, some get several files.
const MAX_OPEN_FILES: usize = 128;

/// How a batch is written.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    pub(super) folder: PathBuf,
    pub(super) format: Arc<FileFormat>,
    pub(super) partitioning: Arc<Partitioning>,
    /// `maxRecordsPerFile`
    pub(super) max_rows: Option<u64>,
    pub(super) time_zone: Tz,
}

/// What became of one partition.
#[derive(Debug, Default)]
pub(super) struct Written {
    pub(super) rows: u64,
    pub(super) files: Vec<CommittedFile>,
}

pub(super) struct PartitionWriter {
    plan: Plan,
    index: usize,
    created: Created,
    /// By folder; the one of files that are in none is empty.
    open: HashMap<String, PartFile>,
    /// How many files each folder has got.
    counters: HashMap<String, u32>,
    written: Written,
}

impl PartitionWriter {
    pub(super) fn new(plan: Plan, index: usize, created: Created) -> PartitionWriter {
        let (open, counters, written) = (HashMap::new(), HashMap::new(), Written::default());
        PartitionWriter { plan, index, created, open, counters, written }
    }

    pub(super) async fn drain(mut self, mut rows: SendableRecordBatchStream) -> Result<Written, SinkError> {
        // So that a reader finds the columns of a batch without rows, too.
        if self.index == 0 && !self.plan.partitioning.is_partitioned() {
            self.file("")?;
        }
        while let Some(batch) = rows.try_next().await? {
            self.written.rows += batch.num_rows() as u64;
            if self.plan.partitioning.is_partitioned() {
                self.write_by_folder(&batch)?;
            } else {
                self.write("", &self.plan.partitioning.data(&batch)?)?;
            }
        }
        self.close_all()?;
        Ok(self.written)
    }

    fn write_by_folder(&mut self, batch: &RecordBatch) -> Result<(), SinkError> {
        let format = TextFormat { style: Style::Cast, time_zone: self.plan.time_zone };
        let mut rows_of: Vec<(String, Vec<u32>)> = Vec::new();
        let mut place_of: HashMap<String, usize> = HashMap::new();
        let mut folder = String::new();
        for row in 0..batch.num_rows() {
            self.plan.partitioning.folder(&mut folder, &format, batch, row)?;
            let place = match place_of.get(&folder) {
                Some(place) => *place,
                None => {
                    place_of.insert(folder.clone(), rows_of.len());
                    rows_of.push((folder.clone(), Vec::new()));
                    rows_of.len() - 1
                }
            };
            if let (Some((_, rows)), Ok(row)) = (rows_of.get_mut(place), u32::try_from(row)) {
                rows.push(row);
            }
        }
        let data = self.plan.partitioning.data(batch)?;
        for (folder, rows) in rows_of {
            self.write(&folder, &take_record_batch(&data, &UInt32Array::from(rows))?)?;
        }
        Ok(())
    }

    /// Writes rows of one folder, into a further file where the last one is full.
    fn write(&mut self, folder: &str, batch: &RecordBatch) -> Result<(), SinkError> {
        let mut start = 0;
        while start < batch.num_rows() {
            let max_rows = self.plan.max_rows;
            let file = self.file(folder)?;
            let left = batch.num_rows() - start;
            let room = max_rows.map_or(u64::MAX, |max| max.saturating_sub(file.rows()));
            let length = usize::try_from(room).unwrap_or(usize::MAX).min(left);
            file.write(&batch.slice(start, length))?;
            start += length;
            if length < left {
                self.close(folder)?;
            }
        }
        Ok(())
    }

    fn file(&mut self, folder: &str) -> Result<&mut PartFile, FileSinkError> {
        let is_open = self.open.contains_key(folder);
        if !is_open && self.open.len() >= MAX_OPEN_FILES {
            self.close_all()?;
        }
        let made = if is_open { None } else { Some(self.create(folder)?) };
        let entry = self.open.entry(folder.to_owned());
        Ok(match made {
            Some(file) => entry.insert_entry(file).into_mut(),
            None => match entry {
                Entry::Occupied(open) => open.into_mut(),
                Entry::Vacant(_) => unreachable!("it is open"),
            },
        })
    }

    fn create(&mut self, folder: &str) -> Result<PartFile, FileSinkError> {
        let counter = self.counters.entry(folder.to_owned()).or_default();
        // Spark sets the counter off by a dot where there are folders.
        let sign = if folder.is_empty() { '-' } else { '.' };
        let name = format!(
            "part-{:05}-{}{sign}c{counter:03}{}",
            self.index,
            Uuid::new_v4(),
            self.plan.format.extension()
        );
        *counter += 1;
        let path = folder
            .split('/')
            .filter(|part| !part.is_empty())
            .fold(self.plan.folder.clone(), |path, part| path.join(part));
        let path = path.join(name);
        self.created.add(&path);
        crash_point::pass();
        PartFile::create(path, &self.plan.format, &self.plan.partitioning.data_schema)
    }

    fn close(&mut self, folder: &str) -> Result<(), FileSinkError> {
        if let Some(file) = self.open.remove(folder) {
            self.written.files.push(CommittedFile::of(&file.finish()?)?);
            crash_point::pass();
        }
        Ok(())
    }

    fn close_all(&mut self) -> Result<(), FileSinkError> {
        let mut open: Vec<_> = self.open.drain().collect();
        open.sort_by(|(a, _), (b, _)| a.cmp(b));
        for (_, file) in open {
            self.written.files.push(CommittedFile::of(&file.finish()?)?);
            crash_point::pass();
        }
        Ok(())
    }
}
