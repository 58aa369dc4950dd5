//! The two engines, and how each is told to run a query.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::install::{self, Spark};
use super::query::Query;
use crate::artifacts::{self, BuildError};
use crate::peers::RunningBroker;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Engine {
    Ottla,
    Spark,
}

impl Engine {
    pub(super) fn name(self) -> &'static str {
        match self {
            Engine::Ottla => "Ottla",
            Engine::Spark => "PySpark 4.1.1",
        }
    }
}

/// Where they lie on disk.
#[derive(Debug)]
pub(super) struct Engines {
    ottla_stream: PathBuf,
    spark: Option<Spark>,
}

impl Engines {
    pub(super) fn prepare(
        ottla_stream: Option<PathBuf>,
        python: Option<PathBuf>,
        alone: bool,
    ) -> Result<Engines, BuildError> {
        let ottla_stream = match ottla_stream {
            // Each run has a working folder of its own.
            Some(binary) => std::path::absolute(binary)?,
            None => artifacts::build_package("ottla-stream")?,
        };
        let spark = if alone { None } else { Some(install::spark(python)?) };
        Ok(Engines { ottla_stream, spark })
    }

    pub(super) fn all(&self) -> Vec<Engine> {
        [Some(Engine::Ottla), self.spark.as_ref().map(|_| Engine::Spark)].into_iter().flatten().collect()
    }

    pub(super) fn versions(&self) -> String {
        let ottla = artifacts::first_line(Command::new(&self.ottla_stream).arg("--version"));
        if self.spark.is_none() {
            return ottla;
        }
        let java = artifacts::first_line(Command::new("java").arg("--version"));
        format!("{ottla} beside {} local[2] on {java}", Engine::Spark.name())
    }

    /// `None` for an engine that is left out.
    pub(super) fn command(
        &self,
        engine: Engine,
        broker: &RunningBroker,
        query: &Query,
        checkpoint: &Path,
    ) -> Option<Command> {
        match engine {
            Engine::Ottla => Some(self.ottla(broker, query, checkpoint)),
            Engine::Spark => Some(self.spark.as_ref()?.command(broker, query, checkpoint)),
        }
    }

    fn ottla(&self, broker: &RunningBroker, query: &Query, checkpoint: &Path) -> Command {
        let mut command = Command::new(&self.ottla_stream);
        command.args(["sql", &query.sql, "--bootstrap-server", &broker.address.to_string()]);
        command.args(["--starting-offsets", "earliest", "--trigger", "available-now", "--progress"]);
        command.args(["--format", query.sink, "--output-mode", query.output_mode, "--checkpoint"]);
        command.arg(checkpoint);
        if let Some(max) = query.max_offsets_per_trigger {
            command.arg("--set").arg(format!("maxOffsetsPerTrigger={max}"));
        }
        command
    }
}

impl Spark {
    fn command(&self, broker: &RunningBroker, query: &Query, checkpoint: &Path) -> Command {
        let mut command = Command::new(&self.python);
        command.env("SPARK_JARS", &self.jars).arg(&self.program);
        command.args([&broker.address.to_string(), query.topic.name(), &query.sql, query.sink]);
        command.arg(query.output_mode).arg(checkpoint);
        if let Some(max) = query.max_offsets_per_trigger {
            command.arg(format!("maxOffsetsPerTrigger={max}"));
        }
        command
    }
}
