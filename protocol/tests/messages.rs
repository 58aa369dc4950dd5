//! Requests and responses as they stand on the wire, frame and header included.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ottla_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, ListGroupsRequest,
    ProduceRequest,
};
use ottla_protocol::{
    DecodeError, Encoded, FrameDecoder, StrBytes, decode_body, decode_header, decode_response,
    encode_request, encode_response,
};

#[test]
fn record_data_is_sent_from_its_own_place() {
    let large = Bytes::from(vec![7; 100_000]);
    let (empty, small) = (Bytes::new(), Bytes::from_static(b"small"));
    for version in 4..=18 {
        let partitions = [Some(&large), None, Some(&small), Some(&empty), Some(&large)];
        let encoded = encode_response(5, version, fetch_response(&partitions)).unwrap();
        let shared = encoded.chunks().filter(|chunk| chunk.as_ptr() == large.as_ptr()).count();
        assert_eq!(shared, 2, "version {version}");

        let (correlation_id, response) =
            decode_response::<FetchRequest>(unframed(&encoded), version).unwrap();
        assert_eq!(correlation_id, 5);
        let records: Vec<_> = response.responses[0].partitions.iter().map(|p| p.records.as_ref()).collect();
        assert_eq!(records, partitions, "version {version}");
    }
}

#[test]
fn a_produce_request_comes_back_with_its_header() {
    let batch = Bytes::from(vec![1; 5000]);
    for version in 3..=13 {
        let partition = PartitionProduceData::default().with_index(2).with_records(Some(batch.clone()));
        let topic = TopicProduceData::default().with_partition_data(vec![partition]);
        let request = ProduceRequest::default().with_acks(-1).with_topic_data(vec![topic]);
        let encoded = encode_request(9, Some("me"), version, request.clone()).unwrap();

        let mut frame = unframed(&encoded);
        let header = decode_header(&mut frame).unwrap();
        assert_eq!(
            (header.api_key, header.api_version, header.correlation_id),
            (ApiKey::Produce, version, 9)
        );
        assert_eq!(header.client_id, Some(StrBytes::from_static_str("me")));
        assert_eq!(decode_body::<ProduceRequest>(frame, version).unwrap(), request);
    }
}

#[test]
fn bytes_are_written_in_whatever_portions_the_socket_takes() {
    let large = Bytes::from(vec![7; 3000]);
    let whole = encode_response(1, 12, fetch_response(&[Some(&large), None, Some(&large)])).unwrap();
    for portion in [1, 7, 100, 2999, 3000, 10_000] {
        let mut encoded = whole.clone();
        let mut written = BytesMut::new();
        while encoded.has_remaining() {
            let taken = encoded.chunk().len().min(portion);
            written.put_slice(&encoded.chunk()[..taken]);
            encoded.advance(taken);
        }
        assert_eq!(written, whole.to_bytes());
    }
}

/// KIP-511: a client that is ahead reads the header before it knows which versions the broker speaks.
#[test]
fn api_versions_is_always_answered_with_header_0() {
    for version in 0..=4 {
        let encoded =
            encode_response(3, version, ApiVersionsResponse::default().with_error_code(35)).unwrap();
        assert_eq!(encoded.to_bytes()[4..10], [0, 0, 0, 3, 0, 35]);
        let (_, response) = decode_response::<ApiVersionsRequest>(unframed(&encoded), version).unwrap();
        assert_eq!(response.error_code, 35);
    }
}

#[test]
fn headers_that_are_cut_or_unknown_are_refused() {
    let request = encode_request(1, Some("client"), 4, ListGroupsRequest::default()).unwrap();
    let frame = unframed(&request);
    let header_bytes = 8 + 2 + 6 + 1;
    for left_bytes in 0..header_bytes {
        let refused = decode_header(&mut frame.slice(..left_bytes));
        assert_eq!(refused, Err(DecodeError::HeaderCut { left_bytes }));
    }
    let unknown = decode_header(&mut Bytes::from_static(b"\x03\xe8\0\x01\0\0\0\0\xff\xff"));
    assert_eq!(unknown, Err(DecodeError::UnknownApi { api_key: 1000, api_version: 1 }));
    let not_utf8 = decode_header(&mut Bytes::from_static(b"\0\0\0\x03\0\0\0\0\0\x01\xff"));
    assert_eq!(not_utf8, Err(DecodeError::ClientId));
}

#[test]
fn a_version_that_is_not_spoken_is_named() {
    let refused = decode_body::<FetchRequest>(Bytes::new(), 3).unwrap_err();
    assert_eq!(refused.to_string(), "Fetch version 3 is not spoken here; versions 4 to 18 are");
    let refused = encode_response(1, 19, FetchResponse::default()).unwrap_err();
    assert_eq!((refused.message, refused.version), ("FetchResponse", 19));
}

fn fetch_response(partitions: &[Option<&Bytes>]) -> FetchResponse {
    let partition = |records: &Option<&Bytes>| PartitionData::default().with_records(records.cloned());
    let topic = FetchableTopicResponse::default().with_partitions(partitions.iter().map(partition).collect());
    FetchResponse::default().with_responses(vec![topic])
}

fn unframed(encoded: &Encoded) -> Bytes {
    let mut received = BytesMut::from(&encoded.to_bytes()[..]);
    let frame = FrameDecoder::default().decode(&mut received).unwrap();
    assert!(received.is_empty());
    frame.unwrap()
}
