//! For tests: a process that is killed, a power cut and a full disk, at any operation below a directory.
//!
//! A kill is simulated in the process: from the operation that it hits, nothing below the directory changes any more,
//! every operation fails, and what was written before is as it was, which is what the page cache keeps of a killed
//! process. For a power cut a second picture of the directory is kept, of what was synced; the rest is lost or not, by a
//! seed, name by name and page by page. A rename alone is lost or not as a whole, as file systems with a journal do it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, hash_map},
    ffi::OsString,
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;

use super::Operation;

const PAGE_BYTES: usize = 4096;
/// How many operations a failure message tells of.
const TRACED: usize = 12;

static DISKS: Mutex<Vec<Arc<Disk>>> = Mutex::new(Vec::new());

/// Watches what happens below a directory, until it is dropped.
pub struct FaultyDisk(Arc<Disk>);

struct Disk {
    dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    operations: u64,
    trace: Vec<(Operation, PathBuf)>,
    next: Option<(u64, Fault)>,
    is_dead: bool,
    is_full: bool,
    random: Random,
    synced: Synced,
}

/// What ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The process, before the operation; a write may be done in part.
    Kill,
    /// The space, until [`FaultyDisk::make_room`].
    DiskFull,
}

/// What is on the disk whatever happens.
#[derive(Default)]
struct Synced {
    names: BTreeMap<PathBuf, BTreeMap<OsString, Entry>>,
    contents: HashMap<u64, Vec<u8>>,
    /// Names of a directory that were changed into one another since it was synced.
    renamed: HashMap<PathBuf, Vec<BTreeSet<OsString>>>,
    /// Open, so that no new file takes the number of one that is gone.
    pinned: HashMap<u64, fs::File>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    Dir,
    File { inode: u64 },
}

impl FaultyDisk {
    /// Whether power cuts can be played here: it takes what a file is known by, whatever its name.
    pub const CUTS_POWER: bool = cfg!(unix);

    /// Everything that is in `dir` now is taken as synced.
    pub fn watch(dir: &Path, seed: u64) -> FaultyDisk {
        let mut synced = Synced::default();
        synced.take_all(dir);
        let state = State {
            operations: 0,
            trace: Vec::new(),
            next: None,
            is_dead: false,
            is_full: false,
            random: Random(seed),
            synced,
        };
        let disk = Arc::new(Disk { dir: dir.to_owned(), state: Mutex::new(state) });
        DISKS.lock().push(Arc::clone(&disk));
        FaultyDisk(disk)
    }

    /// Lets `fault` hit the operation that comes after `operations` others.
    pub fn fault_after(&self, operations: u64, fault: Fault) {
        let mut state = self.0.state.lock();
        let at = state.operations + operations;
        state.next = Some((at, fault));
    }

    /// Kills at once, between operations.
    pub fn kill(&self) {
        self.0.state.lock().is_dead = true;
    }

    pub fn is_dead(&self) -> bool {
        self.0.state.lock().is_dead
    }

    pub fn make_room(&self) {
        self.0.state.lock().is_full = false;
    }

    /// How many operations there were.
    pub fn operations(&self) -> u64 {
        self.0.state.lock().operations
    }

    /// The last operations, for the message of a test that fails.
    pub fn trace(&self) -> String {
        let state = self.0.state.lock();
        let last = state.trace.iter().rev().take(TRACED).rev();
        last.map(|(operation, path)| format!("\n  {operation:?} {}", path.display())).collect()
    }

    /// Writes to `to` what a power cut leaves, where [`Self::CUTS_POWER`].
    pub fn cut_power(&self, to: &Path) -> io::Result<()> {
        let mut state = self.0.state.lock();
        state.is_dead = true;
        let mut random = state.random;
        state.synced.survive(&self.0.dir, &self.0.dir, to, &mut random)
    }
}

impl Drop for FaultyDisk {
    fn drop(&mut self) {
        DISKS.lock().retain(|disk| !Arc::ptr_eq(disk, &self.0));
    }
}

pub(super) fn before(operation: Operation, path: &Path) -> io::Result<()> {
    for disk in disks(path) {
        disk.state.lock().before(operation, path)?;
    }
    Ok(())
}

/// What of a write is done, and what comes of it.
pub(crate) fn torn<'a>(operation: Operation, path: &Path, bytes: &'a [u8]) -> (&'a [u8], io::Result<()>) {
    for disk in disks(path) {
        let mut state = disk.state.lock();
        let was_dead = state.is_dead;
        if let Err(error) = state.before(operation, path) {
            let done = if was_dead { 0 } else { state.random.below(bytes.len() + 1) };
            return (&bytes[..done], Err(error));
        }
    }
    (bytes, Ok(()))
}

/// Instead of the disk: a power cut is only played here. Says whether it did.
pub(crate) fn synced(path: &Path, range: &Range<u64>) -> bool {
    for disk in disks(path) {
        disk.state.lock().synced.take_content(path, range);
    }
    !disks(path).is_empty()
}

pub(super) fn renamed(from: &Path, to: &Path) {
    for disk in disks(from) {
        disk.state.lock().synced.tie_names(from, to);
    }
}

pub(super) fn synced_dir(dir: &Path) -> bool {
    for disk in disks(dir) {
        disk.state.lock().synced.take_names(dir);
    }
    !disks(dir).is_empty()
}

fn disks(path: &Path) -> Vec<Arc<Disk>> {
    DISKS.lock().iter().filter(|disk| path.starts_with(&disk.dir)).cloned().collect()
}

impl State {
    fn before(&mut self, operation: Operation, path: &Path) -> io::Result<()> {
        if self.is_dead {
            return Err(io::Error::other("the process was killed"));
        }
        self.trace.push((operation, path.to_owned()));
        if self.trace.len() > 2 * TRACED {
            self.trace.drain(..TRACED);
        }
        let number = self.operations;
        self.operations += 1;
        match self.next {
            Some((at, Fault::Kill)) if number >= at => {
                self.is_dead = true;
                return Err(io::Error::other("the process is killed"));
            }
            Some((at, Fault::DiskFull)) if number >= at => {
                self.is_full = true;
                self.next = None;
            }
            _ => {}
        }
        let takes_space = matches!(
            operation,
            Operation::Create | Operation::Write | Operation::Allocate | Operation::CreateDir
        );
        if self.is_full && takes_space {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl Synced {
    fn take_all(&mut self, dir: &Path) {
        self.take_names(dir);
        for path in super::list(dir).unwrap_or_default() {
            if path.is_dir() { self.take_all(&path) } else { self.take_content(&path, &(0..u64::MAX)) }
        }
    }

    fn take_names(&mut self, dir: &Path) {
        let names = names(dir);
        for (name, entry) in &names {
            if let Entry::File { inode } = entry {
                self.pin(*inode, &dir.join(name));
            }
        }
        self.names.insert(dir.to_owned(), names);
        self.renamed.remove(dir);
    }

    fn tie_names(&mut self, from: &Path, to: &Path) {
        let (Some(dir), Some(old), Some(new)) = (from.parent(), from.file_name(), to.file_name()) else {
            return;
        };
        let tied = self.renamed.entry(dir.to_owned()).or_default();
        let are_there = |names: &mut BTreeSet<OsString>| names.contains(old) || names.contains(new);
        let mut names: BTreeSet<OsString> = tied.extract_if(.., are_there).flatten().collect();
        names.extend([old.to_owned(), new.to_owned()]);
        tied.push(names);
    }

    fn take_content(&mut self, path: &Path, range: &Range<u64>) {
        let (Some(inode), Ok(current)) = (inode(path), fs::read(path)) else { return };
        self.pin(inode, path);
        let synced = self.contents.entry(inode).or_default();
        if range.end == u64::MAX {
            synced.truncate(current.len());
        }
        let end = range.end.min(current.len() as u64) as usize;
        let start = (range.start as usize).min(end);
        if synced.len() < end {
            synced.resize(end, 0);
        }
        synced[start..end].copy_from_slice(&current[start..end]);
    }

    fn pin(&mut self, inode: u64, path: &Path) {
        if let hash_map::Entry::Vacant(vacant) = self.pinned.entry(inode)
            && let Ok(file) = fs::File::open(path)
        {
            vacant.insert(file);
        }
    }

    /// What is left of `dir`, whose synced names are those of `synced_dir`: a directory that was renamed may come
    /// back under its old name.
    fn survive(&self, dir: &Path, synced_dir: &Path, to: &Path, random: &mut Random) -> io::Result<()> {
        fs::create_dir_all(to)?;
        let current = names(dir);
        let synced = self.names.get(synced_dir).cloned().unwrap_or_default();
        let all: BTreeSet<&OsString> = current.keys().chain(synced.keys()).collect();
        let renamed = self.renamed.get(synced_dir).map_or(&[][..], Vec::as_slice);
        let are_kept: Vec<bool> = renamed.iter().map(|_| random.below(2) == 0).collect();
        for name in all {
            let (now, then) = (current.get(name), synced.get(name));
            let is_kept = match renamed.iter().position(|names| names.contains(name)) {
                Some(tied) => are_kept[tied],
                None => now == then || random.below(2) == 0,
            };
            let entry = if is_kept { now } else { then };
            let path = dir.join(name);
            match entry {
                None => {}
                Some(Entry::Dir) => {
                    self.survive(&path, &synced_dir.join(name), &to.join(name), random)?;
                }
                Some(&Entry::File { inode }) => {
                    let now =
                        if inode_of(&current, name) == Some(inode) { fs::read(&path).ok() } else { None };
                    fs::write(to.join(name), self.content(inode, now, random))?;
                }
            }
        }
        Ok(())
    }

    fn content(&self, inode: u64, now: Option<Vec<u8>>, random: &mut Random) -> Vec<u8> {
        let synced = self.contents.get(&inode).cloned().unwrap_or_default();
        let Some(now) = now else { return synced };
        let len = if random.below(2) == 0 { now.len() } else { synced.len() };
        let mut left = vec![0; len];
        for at in (0..len).step_by(PAGE_BYTES) {
            let chosen = if random.below(2) == 0 { &now } else { &synced };
            let end = (at + PAGE_BYTES).min(len).min(chosen.len());
            if at < end {
                left[at..end].copy_from_slice(&chosen[at..end]);
            }
        }
        left
    }
}

fn inode_of(names: &BTreeMap<OsString, Entry>, name: &OsString) -> Option<u64> {
    match names.get(name) {
        Some(&Entry::File { inode }) => Some(inode),
        _ => None,
    }
}

fn names(dir: &Path) -> BTreeMap<OsString, Entry> {
    let mut names = BTreeMap::new();
    for path in super::list(dir).unwrap_or_default() {
        let Some(name) = path.file_name() else { continue };
        let entry =
            if path.is_dir() { Some(Entry::Dir) } else { inode(&path).map(|inode| Entry::File { inode }) };
        names.extend(entry.map(|entry| (name.to_owned(), entry)));
    }
    names
}

/// What a file is known by, whatever its name.
#[cfg(unix)]
fn inode(path: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    fs::metadata(path).ok().map(|metadata| metadata.ino())
}

#[cfg(not(unix))]
fn inode(_: &Path) -> Option<u64> {
    None
}

/// A splitmix64 generator: the seed decides everything.
#[derive(Clone, Copy)]
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }
}
