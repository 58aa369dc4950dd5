//! Which files are open or mapped, in debug builds: what Windows knows and Linux does not care about.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

static FILES: Mutex<BTreeMap<PathBuf, Uses>> = Mutex::new(BTreeMap::new());

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Uses {
    handles: u32,
    maps: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Handle,
    Map,
}

/// Says that a file is open, or mapped, until it is dropped.
pub(crate) struct InUse {
    path: PathBuf,
    kind: Kind,
}

impl InUse {
    pub(crate) fn open(path: &Path) -> InUse {
        InUse::new(path, Kind::Handle)
    }

    pub(crate) fn mapped(path: &Path) -> InUse {
        InUse::new(path, Kind::Map)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn new(path: &Path, kind: Kind) -> InUse {
        if cfg!(debug_assertions) {
            *FILES.lock().entry(path.to_owned()).or_default().of(kind) += 1;
        }
        InUse { path: path.to_owned(), kind }
    }
}

impl Drop for InUse {
    fn drop(&mut self) {
        if !cfg!(debug_assertions) {
            return;
        }
        let mut files = FILES.lock();
        if let Some(uses) = files.get_mut(&self.path) {
            *uses.of(self.kind) -= 1;
            if *uses == Uses::default() {
                files.remove(&self.path);
            }
        }
    }
}

impl Uses {
    fn of(&mut self, kind: Kind) -> &mut u32 {
        match kind {
            Kind::Handle => &mut self.handles,
            Kind::Map => &mut self.maps,
        }
    }
}

/// # Panics
/// In debug builds, when the file is open or mapped.
pub(super) fn check_free(path: &Path, done_to_it: &str) {
    check(path, done_to_it, 0);
}

/// # Panics
/// In debug builds, when the file is mapped, or open a second time.
pub(super) fn check_mine(path: &Path, done_to_it: &str) {
    check(path, done_to_it, 1);
}

/// # Panics
/// In debug builds, when a file below `dir` is open or mapped.
pub(super) fn check_dir_free(dir: &Path, done_to_it: &str) {
    if cfg!(debug_assertions) {
        let used = FILES.lock().range(dir.to_owned()..).next().map(|(path, &uses)| (path.clone(), uses));
        if let Some((path, uses)) = used.filter(|(path, _)| path.starts_with(dir)) {
            panic!("{} is {done_to_it} while {} is in use: {uses:?}", dir.display(), path.display());
        }
    }
}

fn check(path: &Path, done_to_it: &str, own_handles: u32) {
    if cfg!(debug_assertions) {
        let uses = FILES.lock().get(path).copied().unwrap_or_default();
        let allowed = Uses { handles: own_handles, maps: 0 };
        assert!(
            uses.maps == 0 && uses.handles <= own_handles,
            "{} is {done_to_it} while it is in use: {uses:?}, where at most {allowed:?} may be",
            path.display()
        );
    }
}

#[cfg(all(test, debug_assertions))]
mod tests {
    use std::panic;

    use super::*;

    fn is_refused(act: impl FnOnce() + panic::UnwindSafe) -> bool {
        panic::catch_unwind(act).is_err()
    }

    #[test]
    fn a_file_in_use_is_not_touched() {
        let path = Path::new("in-use/t-0/0.log");
        let opened = InUse::open(path);
        assert!(is_refused(|| check_free(path, "renamed")));
        assert!(is_refused(|| check_dir_free(Path::new("in-use/t-0"), "deleted")));
        check_mine(path, "cut");
        check_dir_free(Path::new("in-use/t"), "deleted");
        let mapped = InUse::mapped(path);
        assert!(is_refused(|| check_mine(path, "cut")));
        drop((opened, mapped));
        check_free(path, "deleted");
        check_dir_free(Path::new("in-use"), "deleted");
    }
}
