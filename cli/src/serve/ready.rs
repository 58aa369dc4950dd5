//! The one line on stdout with which the broker says that it serves.

use std::fmt;

use clap::ValueEnum;
use ottla_broker::Broker;
use serde::Serialize;

use crate::exit::Failure;
use crate::output::{Format, Output};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum ReadyFormat {
    /// A sentence
    #[default]
    Text,
    /// A JSON object with bootstrap_servers, pid and data_dir
    Json,
}

#[derive(Debug, Serialize)]
pub(super) struct Ready {
    bootstrap_servers: String,
    pid: u32,
    data_dir: String,
}

impl Ready {
    pub(super) fn of(broker: &Broker) -> Ready {
        Ready {
            bootstrap_servers: broker.bootstrap_servers(),
            pid: std::process::id(),
            data_dir: broker.data_dir().to_string_lossy().into_owned(),
        }
    }

    pub(super) fn print(&self, format: ReadyFormat) -> Result<(), Failure> {
        let mut output = Output::new(match format {
            ReadyFormat::Text => Format::Text,
            ReadyFormat::Json => Format::Json,
        });
        output.print(self)?;
        output.flush()
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Ready { bootstrap_servers, data_dir, .. } = self;
        write!(f, "Ottla is ready: bootstrap.servers={bootstrap_servers}, data in {data_dir}")
    }
}
