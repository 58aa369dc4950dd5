//! Runs the queries of a job, side by side.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};
use std::time::Instant;

use indicatif::ProgressBar;
use ottla_stream::checkpoint::Checkpoint;
use ottla_stream::job::{JobDefaults, JobQuery};
use ottla_stream::live_view::LiveView;
use ottla_stream::options::Options;
use ottla_stream::progress::StreamingQueryProgress;
use ottla_stream::sink::table::TableLimits;
use ottla_stream::sink::{ConsoleSink, JsonLinesSink, NoopSink, Sink};
use ottla_stream::source::Connections;
use ottla_stream::stop::{self, StopSignal, Stopper};
use ottla_stream::trigger::Trigger;
use ottla_stream::{Observer, Session, StreamingQuery, StreamingQueryError};
use tokio::task::JoinSet;

use crate::RunError;
use crate::command_line::{Flags, Format, Settings};

pub(crate) async fn run(text: &str, flags: &Flags) -> Result<(), RunError> {
    let settings = flags.settings()?;
    let queries = plan(text, flags, &settings).await?;
    let base = match wanted_base(flags, &queries) {
        Some(base) => base,
        None => temporary_base()?,
    };
    let folders = checkpoint_folders(&queries, &base);
    let connections = connections();
    let mut started = Vec::new();
    for (query, folder) in queries.into_iter().zip(folders) {
        started.push(open(query, &folder, flags, &settings.table, &connections)?);
    }
    let (stopper, stop) = stop::channel();
    tokio::spawn(stop_on_signal(stopper.clone()));
    run_all(started, flags.trigger, &stopper, &stop).await
}

/// The job's queries, checked. No broker is asked.
pub(crate) async fn plan(text: &str, flags: &Flags, settings: &Settings) -> Result<Vec<JobQuery>, RunError> {
    let mut session = Session::new(settings.conf.clone())?;
    let source_options = Options::from_iter(&settings.source_options);
    let defaults = JobDefaults { source_options, output_mode: flags.output_mode };
    Ok(session.plan_job(text, &defaults)?)
}

/// A SELECT that is a job by itself has the folder for itself, as it always had. Other queries have one each in it.
pub(crate) fn checkpoint_folders(queries: &[JobQuery], base: &Path) -> Vec<PathBuf> {
    let folder = |(place, query): (usize, &JobQuery)| match (query.checkpoint_location(), &query.name) {
        (Some(folder), _) => PathBuf::from(folder),
        (None, Some(name)) => base.join(name),
        (None, None) if queries.len() == 1 => base.to_owned(),
        (None, None) => base.join(format!("query-{place}")),
    };
    queries.iter().enumerate().map(folder).collect()
}

/// Where the checkpoints are to be.
pub(crate) fn wanted_base(flags: &Flags, queries: &[JobQuery]) -> Option<PathBuf> {
    let of_job = || queries.iter().find_map(JobQuery::checkpoint_base).map(PathBuf::from);
    flags.checkpoint.clone().or_else(of_job)
}

fn temporary_base() -> Result<PathBuf, RunError> {
    let folder = tempfile::Builder::new().prefix("ottla-checkpoint-").tempdir();
    let folder = folder.map_err(RunError::TemporaryCheckpoint)?.keep();
    eprintln!(
        "ottla-stream: the checkpoint of this run is {}; go on from it with --checkpoint",
        folder.display()
    );
    Ok(folder)
}

/// A query that is ready to run, and what it is called in errors.
struct Started {
    name: Option<String>,
    query: StreamingQuery,
    /// Streaming tables of the job.
    reads: Vec<String>,
    writes: Option<String>,
}

fn open(
    query: JobQuery,
    folder: &Path,
    flags: &Flags,
    table: &TableLimits,
    connections: &Arc<Connections>,
) -> Result<Started, RunError> {
    let checkpoint = Checkpoint::open(folder)?;
    let time_zone = query.plan.time_zone();
    let refused = |source| RunError::Sink {
        query: query.name.clone().unwrap_or_default(),
        format: query.format().unwrap_or_default().to_owned(),
        source: Box::new(source),
    };
    let opened = query.open_sink(&checkpoint, &flags.bootstrap_server).map_err(refused)?;
    let late_rows = query.open_late_rows(&checkpoint, &flags.bootstrap_server).map_err(refused)?;
    let malformed = query.open_malformed_rows(&checkpoint, &flags.bootstrap_server).map_err(refused)?;
    let has_own_sink = opened.is_some();
    let sink: Box<dyn Sink> = match (opened, flags.format) {
        (Some(sink), _) => sink,
        (None, Format::Console) => Box::new(ConsoleSink::new(io::stdout(), *table, time_zone)),
        (None, Format::Json) => Box::new(JsonLinesSink::new(io::stdout(), time_zone)),
        (None, Format::Noop) => Box::new(NoopSink),
    };
    let live = Live::when_wanted(flags, has_own_sink);
    let observer = Box::new(Printer { format: flags.format, progress: flags.progress, live });
    let (reads, writes) = (query.reads().map(str::to_owned).collect(), query.writes());
    let name = query.name;
    let query =
        StreamingQuery::new(query.plan, connections.clone(), checkpoint, sink, flags.trigger, observer);
    let query = match &name {
        Some(name) => query.with_name(name),
        None => query,
    };
    let query = match late_rows {
        Some(late_rows) => query.with_late_rows(late_rows),
        None => query,
    };
    let query = match malformed {
        Some(malformed) => query.with_malformed_rows(malformed),
        None => query,
    };
    Ok(Started { name, query, reads, writes })
}

/// A query that fails has the others end after their batches, and those that have not begun do not begin.
async fn run_all(
    mut waiting: Vec<Started>,
    trigger: Trigger,
    stopper: &Stopper,
    stop: &StopSignal,
) -> Result<(), RunError> {
    // Which tables are still written, by how many queries.
    let mut written: Vec<String> = waiting.iter().filter_map(|query| query.writes.clone()).collect();
    let mut running = JoinSet::new();
    let mut outcome = Ok(());
    loop {
        for Started { name, query, writes, .. } in due(&mut waiting, &written, trigger, running.is_empty()) {
            let stop = stop.clone();
            running
                .spawn(async move { (writes, query.run(stop).await.map_err(|error| failed(name, error))) });
        }
        match running.join_next().await {
            None => return outcome,
            Some(Ok((writes, ended))) => {
                if let Some(place) = written.iter().position(|table| Some(table) == writes.as_ref()) {
                    written.swap_remove(place);
                }
                if ended.is_err() {
                    stopper.stop();
                    waiting.clear();
                    outcome = outcome.and(ended);
                }
            }
            Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Some(Err(_)) => {}
        }
    }
}

/// Takes the queries that can begin. Where queries end by themselves, one that reads a streaming table of the job waits
/// for those that write it, so that one run brings a record all the way.
fn due(waiting: &mut Vec<Started>, written: &[String], trigger: Trigger, none_runs: bool) -> Vec<Started> {
    if !matches!(trigger, Trigger::AvailableNow | Trigger::Once) {
        return std::mem::take(waiting);
    }
    let waits = |query: &mut Started| query.reads.iter().any(|table| written.contains(table));
    let due: Vec<_> = waiting.extract_if(.., |query| !waits(query)).collect();
    // Tables that are written from each other.
    if due.is_empty() && none_runs { std::mem::take(waiting) } else { due }
}

fn failed(name: Option<String>, source: StreamingQueryError) -> RunError {
    match name {
        Some(query) => RunError::Named { query, source: Box::new(source) },
        None => RunError::Stream(source),
    }
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
    live: Option<Live>,
}

/// The line that stands under a terminal's prompt and changes with each batch.
struct Live {
    view: LiveView,
    bar: ProgressBar,
    since: Instant,
}

impl Live {
    /// On a terminal that neither the rows nor the progress JSON go to.
    fn when_wanted(flags: &Flags, has_own_sink: bool) -> Option<Live> {
        let is_free = has_own_sink || flags.format == Format::Noop;
        if !is_free || flags.progress || !io::stderr().is_terminal() {
            return None;
        }
        Some(Live { view: LiveView::default(), bar: ProgressBar::new_spinner(), since: Instant::now() })
    }

    fn update(&mut self, progress: &StreamingQueryProgress) {
        self.view.update(progress);
        let name = progress.name.as_deref().map(|name| format!("{name}: ")).unwrap_or_default();
        self.bar.set_message(format!("{name}{}", self.view.line(self.since.elapsed())));
        self.bar.tick();
    }
}

impl Observer for Printer {
    fn progress(&mut self, progress: &StreamingQueryProgress) {
        if let Some(live) = &mut self.live {
            live.update(progress);
        }
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
