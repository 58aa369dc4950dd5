//! The files of one partition, and which of its segments are in use.
//!
//! Windows refuses to cut, rename or delete a file that is open or mapped. So whoever opens or maps one takes a lease on
//! its segment first, and whoever wants a file gone says so here; it is done at once when there is no lease, else by
//! whoever drops the last one.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use tracing::warn;
use uuid::Uuid;

use crate::disk::{self, DiskFile};

/// The suffix of a deleted partition's directory, until its files are gone.
const DELETED_DIR_SUFFIX: &str = "-delete";
/// What file systems allow a name to be.
const MAX_NAME_BYTES: usize = 255;

/// Which of a segment's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    Log,
    OffsetIndex,
    TimeIndex,
    /// Aborted transactions.
    TransactionIndex,
    ProducerSnapshot,
}

impl FileKind {
    const ALL: [FileKind; 5] = [
        FileKind::Log,
        FileKind::OffsetIndex,
        FileKind::TimeIndex,
        FileKind::TransactionIndex,
        FileKind::ProducerSnapshot,
    ];

    fn extension(self) -> &'static str {
        match self {
            FileKind::Log => "log",
            FileKind::OffsetIndex => "index",
            FileKind::TimeIndex => "timeindex",
            FileKind::TransactionIndex => "txnindex",
            FileKind::ProducerSnapshot => "snapshot",
        }
    }
}

pub(crate) struct PartitionFiles {
    dir: PathBuf,
    mapped: Mutex<Mapped>,
}

#[derive(Default)]
struct Mapped {
    logs: BTreeMap<i64, MappedLog>,
    condemned: bool,
}

#[derive(Default)]
struct MappedLog {
    maps: u32,
    trim_to_bytes: Option<u64>,
}

/// What a deletion came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    Done,
    /// Somebody still reads: the last reader, or else the next start, removes the files.
    WhenUnmapped,
}

impl PartitionFiles {
    pub(crate) fn new(dir: PathBuf) -> Arc<PartitionFiles> {
        Arc::new(PartitionFiles { dir, mapped: Mutex::default() })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn path(&self, offset: i64, kind: FileKind) -> PathBuf {
        self.dir.join(format!("{offset:020}.{}", kind.extension()))
    }

    /// The segment files of the directory by offset, in ascending order for each kind; other names are left out.
    pub(crate) fn list(&self) -> io::Result<Vec<(i64, FileKind)>> {
        let mut files = Vec::new();
        for path in disk::list(&self.dir)? {
            files.extend(path.file_name().and_then(OsStr::to_str).and_then(parse_file_name));
        }
        files.sort_unstable_by_key(|(offset, _)| *offset);
        Ok(files)
    }

    /// To be taken before a file of the segment is opened or mapped, and kept as long as it is.
    pub(crate) fn lease(self: &Arc<PartitionFiles>, base_offset: i64) -> Lease {
        self.mapped.lock().logs.entry(base_offset).or_default().maps += 1;
        Lease { files: Arc::clone(self), base_offset }
    }

    pub(crate) fn is_mapped(&self) -> bool {
        !self.mapped.lock().logs.is_empty()
    }

    /// Gives back the space that was allocated beyond `len_bytes`, as soon as the log is unmapped.
    pub(crate) fn trim(&self, base_offset: i64, len_bytes: u64) {
        let mut mapped = self.mapped.lock();
        match mapped.logs.get_mut(&base_offset) {
            Some(log) => log.trim_to_bytes = Some(len_bytes),
            None => self.trim_unmapped(base_offset, len_bytes),
        }
    }

    /// Removes the directory, as soon as none of its files is mapped.
    pub(crate) fn delete(&self) -> io::Result<Deletion> {
        let mut mapped = self.mapped.lock();
        mapped.condemned = true;
        if mapped.logs.is_empty() {
            self.remove_dir().map(|()| Deletion::Done)
        } else {
            Ok(Deletion::WhenUnmapped)
        }
    }

    fn unmapped(&self, base_offset: i64) {
        let mut mapped = self.mapped.lock();
        let Some(log) = mapped.logs.get_mut(&base_offset) else { return };
        log.maps -= 1;
        if log.maps > 0 {
            return;
        }
        let trim_to_bytes = log.trim_to_bytes;
        mapped.logs.remove(&base_offset);
        if mapped.condemned {
            if mapped.logs.is_empty()
                && let Err(error) = self.remove_dir()
            {
                warn!(dir = %self.dir.display(), %error, "a deleted partition stays until the next start");
            }
        } else if let Some(len_bytes) = trim_to_bytes {
            self.trim_unmapped(base_offset, len_bytes);
        }
    }

    /// The next start cuts what cannot be cut here, so that a failure costs nothing but space.
    fn trim_unmapped(&self, base_offset: i64, len_bytes: u64) {
        let path = self.path(base_offset, FileKind::Log);
        if let Err(error) = DiskFile::open_to_write(&path).and_then(|log| log.cut(len_bytes)) {
            warn!(path = %path.display(), %error, "allocated space stays until the next start");
        }
    }

    /// Renamed first, so that a partition of the same name can be made, and a kill in between leaves a name that
    /// says what to do.
    fn remove_dir(&self) -> io::Result<()> {
        let name = self.dir.file_name().unwrap_or_default().to_string_lossy();
        let deleted = self.dir.with_file_name(unique_dir_name(&name, DELETED_DIR_SUFFIX));
        disk::rename(&self.dir, &deleted)?;
        disk::remove_dir_all(&deleted)
    }
}

/// `<dir name>.<uuid><suffix>`, the dir name cut to what a name may be long, as Kafka does.
pub(crate) fn unique_dir_name(dir_name: &str, suffix: &str) -> String {
    let unique = format!(".{}{suffix}", Uuid::new_v4().simple());
    let kept: String = dir_name.chars().take(MAX_NAME_BYTES - unique.len()).collect();
    kept + &unique
}

/// Whether this is the directory of a partition that was deleted but not removed.
pub(crate) fn is_deleted_dir(dir_name: &str) -> bool {
    let unique = dir_name.strip_suffix(DELETED_DIR_SUFFIX).and_then(|rest| rest.rsplit_once('.'));
    unique.is_some_and(|(_, unique)| Uuid::try_parse(unique).is_ok())
}

/// Keeps the files of a segment where they are, until it is dropped.
pub(crate) struct Lease {
    files: Arc<PartitionFiles>,
    base_offset: i64,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.files.unmapped(self.base_offset);
    }
}

fn parse_file_name(name: &str) -> Option<(i64, FileKind)> {
    let (digits, extension) = name.split_once('.')?;
    let kind = FileKind::ALL.into_iter().find(|kind| kind.extension() == extension)?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some((digits.parse().ok()?, kind))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn files(dir: &Path) -> Arc<PartitionFiles> {
        let files = PartitionFiles::new(dir.join("t-0"));
        fs::create_dir(files.dir()).unwrap();
        fs::write(files.path(0, FileKind::Log), [0; 100]).unwrap();
        files
    }

    fn log_bytes(files: &PartitionFiles) -> u64 {
        fs::metadata(files.path(0, FileKind::Log)).unwrap().len()
    }

    #[test]
    fn names_are_kafkas() {
        assert_eq!(parse_file_name("00000000000000000042.timeindex"), Some((42, FileKind::TimeIndex)));
        assert_eq!(parse_file_name("42.log"), None);
        assert_eq!(parse_file_name("00000000000000000042.log.deleted"), None);
        assert_eq!(parse_file_name("99999999999999999999.log"), None);
        assert_eq!(parse_file_name("leader-epoch-checkpoint"), None);
    }

    #[test]
    fn the_longest_topic_name_can_be_deleted() {
        let name = unique_dir_name(&format!("{}-12", "t".repeat(249)), DELETED_DIR_SUFFIX);
        assert_eq!(name.len(), MAX_NAME_BYTES);
        assert!(is_deleted_dir(&name));
        assert!(!is_deleted_dir("my.backup-delete"));
    }

    #[test]
    fn a_mapped_log_is_trimmed_by_its_last_reader() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let (first, second) = (files.lease(0), files.lease(0));
        files.trim(0, 10);
        drop(first);
        assert_eq!(log_bytes(&files), 100);
        drop(second);
        assert_eq!(log_bytes(&files), 10);
    }

    #[test]
    fn a_mapped_partition_is_deleted_by_its_last_reader() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let lease = files.lease(0);
        assert_eq!(files.delete().unwrap(), Deletion::WhenUnmapped);
        assert!(files.dir().exists());
        drop(lease);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
