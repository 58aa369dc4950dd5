//! Lines for whoever watches a test run.

use std::io::Write;

/// Writes a line to the console. Unlike `eprintln!`, it is seen when the test passes, too.
pub fn say(line: &str) {
    // A closed console is no reason for a test to fail.
    let _ = writeln!(std::io::stderr(), "    {line}");
}
