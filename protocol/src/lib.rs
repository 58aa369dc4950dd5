//! Kafka's wire protocol: bytes to requests, responses and record batches, and back. No sockets, files or tokio.
//!
//! A request comes in as a [`frame`], [`decode_header`] says what it is, [`decode_body`] turns the rest into one of the
//! [`messages`], and [`encode_response`] makes an [`Encoded`] frame of the answer; a client goes the other way round.
//! Record data passes through untouched: [`batch`] looks into it where it lies, [`compression`] opens it, and
//! [`records`] knows the records that Kafka writes for itself.
//!
//! The message structs come from the `kafka-protocol` crate, which is generated from Kafka's own schemas. Everything
//! that reads bytes from outside returns typed errors, and checks a claimed length or count against the bytes that are
//! really there before it allocates.
//!
//! ```
//! use ottla_protocol::Compression;
//! use ottla_protocol::batch::{BatchBuilder, RecordBatch};
//!
//! let mut builder = BatchBuilder::new(Compression::Lz4).with_base_offset(100);
//! builder.push(1_700_000_000_000, Some(b"key"), Some(b"value"))?;
//! let bytes = builder.build()?;
//!
//! let (batch, rest) = RecordBatch::parse(&bytes)?;
//! batch.verify_crc()?;
//! for record in &batch.records(1 << 20)? {
//!     let record = record?;
//!     assert_eq!((record.offset, record.value), (100, Some(&b"value"[..])));
//! }
//! assert!(rest.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod batch;
pub mod compression;
pub mod frame;
pub mod records;

mod encoded;
mod error;
mod error_code;
mod request;
mod response;
mod shape;
mod varint;

pub use kafka_protocol::ResponseError as ErrorCode;
pub use kafka_protocol::messages;
pub use kafka_protocol::protocol::{StrBytes, VersionRange};

pub use compression::Compression;
pub use encoded::Encoded;
pub use error::{DecodeError, EncodeError};
pub use error_code::KafkaName;
pub use frame::{FrameDecoder, FrameError};
pub use request::{CheckedBody, RequestHeader, decode_body, decode_header, encode_request};
pub use response::{decode_response, encode_response};
pub use shape::{Fault, Malformed, Request, Shaped, sample_message};

/// The producer id of a batch that no idempotent producer wrote.
pub const NO_PRODUCER_ID: i64 = -1;
/// The producer epoch that goes with [`NO_PRODUCER_ID`].
pub const NO_PRODUCER_EPOCH: i16 = -1;
/// The base sequence that goes with [`NO_PRODUCER_ID`].
pub const NO_SEQUENCE: i32 = -1;
/// The timestamp of a record or batch that has none.
pub const NO_TIMESTAMP: i64 = -1;
/// The leader epoch that a client writes, and that stands where none is known.
pub const NO_LEADER_EPOCH: i32 = -1;
