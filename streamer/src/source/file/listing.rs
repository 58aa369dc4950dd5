//! The files that a source has now.

use std::fs::{self, Metadata};
use std::path::{Component, Path, PathBuf};
use std::time::SystemTime;

use super::error::FileSourceError;
use super::options::FileOptions;
use super::partitions::{self, PartitionValue};
use super::pattern;
use crate::sink::file::log::committed_files;
use crate::sink::file::uri;

/// Folders in folders are not followed further down; links can make rings.
const MAX_DEPTH: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundFile {
    pub(super) path: PathBuf,
    /// As it stands in the log.
    pub(super) uri: String,
    /// Milliseconds since 1970.
    pub(super) modified_ms: i64,
    pub(super) bytes: u64,
    /// Of the folders below the source's path.
    pub(super) partitions: Vec<PartitionValue>,
}

/// All files, the oldest first. Where a sink has left its `_spark_metadata`, those that it lists.
pub(super) fn list(options: &FileOptions) -> Result<Vec<FoundFile>, FileSourceError> {
    let is_pattern = pattern::is_pattern(&options.absolute.to_string_lossy());
    if !is_pattern && let Some(committed) = committed_files(&options.absolute)? {
        let mut files = Vec::new();
        for file in &committed {
            let path = file.path()?;
            let partitions = partitions_of(&options.absolute, &path);
            let (uri, modified_ms) = (uri::to_uri(&path), file.modification_time_ms());
            files.push(FoundFile { path, uri, modified_ms, bytes: file.size_bytes(), partitions });
        }
        return Ok(sorted(files, options));
    }
    if options.only_committed {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for root in roots(&options.absolute)? {
        list_root(&root, options.recursive, &mut files)?;
    }
    Ok(sorted(files, options))
}

/// Whether there is something at the path; a pattern need not match anything yet.
pub(super) fn exists(options: &FileOptions) -> bool {
    pattern::is_pattern(&options.absolute.to_string_lossy()) || options.absolute.exists()
}

/// The values of the folders `column=value` between the source's path and the file.
pub(super) fn partitions_of(root: &Path, file: &Path) -> Vec<PartitionValue> {
    let below = file.strip_prefix(root).ok().and_then(Path::parent);
    let folders = below.into_iter().flat_map(Path::components);
    let folders: Vec<_> = folders.map(|folder| folder.as_os_str().to_string_lossy().into_owned()).collect();
    partitions::values(folders.iter().map(String::as_str))
}

fn sorted(mut files: Vec<FoundFile>, options: &FileOptions) -> Vec<FoundFile> {
    if let Some(filter) = &options.name_filter {
        files.retain(|file| {
            file.path.file_name().is_some_and(|name| filter.is_match(&name.to_string_lossy()))
        });
    }
    files.sort_by(|one, other| (one.modified_ms, &one.path).cmp(&(other.modified_ms, &other.path)));
    if options.latest_first {
        files.reverse();
    }
    files
}

/// The paths that a pattern stands for.
fn roots(pattern: &Path) -> Result<Vec<PathBuf>, FileSourceError> {
    let mut roots = vec![PathBuf::new()];
    for component in pattern.components() {
        let text = component.as_os_str().to_string_lossy();
        if !matches!(component, Component::Normal(_)) || !pattern::is_pattern(&text) {
            roots.iter_mut().for_each(|root| root.push(component));
            continue;
        }
        let regex = pattern::name_pattern(&text)?;
        let mut found = Vec::new();
        for root in &roots {
            for (path, _) in entries(root)? {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if regex.is_match(&name) && !is_hidden(&name) {
                    found.push(path);
                }
            }
        }
        roots = found;
    }
    roots.retain(|root| root.exists());
    Ok(roots)
}

fn list_root(root: &Path, recursive: bool, files: &mut Vec<FoundFile>) -> Result<(), FileSourceError> {
    let metadata = fs::metadata(root).map_err(FileSourceError::io("look at", root))?;
    if !metadata.is_dir() {
        files.push(found(root, root.to_owned(), &metadata));
        return Ok(());
    }
    let mut below = Vec::new();
    walk(root, root, 0, &mut below)?;
    // Without folders that name columns, files further down are not the source's.
    let has_partitions = below.iter().any(|file| !file.partitions.is_empty());
    if recursive {
        below.iter_mut().for_each(|file| file.partitions.clear());
    } else if !has_partitions {
        below.retain(|file| file.path.parent() == Some(root));
    }
    files.append(&mut below);
    Ok(())
}

fn walk(root: &Path, folder: &Path, depth: usize, files: &mut Vec<FoundFile>) -> Result<(), FileSourceError> {
    for (path, metadata) in entries(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if is_hidden(&name) {
            continue;
        }
        if !metadata.is_dir() {
            files.push(found(root, path, &metadata));
        } else if depth < MAX_DEPTH {
            walk(root, &path, depth + 1, files)?;
        }
    }
    Ok(())
}

/// Without what has vanished meanwhile.
fn entries(folder: &Path) -> Result<Vec<(PathBuf, Metadata)>, FileSourceError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(error) => return Err(FileSourceError::io("list", folder)(error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(FileSourceError::io("list", folder))?.path();
        match fs::metadata(&path) {
            Ok(metadata) => found.push((path, metadata)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(FileSourceError::io("look at", &path)(error)),
        }
    }
    Ok(found)
}

/// As Spark's `InMemoryFileIndex` has it.
fn is_hidden(name: &str) -> bool {
    name.starts_with('_') && !name.contains('=') || name.starts_with('.') || name.ends_with("._COPYING_")
}

fn found(root: &Path, path: PathBuf, metadata: &Metadata) -> FoundFile {
    let modified = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
    let since_epoch = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let partitions = partitions_of(root, &path);
    FoundFile {
        uri: uri::to_uri(&path),
        modified_ms: i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX),
        bytes: metadata.len(),
        partitions,
        path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    fn names(folder: &Path, path: &str, options: &[(&str, &str)]) -> Vec<String> {
        let path = folder.join(path).to_string_lossy().into_owned();
        let options = options.iter().copied().chain([("path", path.as_str())]);
        let options = FileOptions::new(&Options::from_iter(options)).unwrap();
        let mut names: Vec<_> = list(&options)
            .unwrap()
            .into_iter()
            .map(|file| file.path.strip_prefix(folder).unwrap().to_string_lossy().replace('\\', "/"))
            .collect();
        names.sort_unstable();
        names
    }

    fn write(folder: &Path, files: &[&str]) {
        for file in files {
            let path = folder.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
    }

    #[test]
    fn hidden_files_and_folders_without_a_column_are_not_the_source_s() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["in/a b", "in/_x", "in/.y", "in/sub/c", "in/d._COPYING_"]);
        assert_eq!(names(folder.path(), "in", &[]), ["in/a b"]);
        assert_eq!(names(folder.path(), "in", &[("recursiveFileLookup", "true")]), ["in/a b", "in/sub/c"]);
        assert_eq!(names(folder.path(), "in/a b", &[]), ["in/a b"]);
        assert_eq!(names(folder.path(), "in", &[("pathGlobFilter", "*c")]), [""; 0]);
    }

    #[test]
    fn patterns_and_folders_of_columns_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &["in/p=1/q=x/f", "in/p=2/q=y/f", "in/_p=3/f", "other/f"]);
        assert_eq!(names(folder.path(), "in", &[]), ["in/_p=3/f", "in/p=1/q=x/f", "in/p=2/q=y/f"]);
        assert_eq!(names(folder.path(), "in/p=*/q=[xz]", &[]), ["in/p=1/q=x/f"]);
        assert_eq!(names(folder.path(), "{in,no}/p=1/*", &[]), ["in/p=1/q=x/f"]);
        assert_eq!(names(folder.path(), "oth*/f", &[]), ["other/f"]);
        assert_eq!(names(folder.path(), "none*", &[]), [""; 0]);
    }
}
