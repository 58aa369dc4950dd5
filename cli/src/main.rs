//! The `ottla` program: the broker, and the tools for it and for any Kafka.

mod connect;
mod exit;
mod logging;
mod output;
mod progress;
mod table;

mod consume;
mod groups;
mod log;
mod offsets;
mod produce;
mod serve;
mod stream;
mod topics;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use exit::Failure;

/// A tiny house for your Kafka: a broker and its tools in one program.
///
/// Without a command it serves: `ottla` is `ottla serve`.
#[derive(Debug, Parser)]
#[command(name = "ottla", version, after_help = exit::HELP, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    serve: serve::Serve,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Topics(topics::Topics),
    Produce(produce::Produce),
    Consume(consume::Consume),
    Groups(groups::Groups),
    Offsets(offsets::Offsets),
    Log(log::Log),
    Stream(stream::Stream),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    match cli.command.unwrap_or(Command::Serve(cli.serve)) {
        Command::Serve(serve) => serve.run(),
        Command::Topics(topics) => connect::block_on(topics.run()),
        Command::Produce(produce) => connect::block_on(produce.run()),
        Command::Consume(consume) => connect::block_on(consume.run()),
        Command::Groups(groups) => connect::block_on(groups.run()),
        Command::Offsets(offsets) => connect::block_on(offsets.run()),
        Command::Log(log) => log.run(),
        Command::Stream(stream) => stream.run(),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn serving_is_the_default() {
        let cli = Cli::try_parse_from(["ottla", "--listen", ":0"]).unwrap();
        assert!(cli.command.is_none());
        let cli = Cli::try_parse_from(["ottla", "serve", "--listen", ":0"]).unwrap();
        assert!(matches!(cli.command, Some(Command::Serve(_))));
    }
}
