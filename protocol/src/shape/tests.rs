//! Holds every shape to the decoder and encoder of `kafka-protocol`, in every version.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Field, Kind, Request, Shaped};
use crate::request::decode;
use crate::varint;

macro_rules! every_api {
    ($check:ident, $input:expr) => {
        every_api!($check, $input;
            ProduceRequest FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest
            FindCoordinatorRequest JoinGroupRequest HeartbeatRequest LeaveGroupRequest SyncGroupRequest
            DescribeGroupsRequest ListGroupsRequest ApiVersionsRequest CreateTopicsRequest DeleteTopicsRequest
            DeleteRecordsRequest InitProducerIdRequest OffsetForLeaderEpochRequest DescribeConfigsRequest
            AlterConfigsRequest DescribeLogDirsRequest CreatePartitionsRequest DeleteGroupsRequest
            IncrementalAlterConfigsRequest OffsetDeleteRequest DescribeClusterRequest
            DescribeTopicPartitionsRequest)
    };
    ($check:ident, $input:expr; $($request:ident)*) => {$(
        $check::<$request, $request>($input)?;
        $check::<$request, <$request as protocol::Request>::Response>($input)?;
    )*};
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn bytes_of_a_shape_decode_and_encode_to_themselves(entropy in vec(any::<u8>(), 0..600)) {
        every_api!(round_trips, &entropy);
    }

    #[test]
    fn a_lying_length_anywhere_is_survived(
        entropy in vec(any::<u8>(), 0..200),
        at: prop::sample::Index,
        lie in prop::sample::select(&LIES[..]),
    ) {
        every_api!(survives_lie, (&entropy, at, lie));
    }

    #[test]
    fn random_bodies_are_survived(body in vec(any::<u8>(), 0..300)) {
        every_api!(survives, &body);
    }
}

/// Large counts as an `i32`, as an `i16`, and as a compact length, and a negative one.
const LIES: [&[u8]; 5] =
    [b"\x7f\xff\xff\xff", b"\x7f\xff", b"\xff\xff\xff\xff\x0f", b"\x80\0\0\0", b"\xff\xff\xff\x7f"];

#[test]
fn a_lying_count_is_named() {
    let body = Bytes::from_static(b"\xff\xff\x7f\xff\xff\xff");
    let refused = decode::<DescribeGroupsRequest, DescribeGroupsRequest>(body.slice(2..), 0).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "DescribeGroups version 0 is malformed at byte 4: an array claims 2147483647 elements but 0 bytes are left"
    );
}

#[test]
fn a_message_of_nothing_but_small_change_is_refused() {
    let mut body = Vec::new();
    varint::put_u32(&mut body, 5_000_001);
    body.resize(body.len() + 5_000_000, 1);
    let refused = decode::<DescribeGroupsRequest, DescribeGroupsRequest>(body.into(), 5).unwrap_err();
    assert!(refused.to_string().ends_with("more than 4194304 array elements"), "{refused}");

    let mut tags = Vec::from(b"\0\0");
    varint::put_u32(&mut tags, 70_000);
    tags.resize(tags.len() + 140_000, 0);
    let refused = decode::<ListGroupsRequest, ListGroupsRequest>(tags.into(), 5).unwrap_err();
    assert!(refused.to_string().ends_with("more than 65536 unknown tagged fields"), "{refused}");
}

fn round_trips<R: Request, M: Shaped>(entropy: &[u8]) -> Result<(), TestCaseError> {
    for version in M::VERSIONS.min..=M::VERSIONS.max {
        let bytes = body_of::<M>(version, entropy);
        let message: M = decode::<R, M>(bytes.clone(), version).map_err(|error| {
            TestCaseError::fail(format!("{}: {error}, in {bytes:?}", std::any::type_name::<M>()))
        })?;
        let mut encoded = BytesMut::new();
        message.encode(&mut encoded, version).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(encoded.freeze(), bytes, "{} version {}", std::any::type_name::<M>(), version);
    }
    Ok(())
}

fn survives_lie<R: Request, M: Shaped>(
    (entropy, at, lie): (&[u8], prop::sample::Index, &[u8]),
) -> Result<(), TestCaseError> {
    for version in M::VERSIONS.min..=M::VERSIONS.max {
        let mut bytes = body_of::<M>(version, entropy).to_vec();
        let at = at.index(bytes.len() + 1);
        let end = bytes.len().min(at + lie.len());
        bytes.splice(at..end, lie.iter().copied());
        let _ok_or_typed_error = decode::<R, M>(Bytes::from(bytes), version);
    }
    Ok(())
}

fn survives<R: Request, M: Shaped>(body: &[u8]) -> Result<(), TestCaseError> {
    for version in M::VERSIONS.min - 1..=M::VERSIONS.max + 1 {
        let _ok_or_typed_error = decode::<R, M>(Bytes::copy_from_slice(body), version);
    }
    Ok(())
}

fn body_of<M: Shaped>(version: i16, entropy: &[u8]) -> Bytes {
    let mut writer =
        Writer { out: Vec::new(), entropy, version, flexible: M::SHAPE.is_flexible(version), in_tag: false };
    writer.fields(M::SHAPE.fields);
    writer.out.into()
}

/// Writes a valid message of a shape; the choices come from `entropy`, and are zero when it is used up.
struct Writer<'a> {
    out: Vec<u8>,
    entropy: &'a [u8],
    version: i16,
    flexible: bool,
    in_tag: bool,
}

impl Writer<'_> {
    fn fields(&mut self, fields: &[Field]) {
        let present = fields.iter().filter(|field| field.is_in(self.version));
        let (tagged, plain): (Vec<&Field>, Vec<&Field>) = present.partition(|field| field.tag.is_some());
        for field in plain {
            self.value(field.kind);
        }
        if self.flexible {
            self.tagged_fields(&tagged);
        }
    }

    fn tagged_fields(&mut self, known: &[&Field]) {
        let chosen: Vec<_> = known.iter().filter(|_| self.choose(2) == 1).collect();
        let unknown = self.choose(2);
        varint::put_u32(&mut self.out, (chosen.len() + unknown) as u32);
        for field in chosen {
            let outer = std::mem::take(&mut self.out);
            let outer_in_tag = std::mem::replace(&mut self.in_tag, true);
            self.value(field.kind);
            let value = std::mem::replace(&mut self.out, outer);
            self.in_tag = outer_in_tag;
            self.tagged_field(field.tag.unwrap_or_default(), &value);
        }
        if unknown == 1 {
            self.tagged_field(1000, b"unknown");
        }
    }

    fn tagged_field(&mut self, tag: u32, value: &[u8]) {
        varint::put_u32(&mut self.out, tag);
        varint::put_u32(&mut self.out, value.len() as u32);
        self.out.extend_from_slice(value);
    }

    fn value(&mut self, kind: Kind) {
        match kind {
            // Starts with 1, which makes a boolean true and no number a default, for a tagged default is left out.
            Kind::Fixed(size) => {
                self.out.push(1);
                (1..size).for_each(|_| self.push_chosen());
            }
            Kind::Str => {
                let length = self.choose(5);
                self.length(length, 2);
                self.out.extend_from_slice(&b"abcd"[..length]);
            }
            Kind::Bytes | Kind::Records => {
                let length = self.choose(5);
                self.length(length, 4);
                (0..length).for_each(|_| self.push_chosen());
            }
            Kind::Group(fields) => self.fields(fields),
            Kind::Nullable(fields) => self.nullable(fields),
            Kind::Array(fields) => (0..self.count()).for_each(|_| self.fields(fields)),
            Kind::List(element) => (0..self.count()).for_each(|_| self.value(element.kind)),
        }
    }

    fn nullable(&mut self, fields: &[Field]) {
        match self.choose(2) {
            0 => self.out.push(0xff),
            _ => {
                self.out.push(1);
                self.fields(fields);
            }
        }
    }

    fn count(&mut self) -> usize {
        let count = if self.in_tag { 1 } else { self.choose(3) };
        self.length(count, 4);
        count
    }

    fn length(&mut self, length: usize, prefix_bytes: usize) {
        if self.flexible {
            varint::put_u32(&mut self.out, length as u32 + 1);
        } else {
            self.out.extend_from_slice(&(length as u32).to_be_bytes()[4 - prefix_bytes..]);
        }
    }

    fn push_chosen(&mut self) {
        let byte = self.choose(256) as u8;
        self.out.push(byte);
    }

    fn choose(&mut self, choices: usize) -> usize {
        let Some((&first, rest)) = self.entropy.split_first() else { return 0 };
        self.entropy = rest;
        usize::from(first) % choices
    }
}
