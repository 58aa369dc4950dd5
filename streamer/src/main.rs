//! `ottla-stream`: runs a job and prints its rows.

mod allocator;
mod command_line;
mod explain_job;
mod run_job;
mod state_command;

use std::fs;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use anstyle_query::{no_color, term_supports_color, windows::enable_ansi_colors};
use clap::Parser;
use datafusion::error::DataFusionError;
use ottla_stream::checkpoint::CheckpointError;
use ottla_stream::sink::SinkError;
use ottla_stream::{QueryError, StreamingQueryError};
use thiserror::Error;
use tracing_subscriber::EnvFilter;

use command_line::{Command, CommandLine, SetError};
use state_command::StateCommandError;

fn main() -> ExitCode {
    allocator::share_one_heap();
    match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime.block_on(answer(CommandLine::parse())),
        Err(error) => {
            eprintln!("ottla-stream: cannot start the threads of the runtime: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn answer(command_line: CommandLine) -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    lines.with_ansi(has_colour()).init();
    match run(command_line).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottla-stream: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Windows' console shows colours only when it is told to.
fn has_colour() -> bool {
    io::stderr().is_terminal() && !no_color() && term_supports_color() && enable_ansi_colors() != Some(false)
}

#[derive(Debug, Error)]
enum RunError {
    #[error("cannot read the job {job}: {source}", job = job.display())]
    Job { job: PathBuf, source: io::Error },
    #[error(transparent)]
    Set(#[from] SetError),
    #[error(transparent)]
    Query(#[from] QueryError),
    #[error("cannot make a temporary checkpoint: {0}")]
    TemporaryCheckpoint(io::Error),
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    #[error("the sink {format} of {query}: {source}")]
    Sink { query: String, format: String, source: Box<SinkError> },
    #[error(transparent)]
    State(#[from] StateCommandError),
    #[error(transparent)]
    Stream(#[from] StreamingQueryError),
    /// One of several queries.
    #[error("{query}: {source}")]
    Named { query: String, source: Box<StreamingQueryError> },
    #[error("cannot print: {0}")]
    Print(#[from] io::Error),
    #[error("cannot plan the query: {0}")]
    Plan(#[from] DataFusionError),
}

impl RunError {
    /// Whoever read the rows, such as `head`, has seen enough.
    fn is_closed_pipe(&self) -> bool {
        let mut cause: Option<&dyn std::error::Error> = Some(self);
        while let Some(error) = cause {
            if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe) {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

async fn run(command_line: CommandLine) -> Result<(), RunError> {
    match command_line.command {
        Command::Sql { sql, flags } => run_job::run(&sql, &flags).await,
        Command::Run { job, flags } => run_job::run(&read(job)?, &flags).await,
        Command::Explain { job, output, flags } => explain_job::run(&read(job)?, output, &flags).await,
        Command::State(state) => Ok(state.run()?),
    }
}

fn read(job: PathBuf) -> Result<String, RunError> {
    fs::read_to_string(&job).map_err(|source| RunError::Job { job, source })
}
