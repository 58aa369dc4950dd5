//! Tools that are started before the broker.

use std::io::{BufRead, BufReader, Read};
use std::net::TcpListener;
use std::process::Stdio;

use crate::broker::Broker;
use crate::run::{ottla, run};

#[test]
fn a_tool_waits_for_the_broker_and_says_so_once() {
    let address = free_address();
    let mut command = ottla();
    command.args(["topics", "list", "--bootstrap-server", &address]);
    let mut tool = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(tool.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert!(line.starts_with(&format!("no broker answers at {address}: ")), "{line}");
    assert!(line.ends_with("waiting for it …\n"), "{line}");

    let _broker = Broker::serve(&["--ephemeral", "--listen", &address]);
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!((tool.wait().unwrap().code(), rest.as_str()), (Some(0), ""));
}

#[test]
fn a_consumer_waits_for_its_topic_and_says_so_once() {
    let broker = Broker::ephemeral();
    let mut command = ottla();
    command.args(["consume", "later", "--from-beginning", "--max-messages", "1"]);
    command.args(["--bootstrap-server", &broker.bootstrap_servers]);
    let mut tool = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stderr = BufReader::new(tool.stderr.take().unwrap());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "topic `later` does not exist yet; waiting for it …\n");

    broker.ottla_with_input(&["produce", "later"], b"here\n").ok();
    let output = tool.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"here\n"[..]));
}

#[test]
fn without_waiting_the_exit_code_says_why() {
    let address = free_address();
    let error = run(&["topics", "list", "--no-wait", "--bootstrap-server", &address]).fails_with(3);
    assert!(error.starts_with(&format!("error: no broker answers at {address}: ")), "{error}");
    run(&["topics", "list", "--bootstrap-server", "no-port"]).fails_with(2);
}

/// One that was free a moment ago.
fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
