//! The files of a checkpoint: they appear whole or not at all, and no log file is ever written over another.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;
use uuid::Uuid;

use crate::crash_point;

#[derive(Debug, Error)]
pub enum LogFileError {
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// Spark's CONCURRENT_STREAM_LOG_UPDATE.
    #[error(
        "[CONCURRENT_STREAM_LOG_UPDATE] {path} exists already: another query writes to this checkpoint. \
         Give each query a checkpoint of its own",
        path = path.display()
    )]
    Exists { path: PathBuf },
    #[error("checkpoint file {path} cannot be used: {reason}", path = path.display())]
    Malformed { path: PathBuf, reason: String },
}

impl LogFileError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> LogFileError {
        LogFileError::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn malformed(path: &Path, reason: impl Into<String>) -> LogFileError {
        LogFileError::Malformed { path: path.to_owned(), reason: reason.into() }
    }
}

/// Writes a file that must not exist yet: `.NAME.<uuid>.tmp`, then a new name for it.
///
/// A hard link is the one call that gives a name and refuses to replace on Linux, macOS and NTFS alike.
/// Where the file system has none (FAT), the folder's lock is what keeps a second writer out.
pub fn write_new(path: &Path, content: &[u8]) -> Result<(), LogFileError> {
    let temporary = write_temporary(path, content)?;
    let named = match fs::hard_link(&temporary, path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists && !path.exists() => {
            return fs::rename(&temporary, path).map_err(|error| LogFileError::io("create", path, error));
        }
        named => named,
    };
    crash_point::pass();
    let removed = fs::remove_file(&temporary);
    named.map_err(|_| LogFileError::Exists { path: path.to_owned() })?;
    removed.map_err(|error| LogFileError::io("remove", &temporary, error))
}

/// Writes a file, in place of one that an interrupted run of the same batch may have left.
pub fn write_again(path: &Path, content: &[u8]) -> Result<(), LogFileError> {
    let temporary = write_temporary(path, content)?;
    fs::rename(&temporary, path).map_err(|error| LogFileError::io("create", path, error))?;
    crash_point::pass();
    Ok(())
}

/// The file's bytes, or `None` where there is no such file.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, LogFileError> {
    match fs::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(LogFileError::io("read", path, error)),
    }
}

/// As [`read`], for text.
pub fn read_text(path: &Path) -> Result<Option<String>, LogFileError> {
    let Some(content) = read(path)? else {
        return Ok(None);
    };
    String::from_utf8(content)
        .map(Some)
        .map_err(|error| LogFileError::malformed(path, format!("it is not UTF-8 ({error})")))
}

/// Takes the version line off a log: `v1`, and the text after it.
pub fn strip_version<'a>(path: &Path, text: &'a str) -> Result<&'a str, LogFileError> {
    let (version, rest) = text.split_once('\n').unwrap_or((text, ""));
    match version {
        "v1" => Ok(rest),
        "v2" => Err(LogFileError::malformed(path, "its version v2 is from a newer Spark; Ottla reads v1")),
        "" => Err(LogFileError::malformed(
            path,
            "it is empty, as a crash of the machine can leave it; delete it to run its batch again",
        )),
        other => Err(LogFileError::malformed(path, format!("line 1 is {other:?}, not the version v1"))),
    }
}

fn write_temporary(path: &Path, content: &[u8]) -> Result<PathBuf, LogFileError> {
    crash_point::pass();
    let folder = path.parent().unwrap_or(Path::new("."));
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = folder.join(format!(".{name}.{}.tmp", Uuid::new_v4()));
    let create = |temporary: &Path| fs::File::options().write(true).create_new(true).open(temporary);
    let file = create(&temporary).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => fs::create_dir_all(folder).and_then(|()| create(&temporary)),
        _ => Err(error),
    });
    let written = file.and_then(|mut file| crash_point::space().and_then(|()| file.write_all(content)));
    written.map_err(|error| {
        let _ = fs::remove_file(&temporary);
        LogFileError::io("write", &temporary, error)
    })?;
    crash_point::pass();
    Ok(temporary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_file_never_replaces_another_and_leaves_no_temporary_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("offsets").join("0");
        write_new(&path, b"v1\nfirst").unwrap();
        let error = write_new(&path, b"v1\nsecond").unwrap_err();
        assert!(matches!(error, LogFileError::Exists { .. }), "{error}");
        assert_eq!(read_text(&path).unwrap().as_deref(), Some("v1\nfirst"));
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn writing_again_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("1.arrow");
        write_again(&path, b"first").unwrap();
        write_again(&path, b"second").unwrap();
        assert_eq!(read(&path).unwrap().as_deref(), Some(&b"second"[..]));
        assert_eq!(read(&folder.path().join("2.arrow")).unwrap(), None);
    }

    #[test]
    fn a_version_that_is_not_v1_names_the_file() {
        for (text, reason) in [("", "empty"), ("v2\n{}", "newer"), ("{}", "line 1")] {
            let error = strip_version(Path::new("cp/offsets/3"), text).unwrap_err().to_string();
            assert!(error.contains("cp/offsets/3") && error.contains(reason), "{error}");
        }
    }
}
