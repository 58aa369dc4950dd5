//! `ottla-stream`: runs a job and prints its rows.

mod command_line;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Once};

use clap::Parser;
use ottla_stream::checkpoint::{Checkpoint, CheckpointError};
use ottla_stream::progress::StreamingQueryProgress;
use ottla_stream::sink::{ConsoleSink, JsonLinesSink, NoopSink, Sink};
use ottla_stream::source::Connections;
use ottla_stream::stop::{self, Stopper};
use ottla_stream::{Observer, QueryError, Session, StreamingQuery, StreamingQueryError};
use thiserror::Error;
use tracing_subscriber::EnvFilter;

use command_line::{Command, CommandLine, Flags, Format, SetError};

#[tokio::main]
async fn main() -> ExitCode {
    let command_line = CommandLine::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).init();
    match run(command_line).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_closed_pipe() => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottla-stream: {error}");
            ExitCode::FAILURE
        }
    }
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
    #[error(transparent)]
    Stream(#[from] StreamingQueryError),
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
    let (text, flags) = match command_line.command {
        Command::Sql { sql, flags } => (sql, flags),
        Command::Run { job, flags } => match fs::read_to_string(&job) {
            Ok(text) => (text, flags),
            Err(source) => return Err(RunError::Job { job, source }),
        },
    };
    let settings = flags.settings()?;
    let session = Session::new(settings.conf)?;
    let time_zone = session.time_zone();
    let plan = session.plan(&text, &settings.source_options, flags.output_mode).await?;
    let sink: Box<dyn Sink> = match flags.format {
        Format::Console => Box::new(ConsoleSink::new(io::stdout(), settings.table, time_zone)),
        Format::Json => Box::new(JsonLinesSink::new(io::stdout(), time_zone)),
        Format::Noop => Box::new(NoopSink),
    };
    let checkpoint = Checkpoint::open(&checkpoint_folder(&flags)?)?;
    let (stopper, stop) = stop::channel();
    tokio::spawn(stop_on_signal(stopper));
    let observer = Box::new(Printer { format: flags.format, progress: flags.progress });
    let query = StreamingQuery::new(plan, connections(), checkpoint, sink, flags.trigger, observer);
    Ok(query.run(stop).await?)
}

fn checkpoint_folder(flags: &Flags) -> Result<PathBuf, RunError> {
    if let Some(folder) = &flags.checkpoint {
        return Ok(folder.clone());
    }
    let folder = tempfile::Builder::new().prefix("ottla-checkpoint-").tempdir();
    let folder = folder.map_err(RunError::TemporaryCheckpoint)?.keep();
    eprintln!(
        "ottla-stream: the checkpoint of this run is {}; go on from it with --checkpoint",
        folder.display()
    );
    Ok(folder)
}

/// Says once that a broker is not there yet.
fn connections() -> Arc<Connections> {
    let told = Once::new();
    Arc::new(Connections::new(move |error| {
        told.call_once(|| eprintln!("ottla-stream: waiting for a broker ({error})"));
    }))
}

/// The first signal ends the query after the batch that runs, the second one at once.
async fn stop_on_signal(stopper: Stopper) {
    termination().await;
    stopper.stop();
    termination().await;
    std::process::exit(130);
}

#[cfg(unix)]
async fn termination() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut terminate) => tokio::select! {
            _ = terminate.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

#[cfg(windows)]
async fn termination() {
    match tokio::signal::windows::ctrl_break() {
        Ok(mut ctrl_break) => tokio::select! {
            _ = ctrl_break.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        },
        Err(_) => drop(tokio::signal::ctrl_c().await),
    }
}

/// Tells the user what goes on.
struct Printer {
    format: Format,
    progress: bool,
}

impl Observer for Printer {
    fn progress(&mut self, progress: &StreamingQueryProgress) {
        if !self.progress {
            return;
        }
        let json = serde_json::json!({ "progress": progress });
        // The rows have gone the same way; where it is closed, the next batch will tell.
        let _ = match self.format {
            Format::Json => writeln!(io::stdout(), "{json}").and_then(|()| io::stdout().flush()),
            Format::Console | Format::Noop => writeln!(io::stderr(), "{json}"),
        };
    }

    fn waits(&mut self, reason: &str) {
        eprintln!("ottla-stream: waiting ({reason})");
    }
}
