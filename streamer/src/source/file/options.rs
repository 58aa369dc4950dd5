//! What every source of files can be told. Spark's `FileStreamOptions`.

use std::path::PathBuf;

use regex::Regex;

use super::error::FileSourceError;
use super::pattern;
use crate::duration_text;
use crate::options::Options;

#[derive(Clone, Debug)]
pub(super) struct FileOptions {
    /// As the user wrote it.
    pub(super) path: String,
    /// Absolute; may be a pattern.
    pub(super) absolute: PathBuf,
    pub(super) limit: Option<Limit>,
    pub(super) latest_first: bool,
    /// A file is the same as another one with its name, wherever they lie.
    pub(super) file_name_only: bool,
    /// Older files than the newest less this are not looked at. `None`: however old.
    pub(super) max_file_age_ms: Option<i64>,
    pub(super) recursive: bool,
    pub(super) name_filter: Option<Regex>,
    pub(super) clean: CleanSource,
    pub(super) ignore_missing: bool,
    /// Only files that a sink's `_spark_metadata` lists, none before there is one.
    pub(super) only_committed: bool,
}

/// How much one batch takes; at least one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    Files(u64),
    Bytes(u64),
}

/// What becomes of a file whose batch is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CleanSource {
    Off,
    Delete,
    Archive(PathBuf),
}

impl FileOptions {
    pub(super) fn new(options: &Options) -> Result<FileOptions, FileSourceError> {
        let path = options.get("path").ok_or(FileSourceError::NoPath)?.to_owned();
        let absolute = absolute(&path)?;
        let limit = limit(options)?;
        let latest_first = flag(options, "latestFirst")?;
        // The oldest files come last: their age must not drop them.
        let max_file_age_ms = match options.get("maxFileAge").unwrap_or("7d") {
            _ if latest_first && limit.is_some() => None,
            age => Some(duration_text::parse_ms(age)?),
        };
        let clean = clean_source(options)?;
        if let CleanSource::Archive(archive) = &clean
            && may_match(&absolute, archive)?
        {
            return Err(FileSourceError::ArchiveInSource);
        }
        Ok(FileOptions {
            path,
            absolute,
            limit,
            latest_first,
            file_name_only: flag(options, "fileNameOnly")?,
            max_file_age_ms,
            recursive: options.boolean("recursiveFileLookup", false)?,
            name_filter: options.get("pathGlobFilter").map(pattern::name_pattern).transpose()?,
            clean,
            ignore_missing: options.boolean("ignoreMissingFiles", false)?,
            only_committed: false,
        })
    }

    /// As Spark describes the source.
    pub(super) fn description(&self) -> String {
        let path = self.absolute.display().to_string();
        let path = if cfg!(windows) { format!("/{}", path.replace('\\', "/")) } else { path };
        format!("FileStreamSource[file:{path}]")
    }
}

/// A plain path or a `file:` URI, whose percent signs mean themselves, as in Hadoop's paths.
fn absolute(path: &str) -> Result<PathBuf, FileSourceError> {
    let plain = match path.strip_prefix("file:") {
        None => path,
        Some(rest) => {
            let rest = rest.strip_prefix("//").unwrap_or(rest);
            let is_drive = rest.as_bytes().get(2) == Some(&b':');
            if is_drive && cfg!(windows) { rest.trim_start_matches('/') } else { rest }
        }
    };
    let path = PathBuf::from(plain);
    std::path::absolute(&path).map_err(FileSourceError::io("find", &path))
}

fn limit(options: &Options) -> Result<Option<Limit>, FileSourceError> {
    let count = |key: &'static str| match options.get(key) {
        None => Ok(None),
        Some(text) => match text.trim().parse::<u64>() {
            Ok(count @ 1..) => Ok(Some(count)),
            _ => Err(FileSourceError::Value { key, value: text.to_owned(), rule: "a positive integer" }),
        },
    };
    match (count("maxFilesPerTrigger")?, count("maxBytesPerTrigger")?) {
        (Some(_), Some(_)) => Err(FileSourceError::TwoLimits),
        (Some(files), None) => Ok(Some(Limit::Files(files))),
        (None, bytes) => Ok(bytes.map(Limit::Bytes)),
    }
}

fn flag(options: &Options, key: &'static str) -> Result<bool, FileSourceError> {
    let rule = "'true' or 'false'";
    options.boolean(key, false).map_err(|_| FileSourceError::Value {
        key,
        value: options.get(key).unwrap_or_default().to_owned(),
        rule,
    })
}

fn clean_source(options: &Options) -> Result<CleanSource, FileSourceError> {
    let Some(mode) = options.get("cleanSource") else {
        return Ok(CleanSource::Off);
    };
    match mode.to_lowercase().as_str() {
        "off" => Ok(CleanSource::Off),
        "delete" => Ok(CleanSource::Delete),
        "archive" => {
            let folder = options.get("sourceArchiveDir").ok_or(FileSourceError::NoArchive)?;
            Ok(CleanSource::Archive(absolute(folder)?))
        }
        _ => Err(FileSourceError::CleanSource(mode.to_owned())),
    }
}

/// Whether what lies below the archive might be read again.
fn may_match(source: &std::path::Path, archive: &std::path::Path) -> Result<bool, FileSourceError> {
    for (wanted, folder) in source.components().zip(archive.components()) {
        let (wanted, folder) = (wanted.as_os_str().to_string_lossy(), folder.as_os_str().to_string_lossy());
        let matches = wanted == folder
            || pattern::is_pattern(&wanted) && pattern::name_pattern(&wanted)?.is_match(&folder);
        if !matches {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(pairs: &[(&str, &str)]) -> Result<FileOptions, String> {
        let pairs = pairs.iter().copied().chain([("path", "/data/in")]);
        FileOptions::new(&Options::from_iter(pairs)).map_err(|error| error.to_string())
    }

    #[test]
    fn what_does_not_fit_is_refused_in_spark_s_words() {
        for (pairs, message) in [
            (
                &[("maxFilesPerTrigger", "0")][..],
                "Invalid value '0' for option 'maxFilesPerTrigger', must be a positive integer",
            ),
            (
                &[("maxBytesPerTrigger", "x")],
                "Invalid value 'x' for option 'maxBytesPerTrigger', must be a positive integer",
            ),
            (
                &[("maxFilesPerTrigger", "1"), ("maxBytesPerTrigger", "1")],
                "Options 'maxFilesPerTrigger' and 'maxBytesPerTrigger' can't be both set at the same time",
            ),
            (
                &[("latestFirst", "x")],
                "Invalid value 'x' for option 'latestFirst', must be 'true' or 'false'",
            ),
            (
                &[("cleanSource", "x")],
                "Invalid mode for clean source option Some(x). Must be one of ARCHIVE,DELETE,OFF",
            ),
            (&[("cleanSource", "archive")], "Archive mode must be used with 'sourceArchiveDir' option."),
            (
                &[("cleanSource", "archive"), ("sourceArchiveDir", "/data/in/done")],
                "Base archive path cannot be set to the path where archived path can possibly match",
            ),
            (&[("maxFileAge", "x")], "Time must be specified as seconds (s), milliseconds (ms)"),
        ] {
            let error = options(pairs).unwrap_err();
            assert!(error.starts_with(message), "{error}");
        }
        let error = FileOptions::new(&Options::default()).unwrap_err();
        assert_eq!(error.to_string(), "'path' is not specified.");
    }

    #[test]
    fn age_does_not_matter_where_the_latest_come_first_a_few_at_a_time() {
        assert_eq!(options(&[]).unwrap().max_file_age_ms, Some(604_800_000));
        let few = options(&[("latestFirst", "true"), ("maxFilesPerTrigger", "1")]).unwrap();
        assert_eq!(few.max_file_age_ms, None);
        assert_eq!(
            options(&[("cleanSource", "archive"), ("sourceArchiveDir", "/data/done")]).unwrap().clean,
            CleanSource::Archive("/data/done".into())
        );
    }
}
