//! The command line: `ottla-stream sql '<SQL>'`, `run job.sql`, `explain job.sql` and `state <checkpoint>`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use ottla_stream::conf::{Conf, ConfError, MEMORY_LIMIT};
use ottla_stream::kafka::options;
use ottla_stream::output_mode::OutputMode;
use ottla_stream::sink::table::TableLimits;
use ottla_stream::trigger::Trigger;
use thiserror::Error;

use crate::state_command::{self, StateCommand};

/// Spark's Structured Streaming over Kafka, without a JVM.
#[derive(Debug, Parser)]
#[command(name = "ottla-stream", version, about, arg_required_else_help = true)]
pub(crate) struct CommandLine {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run statements, often one SELECT.
    #[command(after_help = SQL_EXAMPLES)]
    Sql {
        /// The SELECT, over FROM STREAM <topic>; other statements may come before.
        sql: String,
        #[command(flatten)]
        flags: Flags,
    },
    /// Run the queries in a file, side by side.
    #[command(after_help = RUN_EXAMPLES)]
    Run {
        /// The file: SET, CREATE TABLE, CREATE TEMPORARY VIEW, CREATE STREAMING TABLE, CREATE FLOW and SELECT, with
        /// semicolons between.
        job: PathBuf,
        #[command(flatten)]
        flags: Flags,
    },
    /// Check the queries in a file and print their plans, without a broker.
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain {
        /// The file, as for run.
        job: PathBuf,
        /// text, or json for one object a query and line.
        #[arg(long = "plan-format", default_value = "text", value_name = "FORMAT")]
        output: ExplainFormat,
        #[command(flatten)]
        flags: Flags,
    },
    /// Show what a query's aggregations remember, beside the query if it runs.
    #[command(after_help = state_command::EXAMPLES)]
    State(StateCommand),
}

#[derive(Debug, Args)]
pub(crate) struct Flags {
    /// Where the broker is: host:port, or several with commas between.
    #[arg(long, default_value = "localhost:9092", value_name = "HOST:PORT")]
    pub(crate) bootstrap_server: String,
    /// Where a query without a checkpoint begins: earliest, latest, or JSON such as {"topic":{"0":23,"1":-2}}.
    #[arg(long, value_name = "OFFSETS")]
    pub(crate) starting_offsets: Option<String>,
    /// available-now, once, or an interval such as '5 seconds'. By default each batch follows the one before.
    #[arg(long, default_value = "0 seconds")]
    pub(crate) trigger: Trigger,
    /// append, complete or update.
    #[arg(long, default_value = "append", value_name = "MODE")]
    pub(crate) output_mode: OutputMode,
    /// The folder that says how far the query is; with it, the query goes on where it stopped. Streaming tables and
    /// flows have one each in it, under their names.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// An option of the Kafka source (maxOffsetsPerTrigger=1000), of the console (numRows, truncate), or a setting
    /// (spark.sql.session.timeZone=UTC). Repeatable.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = parse_assignment)]
    pub(crate) assignments: Vec<(String, String)>,
    /// Memory that the state of all queries may take together, such as 64m; what does not fit stays on disk. 128m
    /// unless the job says something else.
    #[arg(long, value_name = "SIZE")]
    pub(crate) memory_limit: Option<String>,
    /// How rows are printed.
    #[arg(long, default_value = "console")]
    pub(crate) format: Format,
    /// Print Spark's progress JSON of each batch: on stderr, or with --format json on stdout after the rows.
    #[arg(long)]
    pub(crate) progress: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables, as Spark's console sink prints them.
    Console,
    /// One JSON object a row and line.
    Json,
    /// Not at all, for measuring.
    Noop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExplainFormat {
    Text,
    Json,
}

/// Where the `--set`s go, and what goes with them.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) conf: Conf,
    pub(crate) source_options: BTreeMap<String, String>,
    pub(crate) table: TableLimits,
}

#[derive(Debug, Error)]
pub(crate) enum SetError {
    #[error(transparent)]
    Conf(#[from] ConfError),
    #[error("--set {key}={value}: {reason}")]
    Console { key: String, value: String, reason: &'static str },
    #[error(
        "--set {key}: no such option; a Kafka source has {}, a console numRows and truncate, and settings begin \
         with spark. or ottla.",
        options::OPTIONS.join(", ")
    )]
    Unknown { key: String },
}

impl Flags {
    /// Sorts what was set by whom it is for.
    pub(crate) fn settings(&self) -> Result<Settings, SetError> {
        let mut settings = Settings {
            conf: Conf::default(),
            source_options: BTreeMap::from([(
                "kafka.bootstrap.servers".to_owned(),
                self.bootstrap_server.clone(),
            )]),
            table: TableLimits::default(),
        };
        if let Some(offsets) = &self.starting_offsets {
            settings.source_options.insert("startingOffsets".to_owned(), offsets.clone());
        }
        if let Some(limit) = &self.memory_limit {
            settings.conf.set(MEMORY_LIMIT, limit)?;
        }
        for (key, value) in &self.assignments {
            settings.set(key, value)?;
        }
        Ok(settings)
    }
}

impl Settings {
    fn set(&mut self, key: &str, value: &str) -> Result<(), SetError> {
        let lower = key.to_lowercase();
        let refused = |reason| SetError::Console { key: key.to_owned(), value: value.to_owned(), reason };
        if lower.starts_with("spark.") || lower.starts_with("ottla.") {
            self.conf.set(key, value)?;
        } else if lower == "numrows" {
            self.table.rows = value.parse().map_err(|_| refused("expected a whole number"))?;
        } else if lower == "truncate" {
            let truncate: bool = value.parse().map_err(|_| refused("expected true or false"))?;
            self.table.cell_chars = truncate.then_some(20);
        } else if is_source_option(&lower) {
            self.source_options.insert(key.to_owned(), value.to_owned());
        } else {
            return Err(SetError::Unknown { key: key.to_owned() });
        }
        Ok(())
    }
}

fn is_source_option(key: &str) -> bool {
    key.starts_with("kafka.") || options::OPTIONS.iter().any(|option| option.eq_ignore_ascii_case(key))
}

fn parse_assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().to_owned(), value.trim().to_owned())),
        _ => Err("write key=value".to_owned()),
    }
}

const SQL_EXAMPLES: &str = "\
Examples:
  ottla-stream sql 'SELECT CAST(value AS STRING) AS message FROM STREAM `my-topic`' --checkpoint ./cp
  ottla-stream sql \"SELECT get_json_object(CAST(value AS STRING), '$.carrier') AS carrier, count(*) AS flights \\
      FROM STREAM flights GROUP BY carrier\" --output-mode complete --starting-offsets earliest
  ottla-stream sql 'SELECT * FROM STREAM words' --trigger available-now --format json --progress \\
      --set maxOffsetsPerTrigger=1000 --starting-offsets earliest";

const RUN_EXAMPLES: &str = "\
Examples:
  ottla-stream run job.sql --checkpoint ./cp
  ottla-stream run job.sql --bootstrap-server broker-1:9092,broker-2:9092 --trigger '5 seconds'
  ottla-stream run job.sql --checkpoint ./cp --memory-limit 64m

A job:
  SET TIME ZONE 'UTC';
  CREATE TABLE flights USING kafka OPTIONS (subscribe 'flights', startingOffsets 'earliest');
  CREATE TEMPORARY VIEW airports USING csv OPTIONS (path 'airports.csv', header 'true');
  CREATE STREAMING TABLE delays USING parquet OPTIONS (path './delays') AS
    SELECT window(timestamp, '10 seconds') AS w, count(*) AS n
    FROM STREAM flights WATERMARK timestamp DELAY OF INTERVAL 1 MINUTE
    GROUP BY window(timestamp, '10 seconds');";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  ottla-stream explain job.sql
  ottla-stream explain job.sql --output-mode complete --plan-format json";
