//! A Kafka broker as a library: sockets, routes, one handler file per API, coordinators.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let broker = ottla_broker::Broker::start(ottla_broker::Config::ephemeral()).await?;
//! let bootstrap_servers = broker.bootstrap_servers();
//! // … any Kafka client …
//! # Ok(()) }
//! ```
//!
//! The way of a request: [`listener`] → `server` → `connection` → `routes` → `handlers`.

mod broker;
mod cleaner;
mod clock;
pub mod config;
mod connection;
mod context;
mod detach;
mod fair_turns;
mod fetch_sessions;
mod fetch_wait;
mod flush_schedule;
mod groups;
mod handlers;
mod housekeeping;
mod internal_topic;
mod limits;
pub mod listener;
mod partition;
mod routes;
mod server;
mod state;
mod topic_name;
mod topics;
mod transactions;

pub use broker::{Broker, StartError};
pub use clock::Clock;
pub use config::Config;
pub use internal_topic::LoadError;
