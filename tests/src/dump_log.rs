//! Kafka's `DumpLogSegments` over log directories that Ottla wrote.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::kafka_release::KafkaRelease;
use crate::kafka_tools::{KafkaTools, Tool};
use crate::program::Finished;

/// How the tool complains among what it prints of a log.
const FAULTS: [&str; 2] = ["isvalid: false", "invalid bytes at the end"];

/// What the tool printed.
pub struct Dump {
    finished: Finished,
}

/// Runs the tool over these files, with options such as `--deep-iteration`.
///
/// # Panics
/// When the tool fails.
pub async fn dump(files: &[PathBuf], options: &str) -> Dump {
    let tools = KafkaTools::new(KafkaRelease::V4_3_1, String::new());
    let files: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
    let tool = tools.tool(Tool::DumpLog, options).await.args(["--files", &files.join(",")]);
    Dump { finished: tool.run().await }
}

impl Dump {
    /// # Panics
    /// When the tool complains about anything: it does that on its standard error, and about batches where it prints them.
    pub fn expect_clean(&self) -> &Dump {
        let stdout = self.finished.lines().into_iter();
        let faults = stdout.filter(|line| FAULTS.iter().any(|fault| line.contains(fault)));
        let stderr = self.finished.stderr.lines().filter(|line| !is_about_first_offset(line));
        let complaints: Vec<&str> = faults.chain(stderr).collect();
        assert!(complaints.is_empty(), "{}:\n{}", self.finished.shown, complaints.join("\n"));
        self
    }

    pub fn expect(&self, text: &str) -> &Dump {
        self.finished.expect(text);
        self
    }

    /// How many index files the tool found sound, with `--index-sanity-check`.
    pub fn passed_sanity_check(&self) -> usize {
        self.finished.stdout.matches("passed sanity check.").count()
    }

    /// The offsets of the records by the folder of their partition, as they stand in its files.
    pub fn offsets(&self) -> BTreeMap<PathBuf, Vec<i64>> {
        let mut offsets: BTreeMap<PathBuf, Vec<i64>> = BTreeMap::new();
        let mut partition = PathBuf::new();
        for line in self.finished.lines() {
            if let Some(file) = line.strip_prefix("Dumping ") {
                partition = Path::new(file).parent().expect("a file in a folder").to_path_buf();
                offsets.entry(partition.clone()).or_default();
            } else if let Some(record) = line.strip_prefix("| offset: ") {
                let offset = record.split(' ').next().and_then(|offset| offset.parse().ok());
                offsets.entry(partition.clone()).or_default().push(offset.expect("an offset"));
            }
        }
        offsets
    }
}

/// With `--deep-iteration`, Kafka 4.3.1's tool expects every segment to start at offset 0, Kafka's own included. A gap
/// further on has a line of its own, which says between which offsets.
fn is_about_first_offset(complaint: &str) -> bool {
    complaint.starts_with("Non-consecutive offsets in ") || complaint.starts_with("  -1 is followed by ")
}

/// Lets the tool read everything in a log directory that was closed: logs with their records, indexes, producers,
/// aborted transactions, the coordinators' topics and `bootstrap.checkpoint`.
///
/// # Panics
/// When the tool complains about anything.
pub async fn expect_sound(log_dir: &Path) {
    let mut logs = files(log_dir, &["log"]);
    dump(&logs, "--deep-iteration --print-data-log").await.expect_clean();
    let indexes = files(log_dir, &["index", "timeindex"]);
    for options in ["", "--verify-index-only", "--index-sanity-check"] {
        dump(&indexes, options).await.expect_clean();
    }
    for extension in ["snapshot", "txnindex"] {
        let files = files(log_dir, &[extension]);
        if !files.is_empty() {
            dump(&files, "").await.expect_clean();
        }
    }
    for (topic, decoder) in
        [("__consumer_offsets", "--offsets-decoder"), ("__transaction_state", "--transaction-log-decoder")]
    {
        let of_topic: Vec<PathBuf> = logs.extract_if(.., |log| is_of_topic(log, topic)).collect();
        if !of_topic.is_empty() {
            dump(&of_topic, decoder).await.expect_clean();
        }
    }
    dump(&[log_dir.join("bootstrap.checkpoint")], "--cluster-metadata-decoder").await.expect_clean();
}

fn is_of_topic(log: &Path, topic: &str) -> bool {
    let dir = log.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy();
    dir.rsplit_once('-').is_some_and(|(name, _)| name == topic)
}

/// The files of all partitions that end in one of `extensions`, ordered by partition and base offset. What was set
/// aside is nobody's.
pub fn files(log_dir: &Path, extensions: &[&str]) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = entries(log_dir)
        .filter(|path| path.is_dir() && !path.to_string_lossy().ends_with("-stray"))
        .flat_map(|dir| entries(&dir).collect::<Vec<_>>())
        .collect();
    files.retain(|file| {
        file.extension().is_some_and(|extension| extensions.iter().any(|wanted| extension == *wanted))
    });
    files.sort();
    files
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap_or_else(|e| panic!("cannot list {}: {e}", dir.display()));
    entries.map(|entry| entry.expect("a folder that can be read").path())
}
