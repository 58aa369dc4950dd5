//! One run of a query by one engine, watched from outside.

use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use thiserror::Error;

use super::Lab;
use super::engine::Engine;
use super::process_tree::{ProcessTree, Usage};
use super::progress::Progress;
use super::query::Query;

/// Often enough to miss little of a peak, seldom enough to cost nothing.
const LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// The lines of an engine's messages that are shown if it fails.
const MESSAGE_LINES: usize = 12;
/// A line of a table on the console that is the first with a row: the heads of Spark's and Ottla's tables have no `{`.
const FIRST_ROW: &str = "|{\"id\"";

#[derive(Debug, Error)]
pub(super) enum RunError {
    #[error("it cannot be started or watched: {0}")]
    Process(#[from] io::Error),
    #[error("it ended with {status}: {message}")]
    Failed { status: ExitStatus, message: String },
    #[error("it told of {found} {what}, not of {expected}")]
    Incomplete { what: &'static str, found: u64, expected: u64 },
}

/// What a run did.
#[derive(Debug)]
pub(super) struct Run {
    /// Of each micro-batch that had data.
    pub(super) batches: Vec<Progress>,
    /// Of all, the last without data too.
    pub(super) state_rows: u64,
    pub(super) first_row_after: Option<Duration>,
    pub(super) usage: Usage,
}

impl Lab {
    /// Runs the query on a checkpoint of its own.
    pub(super) fn run(&self, engine: Engine, query: &Query) -> Result<Run, RunError> {
        let folder = tempfile::Builder::new().prefix("ottla-compare-").tempdir()?;
        let checkpoint = folder.path().join("checkpoint");
        let command = self.engines.command(engine, &self.broker, query, &checkpoint);
        let mut command = command.ok_or_else(|| io::Error::other("the engine is left out"))?;
        self.runtime.block_on(run(command.current_dir(folder.path())))
    }
}

async fn run(command: &mut Command) -> Result<Run, RunError> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn()?;
    let lines = [lines(child.stdout.take(), started), lines(child.stderr.take(), started)];
    let usage = watch(&child).await?;
    let status = child.wait()?;
    let [printed, said] = lines.map(|lines| lines.join().unwrap_or_default());
    if !status.success() {
        let last = said.iter().rev().take(MESSAGE_LINES).rev().map(|(_, line)| line.as_str());
        return Err(RunError::Failed { status, message: last.collect::<Vec<_>>().join("\n") });
    }
    let first_row = printed.iter().find(|(_, line)| line.starts_with(FIRST_ROW));
    let progress = printed.iter().chain(&said).filter_map(|(_, line)| Progress::parse(line));
    let all: Vec<_> = progress.collect();
    Ok(Run {
        state_rows: all.last().map_or(0, Progress::state_rows),
        batches: all.into_iter().filter(|progress| progress.num_input_rows > 0).collect(),
        first_row_after: first_row.map(|(after, _)| *after),
        usage,
    })
}

/// Until it ends. Its times are read once more then: until somebody waits for it, they are all there.
async fn watch(child: &Child) -> io::Result<Usage> {
    let mut tree = ProcessTree::of(child.id());
    while !tree.has_ended()? {
        tree.look();
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
    tree.look();
    Ok(tree.peak())
}

type Lines = Vec<(Duration, String)>;

/// Reads until the end, and notes when each line came.
fn lines(pipe: Option<impl Read + Send + 'static>, started: Instant) -> JoinHandle<Lines> {
    thread::spawn(move || {
        let lines = pipe.into_iter().flat_map(|pipe| BufReader::new(pipe).lines());
        lines.map_while(Result::ok).map(|line| (started.elapsed(), line)).collect()
    })
}

impl Run {
    /// Fails if any of the records was left out.
    pub(super) fn check_records(&self, expected: u64) -> Result<(), RunError> {
        let found = self.batches.iter().map(|progress| progress.num_input_rows).sum();
        if found == expected {
            return Ok(());
        }
        Err(RunError::Incomplete { what: "records", found, expected })
    }
}
