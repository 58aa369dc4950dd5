//! The layouts of the messages that Ottla reads: requests as a broker, responses as a client.
//!
//! A field without a version is in every version; `from` and `until` name the first and last version that have it.
//! Taken from Kafka's schemas as `kafka-protocol` has them; a property test holds every line to that crate.

use bytes::Bytes;
use kafka_protocol::messages::*;
use kafka_protocol::protocol;

use super::{BOOL, BYTES, I8, I16, I32, I64, RECORDS, STR, Shape, UUID, array, group, list, nullable};

/// A message whose layout is known, so that its bytes can be checked before they are decoded.
pub trait Shaped:
    protocol::Message + protocol::Encodable + protocol::Decodable + protocol::HeaderVersion
{
    const SHAPE: Shape;

    /// Takes the record data out, field by field as it is encoded, and leaves null.
    fn take_records(&mut self) -> Vec<Option<Bytes>> {
        Vec::new()
    }
}

/// A request whose layout, and whose response's layout, is known.
pub trait Request: protocol::Request<Response: Shaped> + Shaped {}

impl<R: protocol::Request<Response: Shaped> + Shaped> Request for R {}

/// No version of the message is flexible.
const NEVER: i16 = i16::MAX;

macro_rules! shapes {
    ($(
        $message:ident, flexible from $version:tt $(, records in $topics:ident.$partitions:ident)?: $fields:tt;
    )*) => {$(
        impl Shaped for $message {
            const SHAPE: Shape = Shape { flexible_from: $version, fields: &$fields };
            $(
                fn take_records(&mut self) -> Vec<Option<Bytes>> {
                    let partitions = self.$topics.iter_mut().flat_map(|topic| &mut topic.$partitions);
                    partitions.map(|partition| partition.records.take()).collect()
                }
            )?
        }
    )*};
}

shapes! {
    ProduceRequest, flexible from 9, records in topic_data.partition_data: [STR, I16, I32,
        array(&[STR.until(12), UUID.from(13), array(&[I32, RECORDS])])];
    ProduceResponse, flexible from 9: [array(&[STR.until(12), UUID.from(13),
        array(&[I32, I16, I64, I64, I64.from(5), array(&[I32, STR]).from(8), STR.from(8),
        group(&[I32, I32]).from(10).tag(0)])]), I32, array(&[I32, STR, I32, STR]).from(10).tag(0)];
    FetchRequest, flexible from 12: [I32.until(14), I32, I32, I32, I8, I32.from(7), I32.from(7),
        array(&[STR.until(12), UUID.from(13), array(&[I32, I32.from(9), I64, I32.from(12), I64.from(5), I32,
        UUID.from(17).tag(0), I64.from(18).tag(1)])]),
        array(&[STR.until(12), UUID.from(13), list(&I32)]).from(7), STR.from(11), STR.tag(0),
        group(&[I32, I64]).from(15).tag(1)];
    FetchResponse, flexible from 12, records in responses.partitions: [I32, I16.from(7), I32.from(7),
        array(&[STR.until(12), UUID.from(13), array(&[I32, I16, I64, I64, I64.from(5), array(&[I64, I64]),
        I32.from(11), RECORDS, group(&[I32.from(12), I64.from(12)]).tag(0),
        group(&[I32.from(12), I32.from(12)]).tag(1), group(&[I64, I32]).tag(2)])]),
        array(&[I32, STR, I32, STR]).from(16).tag(0)];
    ListOffsetsRequest, flexible from 6: [I32, I8.from(2), array(&[STR, array(&[I32, I32.from(4), I64])]),
        I32.from(10)];
    ListOffsetsResponse, flexible from 6: [I32.from(2),
        array(&[STR, array(&[I32, I16, I64, I64, I32.from(4)])])];
    MetadataRequest, flexible from 9: [array(&[UUID.from(10), STR]), BOOL.from(4), BOOL.from(8).until(10),
        BOOL.from(8)];
    MetadataResponse, flexible from 9: [I32.from(3), array(&[I32, STR, I32, STR.from(1)]), STR.from(2),
        I32.from(1), array(&[I16, STR, UUID.from(10), BOOL.from(1),
        array(&[I16, I32, I32, I32.from(7), list(&I32), list(&I32), list(&I32).from(5)]), I32.from(8)]),
        I32.from(8).until(10), I16.from(13)];
    OffsetCommitRequest, flexible from 8: [STR, I32, STR, STR.from(7), I64.until(4),
        array(&[STR, array(&[I32, I64, I32.from(6), STR])])];
    OffsetCommitResponse, flexible from 8: [I32.from(3),
        array(&[STR.until(9), UUID.from(10), array(&[I32, I16])])];
    OffsetFetchRequest, flexible from 6: [STR.until(7), array(&[STR, list(&I32)]).until(7),
        array(&[STR, STR.from(9), I32.from(9), array(&[STR, list(&I32)])]).from(8), BOOL.from(7)];
    OffsetFetchResponse, flexible from 6: [I32.from(3),
        array(&[STR, array(&[I32, I64, I32.from(5), STR, I16])]).until(7), I16.from(2).until(7),
        array(&[STR, array(&[STR.until(9), UUID.from(10), array(&[I32, I64, I32, STR, I16])]),
        I16]).from(8)];
    FindCoordinatorRequest, flexible from 3: [STR.until(3), I8.from(1), list(&STR).from(4)];
    FindCoordinatorResponse, flexible from 3: [I32.from(1), I16.until(3), STR.from(1).until(3),
        I32.until(3), STR.until(3), I32.until(3), array(&[STR, I32, STR, I32, I16, STR]).from(4)];
    JoinGroupRequest, flexible from 6: [STR, I32, I32.from(1), STR, STR.from(5), STR, array(&[STR, BYTES]),
        STR.from(8)];
    JoinGroupResponse, flexible from 6: [I32.from(2), I16, I32, STR.from(7), STR, STR, BOOL.from(9), STR,
        array(&[STR, STR.from(5), BYTES])];
    HeartbeatRequest, flexible from 4: [STR, I32, STR, STR.from(3)];
    HeartbeatResponse, flexible from 4: [I32.from(1), I16];
    LeaveGroupRequest, flexible from 4: [STR, STR.until(2), array(&[STR, STR, STR.from(5)]).from(3)];
    LeaveGroupResponse, flexible from 4: [I32.from(1), I16, array(&[STR, STR, I16]).from(3)];
    SyncGroupRequest, flexible from 4: [STR, I32, STR, STR.from(3), STR.from(5), STR.from(5),
        array(&[STR, BYTES])];
    SyncGroupResponse, flexible from 4: [I32.from(1), I16, STR.from(5), STR.from(5), BYTES];
    DescribeGroupsRequest, flexible from 5: [list(&STR), BOOL.from(3)];
    DescribeGroupsResponse, flexible from 5: [I32.from(1),
        array(&[I16, STR.from(6), STR, STR, STR, STR, array(&[STR, STR.from(4), STR, STR, BYTES, BYTES]),
        I32.from(3)])];
    ListGroupsRequest, flexible from 3: [list(&STR).from(4), list(&STR).from(5)];
    ListGroupsResponse, flexible from 3: [I32.from(1), I16, array(&[STR, STR, STR.from(4), STR.from(5)])];
    ApiVersionsRequest, flexible from 3: [STR.from(3), STR.from(3)];
    ApiVersionsResponse, flexible from 3: [I16, array(&[I16, I16, I16]), I32.from(1),
        array(&[STR.from(3), I16.from(3), I16.from(3)]).tag(0), I64.tag(1),
        array(&[STR.from(3), I16.from(3), I16.from(3)]).tag(2), BOOL.tag(3)];
    CreateTopicsRequest, flexible from 5: [array(&[STR, I32, I16, array(&[I32, list(&I32)]),
        array(&[STR, STR])]), I32, BOOL];
    CreateTopicsResponse, flexible from 5: [I32, array(&[STR, UUID.from(7), I16, STR, I32.from(5),
        I16.from(5), array(&[STR, STR, BOOL, I8, BOOL]).from(5), I16.tag(0)])];
    DeleteTopicsRequest, flexible from 4: [array(&[STR, UUID]).from(6), list(&STR).until(5), I32];
    DeleteTopicsResponse, flexible from 4: [I32, array(&[STR, UUID.from(6), I16, STR.from(5)])];
    DeleteRecordsRequest, flexible from 2: [array(&[STR, array(&[I32, I64])]), I32];
    DeleteRecordsResponse, flexible from 2: [I32, array(&[STR, array(&[I32, I64, I16])])];
    InitProducerIdRequest, flexible from 2: [STR, I32, I64.from(3), I16.from(3)];
    InitProducerIdResponse, flexible from 2: [I32, I16, I64, I16, I64.from(6), I16.from(6)];
    OffsetForLeaderEpochRequest, flexible from 4: [I32.from(3), array(&[STR, array(&[I32, I32, I32])])];
    OffsetForLeaderEpochResponse, flexible from 4: [I32, array(&[STR, array(&[I16, I32, I32, I64])])];
    AddPartitionsToTxnRequest, flexible from 3: [array(&[STR, I64, I16, BOOL, array(&[STR, list(&I32)])]).from(4),
        STR.until(3), I64.until(3), I16.until(3), array(&[STR, list(&I32)]).until(3)];
    AddPartitionsToTxnResponse, flexible from 3: [I32, I16.from(4),
        array(&[STR, array(&[STR, array(&[I32, I16])])]).from(4), array(&[STR, array(&[I32, I16])]).until(3)];
    AddOffsetsToTxnRequest, flexible from 3: [STR, I64, I16, STR];
    AddOffsetsToTxnResponse, flexible from 3: [I32, I16];
    EndTxnRequest, flexible from 3: [STR, I64, I16, BOOL];
    EndTxnResponse, flexible from 3: [I32, I16, I64.from(5), I16.from(5)];
    WriteTxnMarkersRequest, flexible from 1: [array(&[I64, I16, BOOL, array(&[STR, list(&I32)]), I32])];
    WriteTxnMarkersResponse, flexible from 1: [array(&[I64, array(&[STR, array(&[I32, I16])])])];
    TxnOffsetCommitRequest, flexible from 3: [STR, STR, I64, I16, I32.from(3), STR.from(3), STR.from(3),
        array(&[STR, array(&[I32, I64, I32.from(2), STR])])];
    TxnOffsetCommitResponse, flexible from 3: [I32, array(&[STR, array(&[I32, I16])])];
    DescribeConfigsRequest, flexible from 4: [array(&[I8, STR, list(&STR)]), BOOL, BOOL.from(3)];
    DescribeConfigsResponse, flexible from 4: [I32,
        array(&[I16, STR, I8, STR, array(&[STR, STR, BOOL, I8, BOOL, array(&[STR, STR, I8]), I8.from(3),
        STR.from(3)])])];
    AlterConfigsRequest, flexible from 2: [array(&[I8, STR, array(&[STR, STR])]), BOOL];
    AlterConfigsResponse, flexible from 2: [I32, array(&[I16, STR, I8, STR])];
    DescribeLogDirsRequest, flexible from 2: [array(&[STR, list(&I32)])];
    DescribeLogDirsResponse, flexible from 2: [I32, I16.from(3),
        array(&[I16, STR, array(&[STR, array(&[I32, I64, I64, BOOL])]), I64.from(4), I64.from(4)])];
    CreatePartitionsRequest, flexible from 2: [array(&[STR, I32, array(&[list(&I32)])]), I32, BOOL];
    CreatePartitionsResponse, flexible from 2: [I32, array(&[STR, I16, STR])];
    DeleteGroupsRequest, flexible from 2: [list(&STR)];
    DeleteGroupsResponse, flexible from 2: [I32, array(&[STR, I16])];
    IncrementalAlterConfigsRequest, flexible from 1: [array(&[I8, STR, array(&[STR, I8, STR])]), BOOL];
    IncrementalAlterConfigsResponse, flexible from 1: [I32, array(&[I16, STR, I8, STR])];
    OffsetDeleteRequest, flexible from NEVER: [STR, array(&[STR, array(&[I32])])];
    OffsetDeleteResponse, flexible from NEVER: [I16, I32, array(&[STR, array(&[I32, I16])])];
    DescribeClusterRequest, flexible from 0: [BOOL, I8.from(1), BOOL.from(2)];
    DescribeClusterResponse, flexible from 0: [I32, I16, STR, I8.from(1), STR, I32,
        array(&[I32, STR, I32, STR, BOOL.from(2)]), I32];
    DescribeProducersRequest, flexible from 0: [array(&[STR, list(&I32)])];
    DescribeProducersResponse, flexible from 0: [I32,
        array(&[STR, array(&[I32, I16, STR, array(&[I64, I32, I32, I64, I32, I64])])])];
    DescribeTransactionsRequest, flexible from 0: [list(&STR)];
    DescribeTransactionsResponse, flexible from 0: [I32,
        array(&[I16, STR, STR, I32, I64, I64, I16, array(&[STR, list(&I32)])])];
    ListTransactionsRequest, flexible from 0: [list(&STR), list(&I64), I64.from(1), STR.from(2)];
    ListTransactionsResponse, flexible from 0: [I32, I16, list(&STR), array(&[STR, I64, STR])];
    DescribeTopicPartitionsRequest, flexible from 0: [array(&[STR]), I32, nullable(&[STR, I32])];
    DescribeTopicPartitionsResponse, flexible from 0: [I32,
        array(&[I16, STR, UUID, BOOL, array(&[I16, I32, I32, I32, list(&I32), list(&I32), list(&I32),
        list(&I32), list(&I32)]), I32]), nullable(&[STR, I32])];
}
