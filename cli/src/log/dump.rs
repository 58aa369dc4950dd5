//! `ottla log dump`: what stands in `.log`, `.index` and `.timeindex` files.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use clap::Args;

use super::{index, segment};
use crate::exit::Failure;
use crate::output::Output;

/// Print the batches of a partition's segments, and the entries of their indexes
#[derive(Debug, Args)]
pub(super) struct Dump {
    /// Files, or directories of a partition
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Print the records of each batch, too
    #[arg(long)]
    records: bool,
}

impl Dump {
    pub(super) fn run(self, output: &mut Output) -> Result<(), Failure> {
        let mut damaged = 0;
        for path in &self.paths {
            for file in files(path).map_err(|error| Failure::File { path: path.clone(), error })? {
                damaged += self.dump(&file, output)?;
            }
        }
        match damaged {
            0 => Ok(()),
            damages => Err(Failure::Damaged { damages }),
        }
    }

    /// Answers how many damages the file has.
    fn dump(&self, file: &Path, output: &mut Output) -> Result<u64, Failure> {
        match file.extension().and_then(OsStr::to_str) {
            Some("log") => segment::dump(file, self.records, output),
            Some("index") => index::dump_offsets(file, output),
            Some("timeindex") => index::dump_times(file, output),
            _ => Err(Failure::Usage(format!("{}: not a .log, .index or .timeindex file", file.display()))),
        }
    }
}

/// The file itself, or the segments and indexes of a directory by base offset.
fn files(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    let is_known = |file: &PathBuf| {
        file.extension()
            .and_then(OsStr::to_str)
            .is_some_and(|ext| ["log", "index", "timeindex"].contains(&ext))
    };
    let mut files: Vec<PathBuf> = entries.into_iter().filter(is_known).collect();
    // By base offset, and of one segment the records before the indexes.
    files.sort_by_key(|file| {
        let extension = file.extension().and_then(OsStr::to_str);
        (file.file_stem().map(OsStr::to_owned), extension != Some("log"), file.clone())
    });
    Ok(files)
}

/// Kafka's file names are the segment's first offset in 20 digits.
pub(super) fn base_offset(file: &Path) -> Result<i64, Failure> {
    let digits = file.file_stem().and_then(OsStr::to_str).and_then(|stem| stem.parse().ok());
    digits.filter(|offset: &i64| *offset >= 0).ok_or_else(|| {
        Failure::Usage(format!("{}: the file's name is not the offset of its first record", file.display()))
    })
}
