//! A progress bar on stderr where that is a terminal; nothing otherwise.

use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressStyle};

/// Progress through `total_bytes`, or through a stream whose length is not known.
pub(crate) fn of_bytes(total_bytes: Option<u64>) -> ProgressBar {
    if !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let (bar, template) = match total_bytes {
        Some(total) => {
            (ProgressBar::new(total), "{bar:40} {bytes}/{total_bytes} {bytes_per_sec} {msg} (done in {eta})")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {bytes_per_sec} {msg}"),
    };
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
