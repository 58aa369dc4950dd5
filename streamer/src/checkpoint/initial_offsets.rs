//! `sources/<i>/0`: the offsets at which a source began. Spark's `KafkaSourceInitialOffsetWriter`.

use std::path::Path;

use super::log_file::{self, LogFileError};

/// Spark 2.1.0 expects one byte before the text (SPARK-19517); every later Spark writes it.
const MARK: u8 = 0;

/// Written once, before the first batch.
pub(crate) fn write(path: &Path, offsets_json: &str) -> Result<(), LogFileError> {
    let mut content = vec![MARK];
    content.extend_from_slice(b"v1\n");
    content.extend_from_slice(offsets_json.as_bytes());
    log_file::write_new(path, &content)
}

pub(crate) fn read(path: &Path) -> Result<Option<String>, LogFileError> {
    let Some(text) = log_file::read_text(path)? else {
        return Ok(None);
    };
    let text = text.strip_prefix(char::from(MARK)).unwrap_or(&text);
    log_file::strip_version(path, text).map(|json| Some(json.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_what_spark_4_1_1_writes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sources").join("0").join("0");
        let json = r#"{"t1":{"0":0,"1":0,"2":0,"3":0}}"#;
        write(&path, json).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"\0v1\n{\"t1\":{\"0\":0,\"1\":0,\"2\":0,\"3\":0}}");
        assert_eq!(read(&path).unwrap().as_deref(), Some(json));
    }
}
