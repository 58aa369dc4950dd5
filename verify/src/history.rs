//! What happened, in the order in which it was seen; as JSON lines on disk.

use std::fmt;
use std::io::{self, BufRead, Write};

use serde::{Deserialize, Serialize};

/// Everything that a run sent and received.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    events: Vec<Event>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    Send(Sent),
    Delivery(Delivery),
}

/// A record that was handed to a producer. A producer's sends to a partition are listed in the order in which it made
/// them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    pub producer: String,
    pub topic: String,
    pub partition: i32,
    /// Names the record; no other record of the partition has it.
    pub id: String,
    /// [`checksum`] of the payload.
    pub checksum: u32,
    pub outcome: Outcome,
    /// Where the broker said it is; known only for some acknowledged sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
}

/// What the producer was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Acked,
    /// Refused or aborted: it must not be delivered.
    Failed,
    /// No answer came: it may be delivered or not.
    Unknown,
}

/// A record that a consumer got. A consumer's deliveries are listed in the order in which it got them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub consumer: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub id: String,
    pub checksum: u32,
}

/// A record across sends and deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId<'a> {
    pub topic: &'a str,
    pub partition: i32,
    pub id: &'a str,
}

/// Why a file is not a history.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    #[error("cannot read line {line}: {source}")]
    Io { line: usize, source: io::Error },
    #[error("line {line} is not an event: {source}")]
    Event { line: usize, source: serde_json::Error },
}

/// CRC-32C of a payload. Unlike a batch's own checksum it goes with the record from end to end.
pub fn checksum(payload: &[u8]) -> u32 {
    crc32c::crc32c(payload)
}

impl History {
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    pub fn sends(&self) -> impl Iterator<Item = &Sent> {
        self.events.iter().filter_map(|event| if let Event::Send(send) = event { Some(send) } else { None })
    }

    pub fn deliveries(&self) -> impl Iterator<Item = &Delivery> {
        self.events
            .iter()
            .filter_map(|event| if let Event::Delivery(delivery) = event { Some(delivery) } else { None })
    }

    pub fn acked(&self) -> impl Iterator<Item = &Sent> {
        self.sends().filter(|send| send.outcome == Outcome::Acked)
    }

    /// Reads one event a line; empty lines are skipped.
    pub fn read(lines: impl BufRead) -> Result<History, HistoryError> {
        let mut history = History::default();
        for (at, text) in lines.lines().enumerate() {
            let line = at + 1;
            let text = text.map_err(|source| HistoryError::Io { line, source })?;
            if !text.trim().is_empty() {
                history.push(
                    serde_json::from_str(&text).map_err(|source| HistoryError::Event { line, source })?,
                );
            }
        }
        Ok(history)
    }

    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        for event in &self.events {
            serde_json::to_writer(&mut out, event)?;
            out.write_all(b"\n")?;
        }
        out.flush()
    }
}

impl FromIterator<Event> for History {
    fn from_iter<I: IntoIterator<Item = Event>>(events: I) -> History {
        History { events: events.into_iter().collect() }
    }
}

impl Sent {
    pub fn record(&self) -> RecordId<'_> {
        RecordId { topic: &self.topic, partition: self.partition, id: &self.id }
    }
}

impl Delivery {
    pub fn record(&self) -> RecordId<'_> {
        RecordId { topic: &self.topic, partition: self.partition, id: &self.id }
    }
}

impl fmt::Display for RecordId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}-{}", self.id, self.topic, self.partition)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checks::planted::{delivery, send};

    #[test]
    fn a_history_comes_back_from_its_lines() {
        let history: History = [send("a"), delivery("c", 0, "a")].into_iter().collect();
        let mut lines = Vec::new();
        history.write(&mut lines).unwrap();
        assert_eq!(lines.iter().filter(|byte| **byte == b'\n').count(), 2);
        assert_eq!(History::read(&lines[..]).unwrap(), history);
    }

    #[test]
    fn a_line_that_is_no_event_is_named() {
        let error = History::read(&b"\n{\"event\":\"nothing\"}\n"[..]).unwrap_err();
        assert!(error.to_string().starts_with("line 2 is not an event"), "{error}");
    }
}
