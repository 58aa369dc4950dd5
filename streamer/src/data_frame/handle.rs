//! Spark's `StreamingQuery`: a query that runs, as the program that started it sees it.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::watch;
use uuid::Uuid;

use crate::progress::StreamingQueryProgress;
use crate::stop::{self, Stopper};
use crate::{Observer, StreamingQuery, StreamingQueryError};

/// Spark's `spark.sql.streaming.numRecentProgressUpdates`.
const RECENT: usize = 100;

/// A running query, or one that has ended. Dropping it leaves the query running.
#[derive(Clone)]
pub struct StreamingQueryHandle {
    record: Arc<Record>,
    stopper: Stopper,
    ended: watch::Receiver<Option<Ended>>,
}

type Ended = Result<(), Arc<StreamingQueryError>>;

/// What is known of a query from its progress.
pub(super) struct Record {
    id: String,
    run_id: Uuid,
    name: Option<String>,
    recent: Mutex<VecDeque<StreamingQueryProgress>>,
    /// How often the sources were asked and had nothing.
    idle: watch::Sender<u64>,
}

/// Whether the query runs, and whether it has something to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamingQueryStatus {
    pub is_active: bool,
    pub is_data_available: bool,
}

pub(super) struct Recorder(Arc<Record>);

pub(super) fn recorder(id: String, run_id: Uuid, name: Option<String>) -> (Recorder, Arc<Record>) {
    let (recent, idle) = (Mutex::default(), watch::Sender::new(0));
    let record = Arc::new(Record { id, run_id, name, recent, idle });
    (Recorder(record.clone()), record)
}

impl Observer for Recorder {
    fn progress(&mut self, progress: &StreamingQueryProgress) {
        let mut recent = self.0.recent.lock();
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(progress.clone());
    }

    fn idle(&mut self) {
        self.0.idle.send_modify(|times| *times += 1);
    }
}

impl StreamingQueryHandle {
    /// `checkpoint` goes when the query has ended, if it is temporary.
    pub(super) fn spawn(
        runtime: &Handle,
        query: StreamingQuery,
        record: Arc<Record>,
        checkpoint: Option<TempDir>,
    ) -> StreamingQueryHandle {
        let (stopper, signal) = stop::channel();
        let (tell, ended) = watch::channel(None);
        runtime.spawn(async move {
            let outcome = query.run(signal).await.map_err(Arc::new);
            drop(checkpoint);
            tell.send_replace(Some(outcome));
        });
        StreamingQueryHandle { record, stopper, ended }
    }

    /// The same in every run with this checkpoint.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// Of this run alone.
    pub fn run_id(&self) -> Uuid {
        self.record.run_id
    }

    pub fn name(&self) -> Option<&str> {
        self.record.name.as_deref()
    }

    pub fn is_active(&self) -> bool {
        self.ended.borrow().is_none()
    }

    pub fn status(&self) -> StreamingQueryStatus {
        let is_data_available = self.last_progress().is_some_and(|progress| progress.num_input_rows > 0);
        StreamingQueryStatus { is_active: self.is_active(), is_data_available }
    }

    pub fn last_progress(&self) -> Option<StreamingQueryProgress> {
        self.record.recent.lock().back().cloned()
    }

    /// Of the last 100 batches.
    pub fn recent_progress(&self) -> Vec<StreamingQueryProgress> {
        self.record.recent.lock().iter().cloned().collect()
    }

    /// Why the query ended, if it failed.
    pub fn exception(&self) -> Option<Arc<StreamingQueryError>> {
        self.ended.borrow().as_ref().and_then(|ended| ended.as_ref().err().cloned())
    }

    /// Returns when the query has ended; its error is this one's.
    pub async fn await_termination(&self) -> Result<(), Arc<StreamingQueryError>> {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or(Ok(())),
            // The query's task is gone without a word, with its runtime.
            Err(_) => Ok(()),
        }
    }

    /// Returns when all that the sources had at the time of the call is in the sink, or when the query has ended.
    pub async fn process_all_available(&self) -> Result<(), Arc<StreamingQueryError>> {
        let mut idle = self.record.idle.subscribe();
        // The sources may be being asked just now, about a time before the call.
        let enough = *idle.borrow() + 2;
        tokio::select! {
            ended = self.await_termination() => ended,
            _ = idle.wait_for(|times| *times >= enough) => Ok(()),
        }
    }

    /// Ends the query after the batch that runs, and returns when it has ended.
    pub async fn stop(&self) -> Result<(), Arc<StreamingQueryError>> {
        self.stopper.stop();
        self.await_termination().await
    }
}
