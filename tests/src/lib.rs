//! The harness for tests with other people's clients, and for tests that cross crates.
//!
//! A test starts a [`Server`], drives it with foreign programs, and compares what they print:
//! - [`Program`] runs one to its end, [`Agent`] holds a conversation with one;
//! - [`KafkaTools`] are Kafka's own command-line tools, [`ClientLibrary`] the client libraries;
//! - [`copier`] and [`streams_app`] are programs that read and write in transactions, [`killable`] a broker to kill under them;
//! - [`runtime`] skips a test whose runtime this machine lacks, [`install`] fetches what it needs, once.
//!
//! The server is Ottla, unless `OTTLA_TEST_KAFKA` says otherwise. So a test can be tried on the specification itself,
//! which is Kafka: `OTTLA_TEST_KAFKA=apache` starts one, `OTTLA_TEST_KAFKA=host:port` takes one that runs.

pub mod agent;
pub mod apache_kafka;
pub mod binary;
pub mod client_library;
pub mod console;
pub mod copier;
pub mod dump_log;
pub mod install;
mod java;
pub mod kafka_release;
pub mod kafka_tools;
pub mod killable;
pub mod open_files;
pub mod ottla_process;
pub mod partition;
pub mod postgres;
pub mod program;
pub mod python;
pub mod random;
pub mod runtime;
pub mod server;
pub mod spark;
pub mod streaming;
pub mod streams_app;
pub mod timestamp;
pub mod view;
pub mod wire;

pub use agent::{Agent, Record};
pub use apache_kafka::{ApacheKafka, Quorum};
pub use client_library::ClientLibrary;
pub use kafka_release::KafkaRelease;
pub use kafka_tools::{KafkaTools, Tool};
pub use postgres::Postgres;
pub use program::{Finished, Program};
pub use runtime::Runtime;
pub use server::Server;
pub use view::View;
