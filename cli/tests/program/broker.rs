//! `ottla serve` in a process of its own, gone when dropped.

use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Stdio};

use serde_json::Value;

use crate::run::{Ran, ottla, run, run_with_input};

pub(crate) struct Broker {
    child: Child,
    stdout: BufReader<ChildStdout>,
    pub(crate) bootstrap_servers: String,
    pub(crate) data_dir: PathBuf,
    /// A killed broker leaves its temporary directory behind.
    is_ephemeral: bool,
}

impl Broker {
    /// On a free port, with a data directory that goes with it.
    pub(crate) fn ephemeral() -> Broker {
        Broker::serve(&["--ephemeral"])
    }

    /// On a free port unless `args` say otherwise.
    pub(crate) fn serve(args: &[&str]) -> Broker {
        let listen: &[&str] = if args.contains(&"--listen") { &[] } else { &["--listen", "localhost:0"] };
        let mut command = ottla();
        command.args(["serve", "--ready", "json"]).args(listen).args(args).env("OTTLA_LOG", "warn");
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let ready = read_json_line(&mut stdout);
        assert_eq!(ready["pid"], child.id());
        let bootstrap_servers = ready["bootstrap_servers"].as_str().unwrap().to_owned();
        let data_dir = ready["data_dir"].as_str().unwrap().into();
        Broker { child, stdout, bootstrap_servers, data_dir, is_ephemeral: args.contains(&"--ephemeral") }
    }

    /// Runs a tool against this broker.
    pub(crate) fn ottla(&self, args: &[&str]) -> Ran {
        run(&self.with_bootstrap(args))
    }

    pub(crate) fn ottla_with_input(&self, args: &[&str], input: &[u8]) -> Ran {
        run_with_input(&self.with_bootstrap(args), input)
    }

    fn with_bootstrap<'a>(&'a self, args: &[&'a str]) -> Vec<&'a str> {
        [args, &["--bootstrap-server", &self.bootstrap_servers]].concat()
    }

    /// Asks it to end, as a service manager does, and waits until it has.
    #[cfg(unix)]
    pub(crate) fn terminate(mut self) -> std::process::ExitStatus {
        let kill = std::process::Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(kill.success());
        self.child.wait().unwrap()
    }
}

pub(crate) fn read_json_line(stdout: &mut impl BufRead) -> Value {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap_or_else(|error| panic!("ready line {line:?}: {error}"))
}

impl Drop for Broker {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let mut rest = String::new();
        let _ = self.stdout.read_to_string(&mut rest);
        let is_silent = rest.is_empty() || std::thread::panicking();
        if self.is_ephemeral {
            let _ = std::fs::remove_dir_all(&self.data_dir);
        }
        assert!(is_silent, "stdout is for the ready line alone, but there is {rest:?}");
    }
}
