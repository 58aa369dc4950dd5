//! The workspace's own binaries, as a user runs them.

use std::path::PathBuf;

use tokio::sync::OnceCell;

use crate::console;
use crate::install::profile_dir;
use crate::program::Program;

/// The path of the `ottla` to test; unset, cargo builds it.
pub const OTTLA_BIN: &str = "OTTLA_BIN";
/// The path of the `ottla-stream` to test. Unset, it is the one in the target folder, which cargo builds if there is none.
pub const OTTLA_STREAM_BIN: &str = "OTTLA_STREAM_BIN";

/// The broker and its tools.
pub async fn ottla() -> PathBuf {
    static BUILT: OnceCell<PathBuf> = OnceCell::const_new();
    let build = async || match std::env::var_os(OTTLA_BIN) {
        Some(path) => path.into(),
        None => build("ottla").await,
    };
    BUILT.get_or_init(build).await.clone()
}

/// The streaming engine. One that is there is taken as it is, for building it takes minutes.
pub async fn ottla_stream() -> PathBuf {
    static FOUND: OnceCell<PathBuf> = OnceCell::const_new();
    let find = async || {
        let path = match std::env::var_os(OTTLA_STREAM_BIN) {
            Some(path) => path.into(),
            None if in_target("ottla-stream").exists() => in_target("ottla-stream"),
            None => build("ottla-stream").await,
        };
        console::say(&format!("streaming with {}", path.display()));
        path
    };
    FOUND.get_or_init(find).await.clone()
}

async fn build(package: &str) -> PathBuf {
    let profile = if cfg!(debug_assertions) { "dev" } else { "release" };
    let cargo =
        Program::new(env!("CARGO")).args(["build", "--quiet", "--profile", profile, "--package", package]);
    cargo.in_dir(env!("CARGO_MANIFEST_DIR").as_ref()).limit(std::time::Duration::from_secs(3600)).run().await;
    in_target(package)
}

fn in_target(name: &str) -> PathBuf {
    profile_dir().join(name).with_extension(std::env::consts::EXE_EXTENSION)
}
