//! `ottla stream`: hands over to `ottla-stream`, a program of its own because of its large dependencies.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

use clap::Args;

use crate::exit::Failure;

/// Run a streaming query: all that follows goes to ottla-stream
#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = HELP)]
pub(crate) struct Stream {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    args: Vec<OsString>,
}

const HELP: &str = "\
Examples:
  ottla stream sql 'SELECT CAST(value AS STRING) AS message FROM STREAM `my-topic`' --checkpoint ./cp
  ottla stream run job.sql --trigger available-now
  ottla stream --help                                    the engine's own help";

impl Stream {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let program = candidates().find(|candidate| candidate.is_file()).ok_or(Failure::NoStream)?;
        hand_over(Command::new(program).args(self.args))
    }
}

/// Where `ottla-stream` may be: beside this program, in PATH, or where cargo puts what it builds.
fn candidates() -> impl Iterator<Item = PathBuf> {
    let file_name = format!("ottla-stream{}", env::consts::EXE_SUFFIX);
    let here = env::current_exe().ok().and_then(|program| Some(program.parent()?.to_owned()));
    let path: Vec<PathBuf> =
        env::var_os("PATH").map(|path| env::split_paths(&path).collect()).unwrap_or_default();
    let target = here.as_ref().and_then(|here| Some(here.parent()?.to_owned()));
    let built = target.into_iter().chain([PathBuf::from("target")]);
    let built = built.flat_map(|target| [target.join("release"), target.join("debug")]);
    here.into_iter().chain(path).chain(built).map(move |folder| folder.join(&file_name))
}

/// Becomes the other program, so that signals and exit codes are its own.
#[cfg(unix)]
fn hand_over(command: &mut Command) -> Result<(), Failure> {
    use std::os::unix::process::CommandExt;

    let path = PathBuf::from(command.get_program());
    Err(Failure::File { path, error: command.exec() })
}

/// Windows cannot replace a process: this one waits, and leaves Ctrl-C, which both get, to the other.
#[cfg(windows)]
fn hand_over(command: &mut Command) -> Result<(), Failure> {
    let path = PathBuf::from(command.get_program());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
    let _guard = runtime.enter();
    let _keeps_ctrl_c_from_ending_this = tokio::signal::windows::ctrl_c().map_err(Failure::Runtime)?;
    let _keeps_ctrl_break_from_ending_this =
        tokio::signal::windows::ctrl_break().map_err(Failure::Runtime)?;
    let status = command.status().map_err(|error| Failure::File { path, error })?;
    match status.code() {
        Some(0) => Ok(()),
        code => Err(Failure::Handed(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))),
    }
}
