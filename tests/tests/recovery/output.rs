//! The sinks that hold each row once, and what they hold.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ottla_client::{Client, Fetch, FetchPartition, IsolationLevel, NewTopic};
use ottla_tests::postgres::Postgres;
use serde_json::Value;

#[derive(Clone)]
pub(crate) enum Output {
    File,
    Kafka,
    Postgres(Arc<Postgres>),
}

impl Output {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Output::File => "file",
            Output::Kafka => "kafka",
            Output::Postgres(_) => "postgres",
        }
    }

    /// The folder, the topic or the table.
    pub(crate) fn target(&self, dir: &Path, name: &str) -> String {
        match self {
            Output::File => dir.join(name).display().to_string(),
            Output::Kafka => name.to_owned(),
            Output::Postgres(_) => name.replace('-', "_").to_lowercase(),
        }
    }

    pub(crate) async fn prepare(&self, client: &Client, target: &str) {
        if let Output::Kafka = self {
            client.create_topics(&[NewTopic::new(target)]).await.expect("the topic is created");
        }
    }

    /// Format and options, as SQL.
    pub(crate) fn using(&self, target: &str) -> String {
        match self {
            Output::File => format!("json OPTIONS (path '{target}')"),
            Output::Kafka => format!("kafka OPTIONS (topic '{target}', exactlyOnce 'true')"),
            Output::Postgres(postgres) => {
                format!("postgres OPTIONS (url '{}', dbtable '{target}')", postgres.url())
            }
        }
    }

    pub(crate) async fn rows(&self, client: &Client, target: &str) -> Vec<String> {
        match self {
            Output::File => rows_of_files(Path::new(target)),
            Output::Kafka => rows_of_topic(client, target).await,
            Output::Postgres(postgres) => {
                let rows = postgres.query(&format!("SELECT value FROM {target}"));
                rows.lines().map(str::to_owned).collect()
            }
        }
    }
}

/// Of the files that the log of the sink names, as Spark reads it.
fn rows_of_files(folder: &Path) -> Vec<String> {
    committed_files(folder).iter().flat_map(|file| lines(file)).collect()
}

fn committed_files(folder: &Path) -> Vec<PathBuf> {
    let log = folder.join("_spark_metadata");
    let entries = fs::read_dir(&log).expect("the sink has a log");
    let names =
        entries.map(|entry| entry.expect("it is listed").file_name().into_string().expect("a number"));
    let ids = names.filter(|name| !name.starts_with('.')).map(|name| {
        let id: u64 = name.trim_end_matches(".compact").parse().expect("a batch's number");
        (id, name)
    });
    let mut ids: Vec<_> = ids.collect();
    ids.sort();
    // A compact file has all that came before.
    let from = ids.iter().rposition(|(_, name)| name.ends_with(".compact")).unwrap_or(0);
    let logs = ids[from..].iter().flat_map(|(_, name)| lines(&log.join(name)).into_iter().skip(1));
    let path = |line: String| {
        let entry: Value = serde_json::from_str(&line).expect("a line is JSON");
        PathBuf::from(entry["path"].as_str().expect("it has a path").trim_start_matches("file://"))
    };
    logs.filter(|line| !line.is_empty()).map(path).collect()
}

fn lines(file: &Path) -> Vec<String> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    text.lines().map(str::to_owned).collect()
}

/// Of committed transactions.
async fn rows_of_topic(client: &Client, topic: &str) -> Vec<String> {
    let mut rows = Vec::new();
    let mut offset = 0;
    loop {
        let partition = FetchPartition { topic: topic.to_owned(), partition: 0, offset, max_bytes: 8 << 20 };
        let fetch = Fetch {
            partitions: vec![partition],
            max_wait: Duration::ZERO,
            min_bytes: 0,
            max_bytes: 8 << 20,
            isolation_level: IsolationLevel::ReadCommitted,
        };
        let fetched = client.fetch(&fetch).await.expect("the topic is read").remove(0);
        let Some(next) =
            fetched.batches().filter_map(Result::ok).map(|batch| batch.header().next_offset()).max()
        else {
            return rows;
        };
        for batch in fetched.committed_batches() {
            let records = batch.expect("it is whole").records(8 << 20).expect("it can be read");
            for record in &records {
                let value = record.expect("it can be read").value.expect("it has a value").to_vec();
                rows.push(String::from_utf8(value).expect("it is text"));
            }
        }
        offset = next;
    }
}
