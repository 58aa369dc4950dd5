//! `ottla produce`: a record for each line of stdin or a file.

mod input;
mod line;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use indicatif::ProgressBar;
use ottla_client::Acks;
use ottla_client::producer::{OutgoingRecord, Producer, ProducerConfig};
use ottla_protocol::Compression;
use serde::Serialize;

use crate::connect::Bootstrap;
use crate::exit::Failure;
use crate::output::{Format, Output};
use crate::progress;
use input::{Input, Line, Lines};
use line::LineParser;

/// Write lines to a topic, each as a record
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub(crate) struct Produce {
    /// The topic to write to
    #[arg(value_name = "TOPIC")]
    topic: String,
    /// Read the lines from this file instead of stdin
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// The key stands before this separator in each line
    #[arg(long, value_name = "TEXT", value_parser = unescaped)]
    key_separator: Option<String>,
    /// Headers stand first in each line, as NAME:VALUE,NAME:VALUE, followed by a tab
    #[arg(long)]
    parse_headers: bool,
    /// A header for every record; repeat it for several
    #[arg(long = "header", value_name = "NAME:VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// A key or value that reads like this is null
    #[arg(long, value_name = "TEXT")]
    null_marker: Option<String>,
    /// Write to this partition [default: by key, as Java's producer; without a key batch by batch]
    #[arg(long)]
    partition: Option<i32>,
    /// How batches are compressed
    #[arg(long, value_name = "CODEC", default_value = "none", value_parser = ["none", "gzip", "snappy", "lz4", "zstd"])]
    compression: String,
    /// When a record counts as written
    #[arg(long, value_enum, default_value_t = AcksArg::All)]
    acks: AcksArg,
    /// Bytes of records that make a batch
    #[arg(long, value_name = "BYTES", default_value_t = 256 * 1024, value_parser = clap::value_parser!(u32).range(1..=64 * 1024 * 1024))]
    batch_size: u32,
    /// How long a record waits for others, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 5)]
    linger_ms: u64,
    #[command(flatten)]
    bootstrap: Bootstrap,
    /// json: say on stdout how many records were written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

const HELP: &str = "\
Examples:
  ottla produce my-topic                                 type lines, end with Ctrl-D (Ctrl-Z on Windows)
  ottla produce my-topic --file flights.json --compression zstd
  ottla produce my-topic --key-separator : < users.txt   alice:{\"visits\":3}
  ottla produce my-topic --parse-headers --key-separator '\\t'
                                                         trace:7,origin:lab<TAB>alice<TAB>hello
A topic that does not exist is made, if the broker allows it. Lines end with LF or CRLF.";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AcksArg {
    /// When it has been sent
    #[value(name = "0")]
    None,
    /// When the leader has it
    #[value(name = "1")]
    Leader,
    /// When all in-sync replicas have it
    All,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Written<'a> {
    topic: &'a str,
    records: u64,
    bytes: u64,
    seconds: f64,
}

impl Produce {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let input = Input::open(self.file.as_deref())?;
        let client = self.bootstrap.connect().await?;
        let started = Instant::now();
        let mut producer = Producer::new(client, &self.topic, self.config()).await?;
        let bar = progress::of_bytes(input.size_bytes());
        let bytes = self.send_lines(input, &mut producer, &bar).await?;
        bar.finish_and_clear();
        self.report(producer.acknowledged(), bytes, started)
    }

    fn config(&self) -> ProducerConfig {
        ProducerConfig {
            acks: match self.acks {
                AcksArg::None => Acks::None,
                AcksArg::Leader => Acks::Leader,
                AcksArg::All => Acks::All,
            },
            compression: self.compression.parse().unwrap_or(Compression::None),
            batch_bytes: self.batch_size as usize,
            linger: Duration::from_millis(self.linger_ms),
            idempotence: true,
        }
    }

    /// Sends what is there; when no more comes, what has been gathered is sent once it has waited long enough.
    async fn send_lines(
        &self,
        input: Input,
        producer: &mut Producer,
        bar: &ProgressBar,
    ) -> Result<u64, Failure> {
        let mut chunks = input.read();
        let (mut lines, mut bytes) = (Lines::default(), 0);
        loop {
            let chunk = match producer.due() {
                None => chunks.recv().await,
                Some(due) => match tokio::time::timeout_at(due, chunks.recv()).await {
                    Ok(chunk) => chunk,
                    Err(_) => {
                        producer.flush().await?;
                        continue;
                    }
                },
            };
            let Some(chunk) = chunk.transpose()? else { break };
            bytes += chunk.len() as u64;
            bar.set_position(bytes);
            lines.feed(&chunk)?;
            while let Some(line) = lines.next() {
                self.send(line, producer).await?;
            }
        }
        if let Some(line) = lines.last() {
            self.send(line, producer).await?;
        }
        producer.flush().await?;
        Ok(bytes)
    }

    /// A line that cannot be parsed ends it; the lines before are written.
    async fn send(&self, line: Line<'_>, producer: &mut Producer) -> Result<(), Failure> {
        let parser = LineParser {
            parse_headers: self.parse_headers,
            key_separator: self.key_separator.as_deref(),
            null_marker: self.null_marker.as_deref(),
        };
        let parsed = match parser.parse(line.text) {
            Ok(parsed) => parsed,
            Err(error) => {
                producer.flush().await?;
                return Err(Failure::Usage(format!("line {}: {error}", line.number)));
            }
        };
        let fixed = self.headers.iter().map(|(name, value)| (name.as_bytes(), Some(value.as_bytes())));
        let headers: Vec<_> = parsed.headers.into_iter().chain(fixed).collect();
        let record = OutgoingRecord {
            partition: self.partition,
            key: parsed.key,
            value: parsed.value,
            headers: &headers,
            timestamp_ms: None,
        };
        Ok(producer.send(&record).await?)
    }

    fn report(&self, records: u64, bytes: u64, started: Instant) -> Result<(), Failure> {
        let seconds = started.elapsed().as_secs_f64();
        let written = Written { topic: &self.topic, records, bytes, seconds };
        let mut output = Output::new(self.format);
        if self.format == Format::Json {
            output.json(&written)?;
            return output.flush();
        }
        eprintln!("{written}");
        Ok(())
    }
}

/// `\t` on a command line means a tab.
fn unescaped(text: &str) -> Result<String, &'static str> {
    match text {
        "" => Err("a separator has at least one letter"),
        text => Ok(text.replace("\\t", "\t")),
    }
}

fn parse_header(text: &str) -> Result<(String, String), &'static str> {
    let (name, value) = text.split_once(':').ok_or("write NAME:VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

impl fmt::Display for Written<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.records == 1 { "" } else { "s" };
        write!(f, "{} record{plural} written to {} in {:.2} s", self.records, self.topic, self.seconds)
    }
}
