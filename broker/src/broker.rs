//! The handle on a running broker.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_storage::{CloseError, DataDir, DataDirError, OpenError};
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::config::{BrokerSettings, Config, DataPlace};
use crate::fair_turns::FairTurns;
use crate::housekeeping;
use crate::internal_topic::LoadError;
use crate::limits::ConnectionLimits;
use crate::listener::{BindError, Endpoint, Listener};
use crate::server::Server;
use crate::state::BrokerState;
use crate::topics::Topics;

/// A running broker. Dropped, it is gone: its port is closed, and a temporary data directory is removed.
pub struct Broker {
    state: Arc<BrokerState>,
    advertised: Vec<Arc<Endpoint>>,
    /// Accepts, connections and background work; they end with this set.
    tasks: JoinSet<()>,
    turns: Arc<FairTurns>,
    logs_checked: watch::Receiver<()>,
    is_closed: bool,
    /// Last, so that the directory is removed when nothing of this handle uses it any more.
    _temporary: Option<TempDir>,
}

/// Why a broker cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("no listeners: give at least one address to listen on, as localhost:9092")]
    NoListener,
    #[error("{advertised} advertised.listeners for {listeners} listeners: give one for each, or none")]
    AdvertisedCount { listeners: usize, advertised: usize },
    #[error("cannot make a temporary directory: {0}")]
    Temporary(io::Error),
    #[error("cannot load groups, offsets and transactions: {0}")]
    Load(#[from] LoadError),
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    #[error(transparent)]
    Log(#[from] OpenError),
}

impl Broker {
    /// Starts a broker on the current tokio runtime. It serves when this returns.
    pub async fn start(mut config: Config) -> Result<Broker, StartError> {
        let listeners = bind(&config).await?;
        let BrokerSettings { max_connections, max_connections_per_ip, .. } = config.settings;
        let limits = Arc::new(ConnectionLimits::new(max_connections, max_connections_per_ip));
        let (path, temporary) = data_place(&config)?;
        config.settings.log_dirs = path.to_string_lossy().into_owned();
        let data_dir = DataDir::open(&path, config.settings.node_id, config.settings.durability())?;
        let topics = Topics::open(data_dir, &config.settings, config.clock.clone())?;
        let state = Arc::new(BrokerState::new(config, topics)?);
        let mut tasks = JoinSet::new();
        let logs_checked = check_logs(&state.topics);
        tasks.spawn(housekeeping::run(state.clone()));
        tasks.spawn(housekeeping::run_retention(state.clone()));
        tasks.spawn(state.topics.flush_schedule().run());
        tasks.spawn(state.topics.cleaner().run(Arc::clone(&state.topics), state.config.settings.clone()));
        let turns = Arc::new(FairTurns::new(state.clock.clone(), &Handle::current()));
        let mut advertised = Vec::new();
        for listener in listeners {
            for socket in listener.sockets {
                let (advertised, broker) = (listener.advertised.clone(), state.clone());
                let (limits, turns) = (limits.clone(), Arc::clone(&turns));
                tasks.spawn(Server { socket, advertised, broker, limits, turns }.run());
            }
            advertised.push(listener.advertised);
        }
        Ok(Broker { state, advertised, tasks, turns, logs_checked, is_closed: false, _temporary: temporary })
    }

    /// What clients connect to: `host:port`, one for each listener, separated by commas.
    pub fn bootstrap_servers(&self) -> String {
        self.advertised.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }

    /// Where the data is.
    pub fn data_dir(&self) -> &Path {
        self.state.topics.directory()
    }

    /// Brings every log to the disk, and notes how far, so that the next start has little to check even after a kill.
    /// Happens by itself every `log.flush.offset.checkpoint.interval.ms`.
    pub async fn checkpoint(&self) -> Result<(), CloseError> {
        self.work(|state| state.topics.flush()).await
    }

    /// Waits until the disk has every record that is to be there by now: of `flush.ms`, and of segments that have ended.
    /// Who moves a manual clock knows by this when the broker has done what came due.
    pub async fn due_flushes_done(&self) {
        self.state.topics.flush_schedule().settled().await;
    }

    /// Drops every segment whose retention is over. Happens by itself every `log.retention.check.interval.ms`.
    pub async fn apply_retention(&self) {
        self.work(|state| state.topics.delete_old_segments()).await;
    }

    /// Compacts every topic that asks for it and is dirty enough. Happens by itself, but not more often than every
    /// `log.cleaner.backoff.ms`.
    pub async fn compact(&self) {
        self.work(|state| state.topics.cleaner().clean_all(&state.topics, &state.config.settings)).await;
    }

    /// Away from the connections, for which it takes too long.
    async fn work<T: Send + 'static>(&self, work: impl FnOnce(&BrokerState) -> T + Send + 'static) -> T {
        let state = Arc::clone(&self.state);
        let done = tokio::task::spawn_blocking(move || work(&state)).await;
        // It is never cancelled.
        done.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
    }

    /// Waits until every log that a kill has left was looked at. Requests need not wait for it: a log that is used is
    /// checked first.
    pub async fn logs_checked(&self) {
        while self.logs_checked.clone().changed().await.is_ok() {}
    }

    /// Ends connections and background work, then closes the logs, so that the next start has nothing to recover.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
        self.turns.end().await;
        self.close();
    }

    fn close(&mut self) {
        if std::mem::replace(&mut self.is_closed, true) {
            return;
        }
        self.state.topics.cleaner().stop();
        if let Err(error) = self.state.topics.close() {
            tracing::warn!("the next start has to recover: {error}");
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.tasks.abort_all();
        self.close();
    }
}

/// Looks at what a kill has left, so that damage is told of and the next stop is a clean one. A log that is used before
/// its turn is checked by whoever uses it; one that is closed before is left to the next start. The sender goes when all
/// are done.
fn check_logs(topics: &Topics) -> watch::Receiver<()> {
    let (done, all_checked) = watch::channel(());
    let unchecked = topics.unchecked_logs();
    if !unchecked.is_empty() {
        tokio::task::spawn_blocking(move || {
            for log in unchecked {
                if let Err(error) = log.check_files() {
                    tracing::error!("{error}; requests to this partition are refused");
                }
            }
            drop(done);
        });
    }
    all_checked
}

/// The data directory, and its guard if it goes with the broker.
fn data_place(config: &Config) -> Result<(PathBuf, Option<TempDir>), StartError> {
    match config.data {
        DataPlace::LogDirs => Ok((PathBuf::from(&config.settings.log_dirs), None)),
        DataPlace::Ephemeral => {
            let temporary =
                tempfile::Builder::new().prefix("ottla-").tempdir().map_err(StartError::Temporary)?;
            Ok((temporary.path().to_owned(), Some(temporary)))
        }
    }
}

async fn bind(config: &Config) -> Result<Vec<Listener>, StartError> {
    let (listeners, advertised) = (&config.settings.listeners, &config.settings.advertised_listeners);
    if !advertised.is_empty() && advertised.len() != listeners.len() {
        return Err(StartError::AdvertisedCount { listeners: listeners.len(), advertised: advertised.len() });
    }
    if listeners.is_empty() {
        return Err(StartError::NoListener);
    }
    let mut bound = Vec::with_capacity(listeners.len());
    for (at, address) in listeners.iter().enumerate() {
        bound.push(Listener::bind(address, advertised.get(at)).await?);
    }
    Ok(bound)
}
