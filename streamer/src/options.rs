//! Options of sources and sinks, as the user wrote them: keys are case-insensitive, values are texts.

use std::collections::BTreeMap;

use thiserror::Error;

/// The last of several values under one key counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options(BTreeMap<String, Written>);

/// A key in the user's spelling, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    key: String,
    value: String,
}

/// A value that does not fit its option.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum OptionsError {
    #[error("Option '{key}' is true or false, not '{value}'")]
    NotBoolean { key: String, value: String },
    #[error("Option '{key}' is a whole number from {min} on, not '{value}'")]
    NotCount { key: String, value: String, min: u64 },
    #[error("Option '{key}' must be one character, not '{value}'")]
    NotCharacter { key: String, value: String },
    #[error("Option '{key}' must be specified for {whom}")]
    Missing { key: &'static str, whom: &'static str },
    #[error("Option '{key}' cannot be '{value}': {reason}")]
    Unfit { key: &'static str, value: String, reason: String },
}

impl Options {
    pub fn set(&mut self, key: &str, value: &str) {
        let written = Written { key: key.to_owned(), value: value.to_owned() };
        self.0.insert(key.to_lowercase(), written);
    }

    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(&key.to_lowercase()).map(|written| written.value.as_str())
    }

    /// Keys, as they were written, with their values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.values().map(|written| (written.key.as_str(), written.value.as_str()))
    }

    pub fn required(&self, key: &'static str, whom: &'static str) -> Result<&str, OptionsError> {
        self.get(key).ok_or(OptionsError::Missing { key, whom })
    }

    pub fn boolean(&self, key: &str, default: bool) -> Result<bool, OptionsError> {
        match self.get(key) {
            None => Ok(default),
            Some(value) if value.eq_ignore_ascii_case("true") => Ok(true),
            Some(value) if value.eq_ignore_ascii_case("false") => Ok(false),
            Some(value) => Err(OptionsError::NotBoolean { key: key.to_owned(), value: value.to_owned() }),
        }
    }

    /// A whole number that is at least `min`.
    pub fn count(&self, key: &str, min: u64) -> Result<Option<u64>, OptionsError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        match value.trim().parse::<u64>() {
            Ok(count) if count >= min => Ok(Some(count)),
            _ => Err(OptionsError::NotCount { key: key.to_owned(), value: value.to_owned(), min }),
        }
    }

    /// One character; `Some(None)` where the value is empty.
    pub fn character(&self, key: &str) -> Result<Option<Option<char>>, OptionsError> {
        let Some(value) = self.get(key) else {
            return Ok(None);
        };
        let mut characters = match value {
            "\\t" => "\t".chars(),
            other => other.chars(),
        };
        match (characters.next(), characters.next()) {
            (first, None) => Ok(Some(first)),
            _ => Err(OptionsError::NotCharacter { key: key.to_owned(), value: value.to_owned() }),
        }
    }
}

impl<K: AsRef<str>, V: AsRef<str>> FromIterator<(K, V)> for Options {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(pairs: I) -> Options {
        let mut options = Options::default();
        for (key, value) in pairs {
            options.set(key.as_ref(), value.as_ref());
        }
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_any_case_and_kept_as_written() {
        let options = Options::from_iter([("maxRecordsPerFile", "2"), ("HEADER", "True"), ("sep", "\\t")]);
        assert_eq!(options.count("maxrecordsperfile", 1), Ok(Some(2)));
        assert_eq!(options.boolean("header", false), Ok(true));
        assert_eq!(options.character("sep"), Ok(Some(Some('\t'))));
        assert_eq!(options.iter().next(), Some(("HEADER", "True")));
    }

    #[test]
    fn a_value_that_does_not_fit_names_its_option() {
        let options = Options::from_iter([("header", "yes"), ("numRows", "-1"), ("sep", "ab")]);
        let error = options.boolean("header", false).unwrap_err().to_string();
        assert_eq!(error, "Option 'header' is true or false, not 'yes'");
        assert!(options.count("numRows", 0).is_err() && options.character("sep").is_err());
        let error = options.required("path", "a file sink").unwrap_err().to_string();
        assert_eq!(error, "Option 'path' must be specified for a file sink");
    }
}
