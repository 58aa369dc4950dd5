//! From the files of a partition to a log that can go on.
//!
//! Below the recovery point everything is believed: it was written, with its index entries, before the point was
//! recorded. From there on every batch is checked, and the log is cut at the first that is not sound. After a clean
//! stop the recovery point is the log end, so that only the batches behind the last index entry are looked at.

mod outcome;
mod scan;

use std::{collections::BTreeSet, fs, io, sync::Arc};

pub use outcome::{RecoveryOutcome, TailFault, Truncation};
use scan::Scan;

use crate::{
    active_segment::ActiveSegment,
    config::Durability,
    disk,
    leader_epochs::{self, LeaderEpochs},
    partition_files::{FileKind, FileName, PartitionFiles, SegmentFiles, Suffix},
    producer_snapshot,
    producer_state::ProducerStates,
    publish::SegmentEnd,
    segment::Segment,
    transaction_index::{self, TransactionIndex},
};

/// What is known about a partition before its files are read.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    pub(crate) recovery_point: i64,
    /// Nothing below is part of the log.
    pub(crate) log_start_offset: i64,
    /// The log was closed, so that its files end where its batches do.
    pub(crate) clean: bool,
    pub(crate) index_interval_bytes: u32,
    pub(crate) now_ms: i64,
    pub(crate) durability: Durability,
}

pub(crate) struct Recovered {
    pub(crate) sealed: Vec<Arc<Segment>>,
    pub(crate) active: ActiveSegment,
    pub(crate) producers: ProducerStates,
    pub(crate) leader_epochs: LeaderEpochs,
    pub(crate) outcome: RecoveryOutcome,
}

/// The offsets that the names of a partition's files hold.
#[derive(Default)]
pub(crate) struct Listing {
    pub(crate) bases: BTreeSet<i64>,
    indexed: BTreeSet<i64>,
    snapshots: BTreeSet<i64>,
    /// With aborted transactions.
    transaction_indexed: BTreeSet<i64>,
}

impl Listing {
    pub(crate) fn of(names: &[FileName]) -> Listing {
        let mut listing = Listing::default();
        for &FileName { offset, kind, .. } in names.iter().filter(|name| name.suffix == Suffix::None) {
            match kind {
                FileKind::Log => listing.bases.insert(offset),
                FileKind::OffsetIndex => listing.indexed.insert(offset),
                FileKind::ProducerSnapshot => listing.snapshots.insert(offset),
                FileKind::TransactionIndex => listing.transaction_indexed.insert(offset),
                FileKind::TimeIndex => false,
            };
        }
        listing
    }

    pub(crate) fn first_base(&self) -> i64 {
        self.bases.first().copied().unwrap_or(0)
    }

    /// Removes segments that lie below the log start: the last broker did not come to it.
    pub(crate) fn drop_below(&mut self, files: &PartitionFiles, log_start_offset: i64) -> io::Result<()> {
        let below = self.ranges().take_while(|(_, next)| next.is_some_and(|next| next <= log_start_offset));
        let below: Vec<(i64, Option<i64>)> = below.collect();
        // Without a sound one, only the segments themselves tell of the producers that wrote them.
        let summed_up = below.last().and_then(|&(_, next)| next).is_none_or(|next| {
            producer_snapshot::load(&files.path(next, FileKind::ProducerSnapshot)).is_ok()
        });
        if !summed_up {
            return Ok(());
        }
        for (base_offset, _) in below {
            for kind in FileKind::OF_SEGMENT.into_iter().chain([FileKind::ProducerSnapshot]) {
                remove_if_present(files, base_offset, kind)?;
            }
            for offsets in
                [&mut self.bases, &mut self.indexed, &mut self.snapshots, &mut self.transaction_indexed]
            {
                offsets.remove(&base_offset);
            }
        }
        Ok(())
    }

    /// Segments by base offset, each with the base of the next.
    pub(crate) fn ranges(&self) -> impl Iterator<Item = (i64, Option<i64>)> {
        self.bases.iter().map(|&base| (base, self.bases.range(base + 1..).next().copied()))
    }
}

impl Recovered {
    /// Of a log that begins with `active`.
    pub(crate) fn empty(active: ActiveSegment) -> Recovered {
        Recovered {
            sealed: Vec::new(),
            outcome: RecoveryOutcome::untouched(active.segment().next_offset()),
            active,
            producers: ProducerStates::default(),
            leader_epochs: LeaderEpochs::default(),
        }
    }
}

/// Reads what has to be read, cuts what is not sound, and removes what lies behind the cut.
pub(crate) fn recover(files: &Arc<PartitionFiles>, listing: &Listing, known: Known) -> io::Result<Recovered> {
    let epochs_path = files.dir().join(leader_epochs::FILE_NAME);
    let stored_epochs = LeaderEpochs::load(&epochs_path)?;
    let damaged_from = check_transaction_indexes(files, listing)?;
    let (producers, replay_from) = newest_snapshot(files, listing, known, damaged_from)?;
    let leader_epochs = stored_epochs.clone();
    let mut scan = Scan { files, known, replay_from, producers, leader_epochs, scanned_bytes: 0 };
    let (sealed, active, truncation) = read_segments(&mut scan, listing)?;

    let end_offset = active.segment().next_offset();
    if end_offset < known.log_start_offset {
        let lost = lost(&active, known.log_start_offset);
        return begin_anew(files, known, scan.scanned_bytes, truncation.or(lost));
    }
    remove_stale_snapshots(files, listing, end_offset, replay_from)?;
    if end_offset < replay_from {
        // The snapshot knew of batches that are gone.
        let again = Known { recovery_point: 0, clean: false, ..known };
        let recovered = recover(files, &Listing::of(&files.list()?), again)?;
        return Ok(Recovered { outcome: RecoveryOutcome { truncation, ..recovered.outcome }, ..recovered });
    }
    let Scan { producers, mut leader_epochs, scanned_bytes, .. } = scan;
    leader_epochs.truncate(end_offset);
    leader_epochs.truncate_from_start(known.log_start_offset.max(listing.first_base()));
    if leader_epochs != stored_epochs {
        leader_epochs.store(&epochs_path, known.durability)?;
    }
    let outcome = RecoveryOutcome { end_offset, scanned_bytes, truncation };
    Ok(Recovered { sealed, active, producers, leader_epochs, outcome })
}

/// For a log whose end is lost up to before its start. Its offsets go on there, for those before were given out.
fn begin_anew(
    files: &Arc<PartitionFiles>,
    known: Known,
    scanned_bytes: u64,
    truncation: Option<Truncation>,
) -> io::Result<Recovered> {
    for name in files.list()?.iter().rev() {
        disk::remove_file_if_present(&name.path(files.dir()))?;
    }
    LeaderEpochs::default().store(&files.dir().join(leader_epochs::FILE_NAME), known.durability)?;
    let active = ActiveSegment::create(files, known.log_start_offset, known.now_ms)?;
    let outcome = RecoveryOutcome { end_offset: known.log_start_offset, scanned_bytes, truncation };
    Ok(Recovered { outcome, ..Recovered::empty(active) })
}

type Segments = (Vec<Arc<Segment>>, ActiveSegment, Option<Truncation>);

/// The last segment, or the first with a fault, is the one to go on with.
fn read_segments(scan: &mut Scan<'_>, listing: &Listing) -> io::Result<Segments> {
    let mut sealed = Vec::new();
    let first_scanned = scan.known.recovery_point.min(scan.replay_from);
    for (base_offset, next_base) in listing.ranges() {
        if let Some(next_base) = next_base
            && next_base <= first_scanned
        {
            sealed.push(believed(scan, listing, base_offset, next_base)?);
            continue;
        }
        let mut scanned = scan.segment(base_offset, next_base)?;
        let fault = scanned.take_fault(scan.files, base_offset);
        match next_base {
            Some(next_base) if fault.is_none() => {
                sealed.push(scanned.seal(scan.files, base_offset, next_base)?);
            }
            _ => {
                // From behind, and the cut comes last: a start after a kill in between finds the same fault.
                let removed_segments = remove_segments_behind(scan.files, listing, base_offset)?;
                let survives_power_cut = scan.known.durability == Durability::Power;
                if survives_power_cut && removed_segments > 0 {
                    disk::sync_dir(scan.files.dir())?;
                }
                if survives_power_cut && (fault.is_some() || scanned.has_remains) {
                    scanned.cut_synced(scan.files, base_offset)?;
                } else if fault.is_some() {
                    scanned.cut(scan.files, base_offset)?;
                }
                let active = scanned.resume(scan.files, base_offset, scan.known.now_ms);
                let fault = fault.or_else(|| lost(&active, scan.known.recovery_point));
                return Ok((sealed, active, fault.map(|fault| Truncation { removed_segments, ..fault })));
            }
        }
    }
    Err(io::Error::new(io::ErrorKind::NotFound, "the partition has no segment"))
}

/// What was believed and is not there, as after a power cut or when somebody cut the file.
fn lost(active: &ActiveSegment, recorded: i64) -> Option<Truncation> {
    let segment = active.segment();
    (segment.next_offset() < recorded).then(|| Truncation {
        offset: segment.next_offset(),
        path: segment.path(),
        position: u64::from(segment.end().position),
        cut_bytes: 0,
        removed_segments: 0,
        reason: TailFault::Lost { recorded },
    })
}

/// A segment below everything that has to be looked at. One without an index gets it again; after a kill its file may
/// be longer than its batches.
fn believed(
    scan: &mut Scan<'_>,
    listing: &Listing,
    base_offset: i64,
    next_base: i64,
) -> io::Result<Arc<Segment>> {
    if !scan.known.clean || !listing.indexed.contains(&base_offset) {
        return scan.segment(base_offset, Some(next_base))?.seal(scan.files, base_offset, next_base);
    }
    let aborted = match listing.transaction_indexed.contains(&base_offset) {
        true => TransactionIndex::sealed(&scan.files.path(base_offset, FileKind::TransactionIndex))?,
        false => TransactionIndex::default(),
    };
    sealed_as_listed(scan.files, base_offset, next_base, aborted)
}

/// A segment whose file is trimmed and indexed, without a look into it.
pub(crate) fn sealed_as_listed(
    files: &Arc<PartitionFiles>,
    base_offset: i64,
    next_offset: i64,
    aborted: TransactionIndex,
) -> io::Result<Arc<Segment>> {
    let size_bytes = fs::metadata(files.path(base_offset, FileKind::Log))?.len();
    let end = SegmentEnd {
        position: u32::try_from(size_bytes).unwrap_or(u32::MAX),
        relative_offset: u32::try_from(next_offset - base_offset).unwrap_or(u32::MAX),
    };
    Ok(Arc::new(Segment::sealed(SegmentFiles::new(Arc::clone(files), base_offset), end, aborted)))
}

/// The first segment whose aborted transactions have to be found anew.
fn check_transaction_indexes(files: &PartitionFiles, listing: &Listing) -> io::Result<Option<i64>> {
    for &base_offset in &listing.transaction_indexed {
        let path = files.path(base_offset, FileKind::TransactionIndex);
        let next_base = listing.bases.range(base_offset + 1..).next().copied().unwrap_or(i64::MAX);
        if !transaction_index::is_sound(&path, base_offset, next_base)? {
            tracing::warn!("{} is damaged; it is made anew from the log", path.display());
            return Ok(Some(base_offset));
        }
    }
    Ok(None)
}

/// The producers as of the newest snapshot that needs no unchecked batches and lies before the segment `damaged_from`,
/// and its offset. A damaged one is passed over for the one before.
fn newest_snapshot(
    files: &PartitionFiles,
    listing: &Listing,
    known: Known,
    damaged_from: Option<i64>,
) -> io::Result<(ProducerStates, i64)> {
    let believed = damaged_from.map_or(known.recovery_point, |base| base.min(known.recovery_point));
    // Where the log begins a snapshot is all that is left of the batches before.
    let newest = listing.bases.first().map_or(believed, |&first_base| first_base.max(believed));
    for &offset in listing.snapshots.range(..=newest).rev() {
        match producer_snapshot::load(&files.path(offset, FileKind::ProducerSnapshot)) {
            Ok(producers) => return Ok((producers, offset)),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {}
            Err(error) => return Err(error),
        }
    }
    // Kafka, too, takes a log that was closed without any snapshot for one without producers.
    let without_any = known.clean && listing.snapshots.is_empty() && damaged_from.is_none();
    let replay_from = if without_any { known.recovery_point } else { 0 };
    Ok((ProducerStates::default(), replay_from))
}

fn remove_segments_behind(files: &PartitionFiles, listing: &Listing, base_offset: i64) -> io::Result<usize> {
    let behind = listing.bases.range(base_offset + 1..);
    for &base_offset in behind.clone().rev() {
        for kind in FileKind::OF_SEGMENT {
            remove_if_present(files, base_offset, kind)?;
        }
    }
    Ok(behind.count())
}

/// Keeps the snapshot that was loaded and those where a segment begins.
fn remove_stale_snapshots(
    files: &PartitionFiles,
    listing: &Listing,
    end_offset: i64,
    loaded: i64,
) -> io::Result<()> {
    for &offset in &listing.snapshots {
        if offset > end_offset || offset != loaded && !listing.bases.contains(&offset) {
            remove_if_present(files, offset, FileKind::ProducerSnapshot)?;
        }
    }
    Ok(())
}

fn remove_if_present(files: &PartitionFiles, offset: i64, kind: FileKind) -> io::Result<()> {
    disk::remove_file_if_present(&files.path(offset, kind)).map(drop)
}
