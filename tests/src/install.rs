//! What foreign programs need, fetched by their own package managers, once, into cargo's target folder.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::console;

/// The folder `name` under the target folder, as `install` filled it.
///
/// Installed anew when one of the `manifests` (paths under `tests/`) has changed. Tests that run at the same time, in
/// this process or another, wait for the first.
pub async fn once(name: &str, manifests: &[&str], install: impl AsyncFnOnce(&Path)) -> PathBuf {
    let root = target_dir().join("test-clients");
    fs::create_dir_all(&root).unwrap_or_else(|e| panic!("cannot create {}: {e}", root.display()));
    let _lock = lock(root.join(format!("{name}.lock"))).await;

    let dir = root.join(name);
    let stamp = dir.join("installed-from");
    let wanted: String = manifests.iter().map(|manifest| read(&source(manifest))).collect();
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return dir;
    }
    console::say(&format!("installing {name} into {}", dir.display()));
    if dir.exists() {
        fs::remove_dir_all(&dir).unwrap_or_else(|e| panic!("cannot empty {}: {e}", dir.display()));
    }
    fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("cannot create {}: {e}", dir.display()));
    install(&dir).await;
    fs::write(&stamp, wanted).unwrap_or_else(|e| panic!("cannot write {}: {e}", stamp.display()));
    dir
}

/// A file of this crate, by its path under `tests/`.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Cargo's target folder, above the profile's.
pub fn target_dir() -> PathBuf {
    profile_dir().parent().expect("the profile's folder lies in the target folder").to_path_buf()
}

/// Where cargo puts the binaries of this profile: a test runs from `deps` below it.
pub fn profile_dir() -> PathBuf {
    let test = std::env::current_exe().expect("a running test knows its own path");
    test.ancestors().nth(2).expect("a test runs from <target>/<profile>/deps").to_path_buf()
}

async fn lock(path: PathBuf) -> File {
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(&path)?;
        file.lock()?;
        std::io::Result::Ok(file)
    });
    locked.await.expect("the locking task ends").expect("a lock file under the target folder can be locked")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("cannot read {}: {e}", path.display()))
}
