//! The files of one partition, and which of its segments are in use.
//!
//! Windows refuses to cut, rename or delete a file that is open or mapped. So whoever opens or maps one takes a lease on
//! its segment first, and whoever wants a file gone says so here; it is done at once when there is no lease, else by
//! whoever drops the last one, else by the next start.
//!
//! # Segments that go
//! Kafka renames a file to `.deleted` and removes it a minute later (`file.delete.delay.ms`), for it does not know who
//! still reads. Leases know, so a file goes as soon as nobody reads it, and nothing is renamed on the way. The files of a
//! partition go in the order of their offsets, the log before its indexes: a kill in between leaves a log without a gap
//! and indexes without a log, which the next start removes, as it removes a `.deleted` of Kafka's.
//!
//! # Segments that are replaced
//! Compaction writes `.cleaned` files. They are decided on when the last of them is called `.swap`: until then a start
//! removes both, from then on it removes what the `.swap` covers and gives it the final name (`leftovers`). Both are
//! Kafka's rules, so that Kafka can do it, too.
//!
//! The final name may still belong to a file that is mapped. So readers get the new segment from its `.swap` at once,
//! the old files go as above, and the names change when neither old nor new is leased: at once if nobody reads. Who
//! reads without a pause delays that to the next start at the latest; nothing is missing meanwhile. A lease is what
//! tells a segment's path, because it keeps the name as it is.
//!
//! There is one such `.swap` in a partition, and no `.cleaned` beside it: a start would take the one for incomplete
//! because of the other. So a log is not compacted again before the names are as they should be.

mod cleaned;
pub(crate) mod leftovers;
mod names;
mod uses;

use std::{
    ffi::OsStr,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

pub use cleaned::CleanedFiles;
pub use names::FileKind;
pub(crate) use names::{FileName, Suffix};
use parking_lot::Mutex;
use tracing::warn;
pub(crate) use uses::Retirement;
use uses::{Due, SegmentId, Uses};
use uuid::Uuid;

use crate::config::Durability;
use crate::disk::{self, DiskFile};

/// The suffix of a deleted partition's directory, until its files are gone.
const DELETED_DIR_SUFFIX: &str = "-delete";
/// What file systems allow a name to be.
const MAX_NAME_BYTES: usize = 255;

pub(crate) struct PartitionFiles {
    dir: PathBuf,
    uses: Mutex<Uses>,
    /// Whether files that go may not come back with a power cut, one without the others.
    survives_power_cut: AtomicBool,
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
        Arc::new(PartitionFiles { dir, uses: Mutex::default(), survives_power_cut: AtomicBool::new(false) })
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn set_durability(&self, durability: Durability) {
        self.survives_power_cut.store(durability == Durability::Power, Ordering::Relaxed);
    }

    /// Where a segment's file is that no compaction has made since the log was opened.
    pub(crate) fn path(&self, offset: i64, kind: FileKind) -> PathBuf {
        FileName { offset, kind, suffix: Suffix::None }.path(&self.dir)
    }

    /// The segment files of the directory in ascending order of their offsets; other names are left out.
    pub(crate) fn list(&self) -> io::Result<Vec<FileName>> {
        let mut files = Vec::new();
        for path in disk::list(&self.dir)? {
            files.extend(path.file_name().and_then(OsStr::to_str).and_then(FileName::parse));
        }
        files.sort_unstable_by_key(|name| name.offset);
        Ok(files)
    }

    /// For files whose name cannot change, because the log is being opened or the segment is appended to.
    pub(crate) fn lease(self: &Arc<PartitionFiles>, base_offset: i64) -> Lease {
        let id = SegmentId { base_offset, generation: 0 };
        self.uses.lock().lease(id);
        Lease { files: Arc::clone(self), id, suffix: Suffix::None }
    }

    pub(crate) fn is_leased(&self) -> bool {
        self.uses.lock().is_leased()
    }

    /// Removes the directory, as soon as none of its files is in use.
    pub(crate) fn delete(&self) -> io::Result<Deletion> {
        let mut uses = self.uses.lock();
        uses.condemn();
        let Some(due) = uses.due() else { return Ok(Deletion::WhenUnmapped) };
        self.carry_out(due)?;
        uses.done(due);
        Ok(Deletion::Done)
    }

    /// Leaves what waits for readers to the next start: another broker may open the directory from here on.
    pub(crate) fn hand_over(&self) {
        self.settle();
        self.uses.lock().hand_over();
    }

    /// Does what is due. What fails is tried again at the next call or at the next start, but not for every reader.
    pub(crate) fn settle(&self) {
        let mut uses = self.uses.lock();
        uses.try_again();
        self.settle_locked(&mut uses);
    }

    fn release(&self, id: SegmentId) {
        let mut uses = self.uses.lock();
        uses.release(id);
        self.settle_locked(&mut uses);
    }

    fn settle_locked(&self, uses: &mut Uses) {
        while let Some(due) = uses.due() {
            match (self.carry_out(due), due) {
                // Costs nothing but space, and the next start does it.
                (Err(error), Due::Trim { .. }) => self.warn("allocated space stays", &error),
                (Err(error), _) => {
                    uses.failed();
                    return self.warn("files that nobody needs stay", &error);
                }
                (Ok(()), _) => {}
            }
            uses.done(due);
        }
    }

    fn warn(&self, what: &str, error: &io::Error) {
        warn!(dir = %self.dir.display(), %error, "{what} until the next start");
    }

    fn carry_out(&self, due: Due) -> io::Result<()> {
        match due {
            Due::RemoveDir => self.remove_dir(),
            Due::Trim { id, len_bytes } => {
                DiskFile::open_to_write(&self.path(id.base_offset, FileKind::Log))?.cut(len_bytes)
            }
            Due::Remove { id, suffix, snapshot_too } => self.remove(id.base_offset, suffix, snapshot_too),
            Due::TakeNames { id } => self.take_names(id.base_offset),
        }
    }

    fn remove(&self, offset: i64, suffix: Suffix, snapshot_too: bool) -> io::Result<()> {
        for kind in FileKind::OF_SEGMENT {
            disk::remove_file_if_present(&FileName { offset, kind, suffix }.path(&self.dir))?;
            // The order holds for a power cut, too.
            if kind == FileKind::Log && self.survives_power_cut.load(Ordering::Relaxed) {
                disk::sync_dir(&self.dir)?;
            }
        }
        if snapshot_too {
            disk::remove_file_if_present(&self.path(offset, FileKind::ProducerSnapshot))?;
        }
        Ok(())
    }

    /// The log first: when it has its name, a start believes the indexes that have not got theirs.
    fn take_names(&self, offset: i64) -> io::Result<()> {
        for kind in FileKind::OF_SEGMENT {
            let swap = FileName { offset, kind, suffix: Suffix::Swap }.path(&self.dir);
            if swap.exists() {
                disk::rename(&swap, &self.path(offset, kind))?;
            }
        }
        Ok(())
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

/// A segment's hold on its files.
pub(crate) struct SegmentFiles {
    files: Arc<PartitionFiles>,
    id: SegmentId,
    /// Changes under the lock of the partition's files.
    is_retired: AtomicBool,
}

impl SegmentFiles {
    pub(crate) fn new(files: Arc<PartitionFiles>, base_offset: i64) -> SegmentFiles {
        SegmentFiles::with_id(files, SegmentId { base_offset, generation: 0 })
    }

    fn with_id(files: Arc<PartitionFiles>, id: SegmentId) -> SegmentFiles {
        SegmentFiles { files, id, is_retired: AtomicBool::new(false) }
    }

    pub(crate) fn base_offset(&self) -> i64 {
        self.id.base_offset
    }

    /// To be taken before a file of the segment is opened or mapped, and kept as long as it is. `None` for a segment
    /// that is no part of the log any more: another one, or none, is in its place.
    pub(crate) fn lease(&self) -> Option<Lease> {
        let mut uses = self.files.uses.lock();
        if self.is_retired.load(Ordering::Relaxed) {
            return None;
        }
        uses.lease(self.id);
        Some(Lease { files: Arc::clone(&self.files), id: self.id, suffix: uses.suffix(self.id) })
    }

    /// For messages: what the file is called in the end.
    pub(crate) fn name(&self, kind: FileKind) -> PathBuf {
        self.files.path(self.id.base_offset, kind)
    }

    /// Gives back the space that was allocated beyond `len_bytes`, as soon as the segment is not in use.
    pub(crate) fn trim(&self, len_bytes: u64) {
        let mut uses = self.files.uses.lock();
        uses.trim(self.id, len_bytes);
        self.files.settle_locked(&mut uses);
    }

    /// To be called when no reader finds the segment any more. Its files go with the next
    /// [`PartitionFiles::settle`] that comes after the last lease.
    pub(crate) fn retire(&self, why: Retirement) {
        let mut uses = self.files.uses.lock();
        self.is_retired.store(true, Ordering::Relaxed);
        uses.retire(self.id, why);
    }
}

/// Keeps the files of a segment where they are, until it is dropped.
pub(crate) struct Lease {
    files: Arc<PartitionFiles>,
    id: SegmentId,
    suffix: Suffix,
}

impl Lease {
    pub(crate) fn path(&self, kind: FileKind) -> PathBuf {
        FileName { offset: self.id.base_offset, kind, suffix: self.suffix }.path(&self.files.dir)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.files.release(self.id);
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

    fn names(files: &PartitionFiles) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(files.dir())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names.iter().map(|name| name.trim_start_matches('0').to_owned()).collect()
    }

    fn segment(files: &Arc<PartitionFiles>, base_offset: i64) -> SegmentFiles {
        for kind in [FileKind::Log, FileKind::OffsetIndex, FileKind::ProducerSnapshot] {
            fs::write(files.path(base_offset, kind), b"old").unwrap();
        }
        SegmentFiles::new(Arc::clone(files), base_offset)
    }

    fn swapped_in(files: &Arc<PartitionFiles>, base_offset: i64) -> SegmentFiles {
        let cleaned = files.begin_cleaning(base_offset).unwrap();
        fs::write(cleaned.path(FileKind::Log), b"new").unwrap();
        fs::write(cleaned.path(FileKind::TimeIndex), b"new").unwrap();
        cleaned.swap_in().unwrap()
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
        let segment = SegmentFiles::new(Arc::clone(&files), 0);
        let (first, second) = (files.lease(0), segment.lease());
        segment.trim(10);
        drop(first);
        assert_eq!(log_bytes(&files), 100);
        drop(second);
        assert_eq!(log_bytes(&files), 10);
    }

    #[test]
    fn a_log_that_is_handed_over_is_not_trimmed_any_more() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let lease = files.lease(0);
        SegmentFiles::new(Arc::clone(&files), 0).trim(10);
        files.hand_over();
        drop(lease);
        assert_eq!(log_bytes(&files), 100);
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

    #[test]
    fn dropped_segments_go_in_order_when_nobody_reads_them() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let (first, second) = (segment(&files, 0), segment(&files, 5));
        let lease = first.lease();
        [&first, &second].iter().for_each(|segment| segment.retire(Retirement::Dropped));
        files.settle();
        assert!(first.lease().is_none() && second.lease().is_none());
        assert_eq!(names(&files).len(), 6, "the first is leased, and the second waits for it");
        drop(lease);
        assert_eq!(names(&files), [""; 0]);
    }

    #[test]
    fn a_replacement_has_its_name_at_once_when_nobody_reads() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let (first, second) = (segment(&files, 0), segment(&files, 5));
        let new = swapped_in(&files, 0);
        first.retire(Retirement::Replaced { same_base: true });
        second.retire(Retirement::Replaced { same_base: false });
        files.settle();
        assert_eq!(names(&files), [".log", ".snapshot", ".timeindex"]);
        assert_eq!(fs::read(new.lease().unwrap().path(FileKind::Log)).unwrap(), b"new");
        assert!(files.begin_cleaning(0).is_some());
    }

    #[test]
    fn a_replacement_waits_for_the_readers_of_the_old_and_of_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let old = segment(&files, 0);
        let old_lease = old.lease().unwrap();
        let new = swapped_in(&files, 0);
        old.retire(Retirement::Replaced { same_base: true });
        files.settle();
        let new_lease = new.lease().unwrap();
        assert_eq!(fs::read(old_lease.path(FileKind::Log)).unwrap(), b"old");
        assert_eq!(fs::read(new_lease.path(FileKind::Log)).unwrap(), b"new");
        drop(old_lease);
        assert_eq!(names(&files), [".log.swap", ".snapshot", ".timeindex.swap"]);
        assert!(files.begin_cleaning(0).is_none());
        drop(new_lease);
        assert_eq!(names(&files), [".log", ".snapshot", ".timeindex"]);
        assert_eq!(fs::read(new.lease().unwrap().path(FileKind::Log)).unwrap(), b"new");
    }

    #[test]
    fn a_replacement_that_is_dropped_before_it_has_its_name_goes_behind_the_old() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let old = segment(&files, 0);
        let lease = old.lease();
        let new = swapped_in(&files, 0);
        old.retire(Retirement::Replaced { same_base: true });
        new.retire(Retirement::Dropped);
        files.settle();
        assert!(names(&files).contains(&".log.swap".to_owned()));
        drop(lease);
        assert_eq!(names(&files), [""; 0]);
        assert!(files.begin_cleaning(5).is_some());
    }

    #[test]
    fn cleaned_files_that_are_given_up_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let files = files(dir.path());
        let cleaned = files.begin_cleaning(0).unwrap();
        fs::write(cleaned.path(FileKind::Log), b"new").unwrap();
        assert!(files.begin_cleaning(0).is_none());
        drop(cleaned);
        assert_eq!(names(&files), [".log"]);
        assert!(files.begin_cleaning(0).is_some());
    }
}
