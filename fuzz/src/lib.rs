//! The entries of the fuzz targets. Tests on a stable toolchain use them too.

use bytes::{Bytes, BytesMut};
use ottla_protocol::batch::{RecordBatch, batches, set_header_timestamp};
use ottla_protocol::messages::*;
use ottla_protocol::records::consumer_offsets::{ConsumerOffsetsKey, GroupMetadataValue, OffsetCommitValue};
use ottla_protocol::records::control::{ControlRecordType, EndTransactionMarker, SnapshotHeader};
use ottla_protocol::records::metadata::MetadataRecord;
use ottla_protocol::records::quorum::{KRaftVoters, LeaderChange};
use ottla_protocol::{DecodeError, FrameDecoder, decode_body, decode_header, decode_response};

const MAX_FRAME_BYTES: usize = 1 << 20;
const MAX_RECORDS_BYTES: usize = 1 << 20;

/// Calls a generic function with the request type of an API key; `None` if Ottla has no layout for it.
macro_rules! for_api {
    ($api_key:expr, $decode:ident $arguments:tt; $($api:ident $request:ident)*) => {
        match $api_key {
            $(ApiKey::$api => Some($decode::<$request> $arguments.map(|_| ())),)*
            _ => None,
        }
    };
    ($api_key:expr, $decode:ident $arguments:tt) => {
        for_api!($api_key, $decode $arguments;
            Produce ProduceRequest Fetch FetchRequest ListOffsets ListOffsetsRequest Metadata MetadataRequest
            OffsetCommit OffsetCommitRequest OffsetFetch OffsetFetchRequest
            FindCoordinator FindCoordinatorRequest JoinGroup JoinGroupRequest Heartbeat HeartbeatRequest
            LeaveGroup LeaveGroupRequest SyncGroup SyncGroupRequest DescribeGroups DescribeGroupsRequest
            ListGroups ListGroupsRequest ApiVersions ApiVersionsRequest CreateTopics CreateTopicsRequest
            DeleteTopics DeleteTopicsRequest DeleteRecords DeleteRecordsRequest
            InitProducerId InitProducerIdRequest OffsetForLeaderEpoch OffsetForLeaderEpochRequest
            DescribeConfigs DescribeConfigsRequest AlterConfigs AlterConfigsRequest
            DescribeLogDirs DescribeLogDirsRequest CreatePartitions CreatePartitionsRequest
            DeleteGroups DeleteGroupsRequest IncrementalAlterConfigs IncrementalAlterConfigsRequest
            OffsetDelete OffsetDeleteRequest DescribeCluster DescribeClusterRequest
            DescribeTopicPartitions DescribeTopicPartitionsRequest)
    };
}

/// A connection's bytes, which arrive in portions of the first byte's size.
pub fn frames(bytes: &[u8]) {
    let Some((&portion, stream)) = bytes.split_first() else { return };
    let decoder = FrameDecoder::new(MAX_FRAME_BYTES);
    let mut received = BytesMut::new();
    for arrived in stream.chunks(usize::from(portion).max(1)) {
        received.extend_from_slice(arrived);
        loop {
            match decoder.decode(&mut received) {
                Ok(Some(frame)) => request(&frame),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

/// A request's frame.
pub fn request(frame: &[u8]) {
    let mut body = Bytes::copy_from_slice(frame);
    let Ok(header) = decode_header(&mut body) else { return };
    let outcome: Option<Result<(), DecodeError>> =
        for_api!(header.api_key, decode_body(body, header.api_version));
    if let Some(Err(error)) = outcome {
        assert!(!error.to_string().is_empty());
    }
}

/// A response's frame, after two bytes that say what was asked in which version.
pub fn response(bytes: &[u8]) {
    let [api_key, version, frame @ ..] = bytes else { return };
    let Ok(api_key) = ApiKey::try_from(i16::from(*api_key)) else { return };
    let frame = Bytes::copy_from_slice(frame);
    let _decoded = for_api!(api_key, decode_response(frame, i16::from(*version)));
}

/// The record data of a partition. Each batch is read as it is, and again with its CRC put right.
pub fn batch(bytes: &[u8]) {
    for batch in batches(bytes).flatten() {
        read(&batch);
        let mut sealed = batch.bytes().to_vec();
        let (header, body) = sealed.split_first_chunk_mut().expect("a batch is longer than its header");
        set_header_timestamp(header, body, batch.header().timestamp_type(), batch.header().max_timestamp);
        let (sealed, _) = RecordBatch::parse(&sealed).expect("the length has not changed");
        sealed.verify_crc().expect("the CRC has been recomputed");
        read(&sealed);
    }
}

/// What Kafka's own topics and files hold.
pub fn record(bytes: &[u8]) {
    let _key = ConsumerOffsetsKey::decode(bytes);
    let _offset = OffsetCommitValue::decode(bytes);
    let _group = GroupMetadataValue::decode(bytes);
    let _control = ControlRecordType::decode_key(bytes);
    let _leader = LeaderChange::decode(bytes);
    let _voters = KRaftVoters::decode(bytes);
    let _marker = EndTransactionMarker::decode(bytes);
    let _snapshot = SnapshotHeader::decode(bytes);
    if let Ok(record) = MetadataRecord::decode(bytes) {
        assert_eq!(MetadataRecord::decode(&record.encode()), Ok(record));
    }
}

fn read(batch: &RecordBatch<'_>) {
    let valid = batch.validate(MAX_RECORDS_BYTES).is_ok();
    let Ok(records) = batch.records(MAX_RECORDS_BYTES) else { return };
    let mut count = 0;
    for record in &records {
        let Ok(record) = record else { break };
        assert_eq!(record.headers.count(), record.headers.len());
        count += 1;
    }
    if valid {
        assert_eq!(count, batch.header().records_count, "a valid batch has a record that cannot be read");
    }
}
