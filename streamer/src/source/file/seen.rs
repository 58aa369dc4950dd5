//! The files that a source knows already, and those that are too old for it. Spark's `SeenFilesMap`.

use std::collections::HashMap;

/// Forgets files that are older than the newest less the age, which are then too old to be new.
#[derive(Debug)]
pub(super) struct SeenFiles {
    max_age_ms: Option<i64>,
    file_name_only: bool,
    /// When each was changed last.
    files: HashMap<String, i64>,
    latest_ms: i64,
    purged_before_ms: i64,
}

impl SeenFiles {
    pub(super) fn new(max_age_ms: Option<i64>, file_name_only: bool) -> SeenFiles {
        let files = HashMap::new();
        SeenFiles { max_age_ms, file_name_only, files, latest_ms: 0, purged_before_ms: 0 }
    }

    pub(super) fn add(&mut self, uri: &str, modified_ms: i64) {
        self.files.insert(self.key(uri).to_owned(), modified_ms);
        self.latest_ms = self.latest_ms.max(modified_ms);
    }

    pub(super) fn is_new(&self, uri: &str, modified_ms: i64) -> bool {
        modified_ms >= self.purged_before_ms && !self.files.contains_key(self.key(uri))
    }

    /// The time that counts moves with the files, not with the clock.
    pub(super) fn purge(&mut self) {
        let Some(max_age_ms) = self.max_age_ms else {
            return;
        };
        self.purged_before_ms = self.latest_ms.saturating_sub(max_age_ms);
        let before = self.purged_before_ms;
        self.files.retain(|_, modified_ms| *modified_ms >= before);
    }

    fn key<'a>(&self, uri: &'a str) -> &'a str {
        if self.file_name_only { uri.rsplit('/').next().unwrap_or(uri) } else { uri }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_files_are_new_only_before_anything_was_purged() {
        let mut seen = SeenFiles::new(Some(100), false);
        assert!(seen.is_new("file:///a", 1));
        seen.add("file:///a", 1);
        assert!(!seen.is_new("file:///a", 1) && seen.is_new("file:///old", 0));
        seen.add("file:///b", 500);
        seen.purge();
        assert!(!seen.is_new("file:///old", 399) && seen.is_new("file:///late", 400));
        // A file that is forgotten is not new either, unless it is written again.
        assert!(!seen.is_new("file:///a", 1) && seen.is_new("file:///a", 450));
    }

    #[test]
    fn the_name_alone_may_tell_files_apart() {
        let mut seen = SeenFiles::new(None, true);
        seen.add("file:///one/a", 5);
        assert!(!seen.is_new("file:///other/a", 9) && seen.is_new("file:///one/b", 0));
    }
}
