//! Which broker a tool talks to, and how it waits for one that is not there yet.

use std::future::Future;

use clap::Args;
use ottla_client::{Client, ClientConfig};

use crate::exit::Failure;

#[derive(Debug, Args)]
pub(crate) struct Bootstrap {
    /// Brokers to connect to, separated by commas; one that answers is enough
    #[arg(long, value_name = "HOST:PORT", default_value = "localhost:9092", global = true)]
    bootstrap_server: String,
    /// Fail at once if no broker answers, instead of waiting for one
    #[arg(long, global = true)]
    no_wait: bool,
}

impl Bootstrap {
    /// Waits for a broker, and says so once.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let config = ClientConfig::new(&self.bootstrap_server).with_client_id("ottla");
        let config = match self.no_wait {
            true => config,
            false => config.waiting(|error| eprintln!("{error}; waiting for it …")),
        };
        Ok(Client::connect(config).await?)
    }
}

/// Tools do one thing at a time: one thread is enough, and starts soonest.
pub(crate) fn block_on(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    let result = runtime.block_on(command);
    // A thread that waits for the terminal's next line must not hold up the end.
    runtime.shutdown_background();
    result
}
