//! The directory that holds a broker's logs and what it knows about them; a Kafka log directory.

mod adoption;
mod bootstrap;
mod kraft_log;
mod leftovers;
mod lock;
mod meta_properties;
mod metadata;
mod offset_checkpoint;

use std::{
    fs::File,
    io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

pub use adoption::AdoptionError;
pub use bootstrap::BootstrapError;
pub use kraft_log::{KRaftLogError, RecordError};
use leftovers::TopicIds;
use meta_properties::MetaProperties;
pub use metadata::{Metadata, MetadataError, Topic};
use offset_checkpoint::OffsetCheckpoint;
use ottla_protocol::records::metadata::{MetadataRecord, PartitionRecord, ProducerIdsRecord};
use parking_lot::Mutex;
use thiserror::Error;
use uuid::Uuid;

use crate::{
    atomic_file,
    config::{Durability, LogConfig},
    disk::{self, is_disk_full},
    log::{FlushError, Log, LogStart, OpenError, TopicPartition},
};

const CLEAN_SHUTDOWN: &str = ".kafka_cleanshutdown";

/// As many producer ids as Kafka's controller gives a broker at once.
const PRODUCER_ID_BLOCK: i64 = 1000;

/// A data directory that is locked against other brokers until it is closed or dropped.
pub struct DataDir {
    path: PathBuf,
    /// Open until the directory is closed.
    lock: Mutex<Option<File>>,
    meta: MetaProperties,
    durability: Durability,
    metadata: Mutex<Arc<Metadata>>,
    /// As of the last start, but for the checkpoints, which are as they are.
    left: LeftBehind,
}

/// How the last broker left the directory.
struct LeftBehind {
    clean: bool,
    recovery_points: OffsetCheckpoint,
    log_start_offsets: OffsetCheckpoint,
    cleaned: OffsetCheckpoint,
}

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DataDirError {
    #[error(
        "data directory {} is in use by another broker; stop that one, or choose another data directory",
        path.display()
    )]
    InUse { path: PathBuf },
    #[error(
        "data directory {} belongs to node.id={found}, not {wanted}; set node.id={found}, or choose another data \
         directory",
        path.display()
    )]
    OtherNode { path: PathBuf, found: i32, wanted: i32 },
    #[error("cannot take {} over from Kafka: {source}", path.display())]
    Adoption { path: PathBuf, source: AdoptionError },
    #[error("the disk is full: cannot write {}; free some space and try again", path.display())]
    DiskFull { path: PathBuf },
    #[error("cannot write {}: {source}; choose a data directory that this user may write to", path.display())]
    NotWritable { path: PathBuf, source: io::Error },
    #[error("cannot read or write {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("cannot use {}: {source}", path.display())]
    Bootstrap { path: PathBuf, source: BootstrapError },
}

impl DataDir {
    /// Opens the directory, or makes it. Takes it over if a Kafka was the last to use it, and finishes what an earlier
    /// broker began to delete. A topic that asks for more `durability` gets it.
    pub fn open(path: &Path, node_id: i32, durability: Durability) -> Result<DataDir, DataDirError> {
        disk::create_dir_all(path).map_err(|source| io_error(path, source))?;
        let lock = Mutex::new(Some(lock::take(path)?));
        let meta = meta_properties(path, node_id, durability)?;
        let was_kafkas = adoption::adopt(path, &meta).map_err(|source| adoption_error(path, source))?;
        let bootstrap = path.join(bootstrap::FILE_NAME);
        let metadata = bootstrap::load(&bootstrap)
            .map_err(|source| DataDirError::Bootstrap { path: bootstrap, source })?
            .unwrap_or_default();
        let left =
            LeftBehind::of(path, metadata.durability(durability)).map_err(|source| io_error(path, source))?;
        let topic_ids = if was_kafkas { TopicIds::Checked } else { TopicIds::Believed };
        leftovers::clear(path, &metadata, topic_ids).map_err(|source| io_error(path, source))?;
        let metadata = Mutex::new(Arc::new(metadata));
        Ok(DataDir { path: path.to_owned(), lock, meta, durability, metadata, left })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn cluster_id(&self) -> &str {
        &self.meta.cluster_id
    }

    pub fn directory_id(&self) -> Uuid {
        self.meta.directory_id
    }

    /// Whether the last broker closed all logs, so that none has to be checked.
    pub fn was_left_clean(&self) -> bool {
        self.left.clean
    }

    pub fn metadata(&self) -> Arc<Metadata> {
        Arc::clone(&self.metadata.lock())
    }

    /// Applies all records or none. When this returns, the new image is in `bootstrap.checkpoint`.
    pub fn commit(&self, records: &[MetadataRecord], now_ms: i64) -> Result<Arc<Metadata>, DataDirError> {
        self.change(now_ms, |_| records.to_vec())
    }

    /// The record of a partition that this node alone holds. It has no leader, for a Kafka that takes the directory
    /// over elects one when its broker registers.
    pub fn partition_record(&self, topic_id: Uuid, partition_id: i32) -> PartitionRecord {
        PartitionRecord::of_one_node(topic_id, partition_id, self.meta.node_id, self.meta.directory_id)
    }

    /// Producer ids that were never given out, and never will be again, whatever happens to the process.
    pub fn allocate_producer_ids(&self, now_ms: i64) -> Result<Range<i64>, DataDirError> {
        let metadata = self.change(now_ms, |metadata| {
            let next_producer_id = metadata.next_producer_id() + PRODUCER_ID_BLOCK;
            let broker_id = self.meta.node_id;
            vec![MetadataRecord::ProducerIds(ProducerIdsRecord {
                broker_id,
                broker_epoch: 0,
                next_producer_id,
            })]
        })?;
        let end = metadata.next_producer_id();
        Ok(end - PRODUCER_ID_BLOCK..end)
    }

    /// Makes the log of a new partition.
    pub fn create_log(
        &self,
        topic_partition: TopicPartition,
        topic_id: Uuid,
        config: LogConfig,
        now_ms: i64,
    ) -> Result<Log, OpenError> {
        let path = self.log_path(&topic_partition);
        self.create_in(path, topic_partition, topic_id, config, now_ms)
    }

    /// The log of a partition that the metadata names; unopened ([`Log::check_files`]), unless a look at it may have to
    /// wait for the disk. One whose directory is missing, because the broker was killed before it was made, is made.
    pub fn open_log(
        &self,
        topic_partition: TopicPartition,
        topic_id: Uuid,
        config: LogConfig,
        now_ms: i64,
    ) -> Result<Log, OpenError> {
        let path = self.log_path(&topic_partition);
        if !path.exists() {
            return self.create_in(path, topic_partition, topic_id, config, now_ms);
        }
        let start = match self.left.recovery_points.get(&topic_partition) {
            Some(end_offset) if self.left.clean => LogStart::Clean { end_offset },
            recovery_point => LogStart::Unclean { recovery_point: recovery_point.unwrap_or(0) },
        };
        let log_start_offset = self.left.log_start_offsets.get(&topic_partition).unwrap_or(0);
        let cleaned_to = self.left.cleaned.get(&topic_partition);
        let log = if config.flush_messages == 1 {
            Log::open(path, topic_partition, config, start, log_start_offset, now_ms)?.0
        } else {
            Log::left(path, topic_partition, config, start, log_start_offset, now_ms)
        };
        log.believe_cleaned_to(cleaned_to);
        Ok(log)
    }

    /// Records how far each log has been flushed, and where it begins and ends. To be called when the logs were flushed:
    /// the checkpoints survive the power, too.
    pub fn write_checkpoints(&self, logs: &[Arc<Log>]) -> Result<(), DataDirError> {
        self.store_checkpoints(logs, Durability::Power)
    }

    /// Records up to where each log was compacted. If it is lost, they are compacted once more.
    pub fn write_cleaner_checkpoint(&self, logs: &[Arc<Log>]) -> Result<(), DataDirError> {
        let checkpoint = &self.left.cleaned;
        let offsets = logs.iter().filter_map(|log| Some((log.topic_partition(), log.cleaned_to()?)));
        checkpoint.store(offsets, self.durability).map_err(|source| io_error(checkpoint.path(), source))
    }

    fn store_checkpoints(&self, logs: &[Arc<Log>], durability: Durability) -> Result<(), DataDirError> {
        let recovery_points = &self.left.recovery_points;
        recovery_points
            .store(logs.iter().map(|log| (log.topic_partition(), log.offsets().recovery_point)), durability)
            .map_err(|source| io_error(recovery_points.path(), source))?;
        self.store_log_start_offsets(logs, durability)?;
        let path = self.path.join(offset_checkpoint::HIGH_WATERMARKS);
        let offsets = logs.iter().map(|log| (log.topic_partition(), log.offsets().end_offset));
        offset_checkpoint::store(&path, offsets, durability).map_err(|source| io_error(&path, source))
    }

    /// Records where each log begins, as the next start then has it whatever happens to the process. `logs` must be all
    /// that are open.
    pub fn write_log_start_offsets(&self, logs: &[Arc<Log>]) -> Result<(), DataDirError> {
        self.store_log_start_offsets(logs, self.durability(&self.metadata()))
    }

    /// As Kafka does, without logs that begin where they always did.
    fn store_log_start_offsets(&self, logs: &[Arc<Log>], durability: Durability) -> Result<(), DataDirError> {
        let checkpoint = &self.left.log_start_offsets;
        let offsets = logs.iter().map(|log| (log.topic_partition(), log.offsets().start_offset));
        checkpoint
            .store(offsets.filter(|(_, offset)| *offset > 0), durability)
            .map_err(|source| io_error(checkpoint.path(), source))
    }

    fn create_in(
        &self,
        path: PathBuf,
        topic_partition: TopicPartition,
        topic_id: Uuid,
        config: LogConfig,
        now_ms: i64,
    ) -> Result<Log, OpenError> {
        let checkpoints = [&self.left.recovery_points, &self.left.log_start_offsets, &self.left.cleaned];
        for checkpoint in checkpoints.iter().filter(|checkpoint| checkpoint.get(&topic_partition).is_some()) {
            checkpoint
                .forget(&topic_partition, self.durability(&self.metadata()))
                .map_err(|source| OpenError::from_io(checkpoint.path(), source))?;
        }
        Log::create(path, topic_partition, topic_id, config, now_ms)
    }

    /// Closes all logs, and says in the directory that the next start need not check them. `logs` must be all that
    /// are open.
    ///
    /// From then on another broker may open the directory, even if something still holds this one.
    pub fn close(&self, logs: &[Arc<Log>]) -> Result<(), CloseError> {
        let closed = self.close_logs(logs);
        // Closing the file releases the lock, whereas an unlock of its own is refused by Wine.
        self.lock.lock().take();
        closed
    }

    fn close_logs(&self, logs: &[Arc<Log>]) -> Result<(), CloseError> {
        let mut clean = true;
        let durability = self.durability(&self.metadata());
        for log in logs {
            if log.config().survives_power_cut() {
                log.flush()?;
            }
            let closed = log.close()?;
            clean &= !closed.still_mapped && !closed.unchecked;
        }
        self.store_checkpoints(logs, durability)?;
        if !clean {
            return Ok(());
        }
        let path = self.path.join(CLEAN_SHUTDOWN);
        let mark = br#"{"version":0,"brokerEpoch":0}"#;
        atomic_file::replace(&path, mark, durability).map_err(|source| io_error(&path, source).into())
    }

    fn change(
        &self,
        now_ms: i64,
        records: impl FnOnce(&Metadata) -> Vec<MetadataRecord>,
    ) -> Result<Arc<Metadata>, DataDirError> {
        let path = self.path.join(bootstrap::FILE_NAME);
        let mut current = self.metadata.lock();
        adoption::remove_stale_copy(&self.path).map_err(|source| adoption_error(&self.path, source))?;
        let mut changed = Metadata::clone(&current);
        let stored = records(&current)
            .iter()
            .try_for_each(|record| changed.apply(record).map_err(BootstrapError::from))
            .and_then(|()| bootstrap::store(&path, &changed, now_ms, self.durability(&changed)));
        match stored {
            Ok(()) => *current = Arc::new(changed),
            Err(BootstrapError::Io(source)) => return Err(io_error(&path, source)),
            Err(source) => return Err(DataDirError::Bootstrap { path, source }),
        }
        Ok(Arc::clone(&current))
    }

    fn durability(&self, metadata: &Metadata) -> Durability {
        metadata.durability(self.durability)
    }

    fn log_path(&self, topic_partition: &TopicPartition) -> PathBuf {
        self.path.join(topic_partition.to_string())
    }
}

/// Why a directory could not be left clean. The next start checks what it has to.
#[derive(Debug, Error)]
pub enum CloseError {
    #[error(transparent)]
    Log(#[from] FlushError),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
}

impl LeftBehind {
    /// The clean-shutdown mark holds for one start only, and must not come back when the power is cut after it.
    fn of(path: &Path, durability: Durability) -> io::Result<LeftBehind> {
        let clean = disk::remove_file_if_present(&path.join(CLEAN_SHUTDOWN))?;
        if clean && durability == Durability::Power {
            disk::sync_dir(path)?;
        }
        let recovery_points = OffsetCheckpoint::load(path.join(offset_checkpoint::RECOVERY_POINTS))?;
        let log_start_offsets = OffsetCheckpoint::load(path.join(offset_checkpoint::LOG_START_OFFSETS))?;
        // Without it, compaction begins from the start.
        let cleaned = OffsetCheckpoint::load_or_empty(path.join(offset_checkpoint::CLEANED));
        Ok(LeftBehind { clean, recovery_points, log_start_offsets, cleaned })
    }
}

fn meta_properties(
    path: &Path,
    node_id: i32,
    durability: Durability,
) -> Result<MetaProperties, DataDirError> {
    match MetaProperties::load(path).map_err(|source| io_error(path, source))? {
        Some(meta) if meta.node_id != node_id => {
            Err(DataDirError::OtherNode { path: path.to_owned(), found: meta.node_id, wanted: node_id })
        }
        Some(meta) => Ok(meta),
        None => {
            let meta = MetaProperties::random(node_id);
            meta.store(path, durability).map_err(|source| io_error(path, source))?;
            Ok(meta)
        }
    }
}

fn adoption_error(path: &Path, source: AdoptionError) -> DataDirError {
    match source {
        AdoptionError::Io { path, source } => io_error(&path, source),
        AdoptionError::Bootstrap(BootstrapError::Io(source)) => {
            io_error(&path.join(bootstrap::FILE_NAME), source)
        }
        source => DataDirError::Adoption { path: path.to_owned(), source },
    }
}

fn io_error(path: &Path, source: io::Error) -> DataDirError {
    let path = path.to_owned();
    match source.kind() {
        _ if is_disk_full(&source) => DataDirError::DiskFull { path },
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            DataDirError::NotWritable { path, source }
        }
        _ => DataDirError::Io { path, source },
    }
}
