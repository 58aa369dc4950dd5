//! `V.manifest`: what version V consists of. A line with the checksum of the rest, then JSON.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::run::Run;
use super::{StateDescription, StateError, disk};
use crate::checkpoint::log_file;

pub(super) const SUFFIX: &str = ".manifest";
const TITLE: &str = "ottla state v1 ";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) version: u64,
    /// That are alive.
    pub(super) rows: u64,
    pub(super) description: StateDescription,
    /// Newest first.
    pub(super) runs: Vec<ManifestRun>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ManifestRun {
    pub(super) id: u64,
    pub(super) bytes: u64,
    /// CRC-32C of the run's tail, which a run of the same name would not have.
    pub(super) checksum: u32,
}

impl ManifestRun {
    pub(super) fn of(run: &Run) -> ManifestRun {
        ManifestRun { id: run.id, bytes: run.bytes, checksum: run.tail_checksum }
    }
}

pub(super) fn path(folder: &Path, version: u64) -> PathBuf {
    folder.join(format!("{version}{SUFFIX}"))
}

impl Manifest {
    pub(super) fn read(folder: &Path, version: u64) -> Result<Manifest, StateError> {
        let path = path(folder, version);
        let Some(content) = log_file::read(&path)? else {
            return Err(StateError::Missing { folder: folder.to_owned(), version });
        };
        match Manifest::parse(&content) {
            Ok(manifest) if manifest.version == version => Ok(manifest),
            Ok(manifest) => {
                let reason = format!("it is that of version {}", manifest.version);
                Err(StateError::Damaged { path, reason })
            }
            Err(reason) => Err(StateError::Damaged { path, reason }),
        }
    }

    fn parse(content: &[u8]) -> Result<Manifest, String> {
        let end = content.iter().position(|byte| *byte == b'\n').ok_or("its first line is cut off")?;
        let (first, rest) = content.split_at(end);
        let json = rest.get(1..).unwrap_or_default();
        let checksum = std::str::from_utf8(first).ok().and_then(|line| line.strip_prefix(TITLE));
        let checksum = checksum.ok_or("its first line is not that of a manifest of version 1")?;
        if checksum != hex(crc32c::crc32c(json)) {
            return Err("its checksum is wrong".to_owned());
        }
        serde_json::from_slice(json).map_err(|error| error.to_string())
    }

    pub(super) fn write(&self, folder: &Path) -> Result<(), StateError> {
        let path = path(folder, self.version);
        let json = serde_json::to_string(self)
            .map_err(|error| StateError::Damaged { path: path.clone(), reason: error.to_string() })?;
        let content = format!("{TITLE}{}\n{json}", hex(crc32c::crc32c(json.as_bytes())));
        Ok(disk::replace(&path, content.as_bytes())?)
    }
}

fn hex(checksum: u32) -> String {
    format!("{checksum:08x}")
}
