//! The broker's process: its one line, its errors, its end.

use std::net::TcpListener;

use crate::broker::Broker;
use crate::run::run;

#[test]
fn the_ready_line_is_a_sentence_or_json() {
    let dir = tempfile::tempdir().unwrap();
    let broker = Broker::serve(&["--data-dir", dir.path().to_str().unwrap()]);
    assert_eq!(broker.data_dir, dir.path());
    let port = broker.bootstrap_servers.strip_prefix("localhost:").unwrap();
    assert_ne!(port.parse::<u16>().unwrap(), 0);
}

#[test]
fn each_listener_is_advertised() {
    let listen = ["--listen", "127.0.0.1:0", "--listen", ":0", "--ephemeral"];
    let advertise = ["--advertise", "127.0.0.1:0", "--advertise", "example.test:1234"];
    let broker = Broker::serve(&[&listen[..], &advertise].concat());
    let (first, second) = broker.bootstrap_servers.split_once(',').unwrap();
    assert!(first.starts_with("127.0.0.1:"), "{first}");
    assert_eq!(second, "example.test:1234");
}

#[test]
fn an_address_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = run(&["serve", "--ephemeral", "--listen", &address]).fails_with(6);
    assert!(error.contains(&format!("cannot listen on {address}: the address is in use")), "{error}");
}

#[test]
fn a_directory_in_use_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let data_dir = dir.path().to_str().unwrap();
    let _first = Broker::serve(&["--data-dir", data_dir]);
    let error = run(&["serve", "--listen", "localhost:0", "--data-dir", data_dir]).fails_with(7);
    assert!(error.contains(data_dir) && error.contains("in use by another broker"), "{error}");
}

#[test]
fn a_bad_value_is_an_error_before_anything_starts() {
    let error = run(&["serve", "--ephemeral", "--override", "num.partitions=none"]).fails_with(8);
    assert!(error.contains("--override num.partitions=none"), "{error}");
    assert!(error.contains("expected a 32-bit integer"), "{error}");

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    std::fs::write(&file, "# mine\nnode.id=1\nlog.segment.bytes=big\n").unwrap();
    let error = run(&["serve", "--ephemeral", "--config", file.to_str().unwrap()]).fails_with(8);
    assert!(error.contains("server.properties, line 3") && error.contains("log.segment.bytes"), "{error}");

    run(&["serve", "--override", "num.partitions"]).fails_with(2);
    run(&["serve", "--listen", "nowhere"]).fails_with(2);
    run(&["serve", "--ephemeral", "--advertise", "a:1", "--advertise", "b:2"]).fails_with(8);
}

#[test]
fn settings_come_from_the_file_and_overrides() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("server.properties");
    std::fs::write(&file, "num.partitions=2\r\nauto.create.topics.enable=false\r\n").unwrap();
    let broker = Broker::serve(&[
        "--ephemeral",
        "--config",
        file.to_str().unwrap(),
        "--override",
        "num.partitions=4",
        "--override",
        "num.partition=9",
    ]);
    broker.ottla(&["topics", "create", "t"]).ok();
    assert_eq!(broker.ottla(&["topics", "list", "--format", "json"]).json()[0]["partitions"], 4);
}

#[cfg(unix)]
mod unix {
    use std::io::{BufReader, Read};
    use std::process::{Command, Stdio};

    use crate::broker::{Broker, read_json_line};

    #[test]
    fn sigterm_ends_it_cleanly_and_the_data_is_there_again() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("with spaces, and ünïcode");
        let args = ["--data-dir", data_dir.to_str().unwrap()];
        let broker = Broker::serve(&args);
        broker.ottla_with_input(&["produce", "t"], b"one\ntwo\n").ok();
        assert_eq!(broker.terminate().code(), Some(0));
        let broker = Broker::serve(&args);
        assert_eq!(broker.ottla(&["consume", "t", "--from-beginning", "--until-end"]).ok(), "one\ntwo\n");
    }

    #[test]
    fn an_ephemeral_broker_leaves_nothing_behind() {
        let broker = Broker::ephemeral();
        let data_dir = broker.data_dir.clone();
        assert!(data_dir.is_dir());
        assert_eq!(broker.terminate().code(), Some(0));
        assert!(!data_dir.exists());
    }

    #[test]
    fn it_ends_with_its_parent() {
        let serve = "serve --ephemeral --listen localhost:0 --ready json --exit-with-parent";
        let script = format!("\"$0\" {serve} & read line");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, env!("CARGO_BIN_EXE_ottla")]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut shell = shell.spawn().unwrap();
        let mut stdout = BufReader::new(shell.stdout.take().unwrap());
        let ready = read_json_line(&mut stdout);
        drop(shell.stdin.take());
        shell.wait().unwrap();
        // The broker holds the other end of this pipe until it is gone.
        stdout.read_to_string(&mut String::new()).unwrap();
        assert!(!std::path::Path::new(ready["data_dir"].as_str().unwrap()).exists());
    }
}

#[cfg(target_os = "linux")]
#[test]
fn the_limit_of_open_files_is_raised_to_what_the_system_allows() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    let serve = "ulimit -S -n 100 && exec \"$0\" serve --data-dir \"$1\" --listen localhost:0 --ready json";
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", serve, env!("CARGO_BIN_EXE_ottla")]).arg(dir.path());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut broker = command.spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(broker.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", broker.id())).unwrap();
    broker.kill().unwrap();
    broker.wait().unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let [soft, hard] = [3, 4].map(|column| line.split_whitespace().nth(column).unwrap());
    assert_eq!(soft, hard, "{line}");
}
