//! A record as a line: as `kafka-console-consumer` prints it, or as JSON.

use std::io::{self, Write};

use clap::Args;
use ottla_protocol::batch::{BatchHeader, Header, Record, TimestampType};
use serde::Serialize;

use crate::exit::Failure;
use crate::output::{Format, JsonBytes, Output};

#[derive(Debug, Clone, Args)]
pub(super) struct RecordFormat {
    /// Print the timestamp, such as CreateTime:1767225600000
    #[arg(long)]
    print_timestamp: bool,
    /// Print the partition, such as Partition:0
    #[arg(long)]
    print_partition: bool,
    /// Print the offset, such as Offset:42
    #[arg(long)]
    print_offset: bool,
    /// Print the headers, such as trace:7,origin:lab
    #[arg(long)]
    print_headers: bool,
    /// Print the key
    #[arg(long)]
    print_key: bool,
    /// What stands between the parts of a line
    #[arg(long, value_name = "TEXT", default_value = "\t")]
    separator: String,
}

#[derive(Serialize)]
struct JsonRecord<'a> {
    topic: &'a str,
    partition: i32,
    offset: i64,
    timestamp_ms: i64,
    key: Option<JsonBytes<'a>>,
    value: Option<JsonBytes<'a>>,
    headers: Vec<JsonHeader<'a>>,
}

#[derive(Serialize)]
struct JsonHeader<'a> {
    name: JsonBytes<'a>,
    value: Option<JsonBytes<'a>>,
}

impl RecordFormat {
    pub(super) fn print(
        &self,
        topic: &str,
        partition: i32,
        batch: &BatchHeader,
        record: &Record<'_>,
        output: &mut Output,
    ) -> Result<(), Failure> {
        match output.format() {
            Format::Text => output.write(|out| self.write_line(partition, batch, record, out)),
            Format::Json => output.json(&JsonRecord {
                topic,
                partition,
                offset: record.offset,
                timestamp_ms: record.timestamp,
                key: record.key.map(JsonBytes),
                value: record.value.map(JsonBytes),
                headers: record.headers.map(JsonHeader::from).collect(),
            }),
        }
    }

    /// The parts stand in the order of Kafka's `DefaultMessageFormatter`.
    fn write_line(
        &self,
        partition: i32,
        batch: &BatchHeader,
        record: &Record<'_>,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let separator = self.separator.as_bytes();
        if self.print_timestamp {
            write_timestamp(batch.timestamp_type(), record.timestamp, out)?;
            out.write_all(separator)?;
        }
        if self.print_partition {
            write!(out, "Partition:{partition}")?;
            out.write_all(separator)?;
        }
        if self.print_offset {
            write!(out, "Offset:{}", record.offset)?;
            out.write_all(separator)?;
        }
        if self.print_headers {
            write_headers(record, out)?;
            out.write_all(separator)?;
        }
        if self.print_key {
            out.write_all(record.key.unwrap_or(b"null"))?;
            out.write_all(separator)?;
        }
        out.write_all(record.value.unwrap_or(b"null"))?;
        out.write_all(b"\n")
    }
}

fn write_timestamp(timestamp_type: TimestampType, timestamp_ms: i64, out: &mut dyn Write) -> io::Result<()> {
    match (timestamp_type, timestamp_ms) {
        (_, ottla_protocol::NO_TIMESTAMP) => out.write_all(b"NO_TIMESTAMP"),
        (TimestampType::CreateTime, _) => write!(out, "CreateTime:{timestamp_ms}"),
        (TimestampType::LogAppendTime, _) => write!(out, "LogAppendTime:{timestamp_ms}"),
    }
}

fn write_headers(record: &Record<'_>, out: &mut dyn Write) -> io::Result<()> {
    if record.headers.is_empty() {
        return out.write_all(b"NO_HEADERS");
    }
    for (position, header) in record.headers.enumerate() {
        out.write_all(if position == 0 { b"" } else { b"," })?;
        out.write_all(header.key)?;
        out.write_all(b":")?;
        out.write_all(header.value.unwrap_or(b"null"))?;
    }
    Ok(())
}

impl<'a> From<Header<'a>> for JsonHeader<'a> {
    fn from(header: Header<'a>) -> JsonHeader<'a> {
        JsonHeader { name: JsonBytes(header.key), value: header.value.map(JsonBytes) }
    }
}
