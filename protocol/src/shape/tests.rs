//! Holds every shape to the decoder and encoder of `kafka-protocol`, in every version.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol;
use proptest::collection::vec;
use proptest::prelude::*;

use super::{Request, Shaped, sample_message};
use crate::request::{decode_walked, walk};
use crate::{CheckedBody, DecodeError, decode_body, decode_response, varint};

macro_rules! every_api {
    ($check:ident, $input:expr) => {
        every_api!($check, $input;
            ProduceRequest FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest
            FindCoordinatorRequest JoinGroupRequest HeartbeatRequest LeaveGroupRequest SyncGroupRequest
            DescribeGroupsRequest ListGroupsRequest ApiVersionsRequest CreateTopicsRequest DeleteTopicsRequest
            DeleteRecordsRequest InitProducerIdRequest OffsetForLeaderEpochRequest AddPartitionsToTxnRequest
            AddOffsetsToTxnRequest EndTxnRequest WriteTxnMarkersRequest TxnOffsetCommitRequest DescribeConfigsRequest
            AlterConfigsRequest DescribeLogDirsRequest CreatePartitionsRequest DeleteGroupsRequest
            IncrementalAlterConfigsRequest OffsetDeleteRequest DescribeClusterRequest
            DescribeProducersRequest DescribeTransactionsRequest ListTransactionsRequest DescribeTopicPartitionsRequest)
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
fn bytes_behind_a_request_are_ignored_and_behind_a_response_refused() {
    let body = Bytes::from_static(b"\0\0\0\0behind");
    assert!(decode_body::<DescribeGroupsRequest>(body, 0).is_ok_and(|request| request.groups.is_empty()));
    let frame = Bytes::from_static(b"\0\0\0\x01\0\0\0\0behind");
    let refused = decode_response::<DescribeGroupsRequest>(frame, 0).unwrap_err();
    assert!(refused.to_string().ends_with("6 bytes are left behind the last field"), "{refused}");
}

#[test]
fn elements_and_unknown_tags_are_counted() {
    let body = Bytes::from_static(b"\x03\x02a\x02b\0\x01\x07\x01x");
    let checked = CheckedBody::<DescribeGroupsRequest>::check(body, 5).unwrap();
    assert_eq!(checked.elements(), 3);
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

fn decode<R: Request, M: Shaped>(body: Bytes, version: i16) -> Result<M, DecodeError> {
    walk::<R, M>(&body, version)?;
    decode_walked::<R, M>(body, version)
}

fn round_trips<R: Request, M: Shaped>(entropy: &[u8]) -> Result<(), TestCaseError> {
    for version in M::VERSIONS.min..=M::VERSIONS.max {
        let bytes = sample_message::<M>(version, entropy);
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
        let mut bytes = sample_message::<M>(version, entropy).to_vec();
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
