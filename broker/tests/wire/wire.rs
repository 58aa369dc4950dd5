//! A client's end of a connection.

use bytes::{Bytes, BytesMut};
use ottla_broker::Broker;
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::messages::TopicName;
use ottla_protocol::{Compression, Request, StrBytes, decode_response, encode_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub(crate) struct Wire {
    stream: TcpStream,
    next_correlation_id: i32,
}

impl Wire {
    pub(crate) async fn connect(broker: &Broker) -> Wire {
        let stream = TcpStream::connect(broker.bootstrap_servers()).await.unwrap();
        Wire { stream, next_correlation_id: 1 }
    }

    /// Sends a request and waits for its response.
    pub(crate) async fn call<R: Request>(&mut self, version: i16, request: R) -> R::Response {
        let correlation_id = self.send(version, request).await;
        self.receive::<R>(version, correlation_id).await
    }

    /// Sends a request, and answers its correlation id.
    pub(crate) async fn send<R: Request>(&mut self, version: i16, request: R) -> i32 {
        let correlation_id = self.next_correlation_id;
        self.next_correlation_id += 1;
        let encoded = encode_request(correlation_id, Some("wire"), version, request).unwrap();
        self.send_bytes(&encoded.to_bytes()).await;
        correlation_id
    }

    pub(crate) async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Receives the next response, which must be that of `correlation_id`.
    pub(crate) async fn receive<R: Request>(&mut self, version: i16, correlation_id: i32) -> R::Response {
        let (received, response) = decode_response::<R>(self.receive_frame().await, version).unwrap();
        assert_eq!(received, correlation_id, "responses come in the order of the requests");
        response
    }

    pub(crate) async fn receive_frame(&mut self) -> Bytes {
        let size = self.stream.read_i32().await.unwrap();
        let mut frame = BytesMut::zeroed(size as usize);
        self.stream.read_exact(&mut frame).await.unwrap();
        frame.freeze()
    }

    /// Waits until the broker closes the connection; what it sends before is thrown away.
    pub(crate) async fn closed(mut self) {
        let mut rest = BytesMut::new();
        while matches!(self.stream.read_buf(&mut rest).await, Ok(1..)) {
            rest.clear();
        }
    }

    /// Tells the broker that no more requests come.
    pub(crate) async fn finish_sending(&mut self) {
        self.stream.shutdown().await.unwrap();
    }
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

pub(crate) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

/// One batch of records with these values, written now.
pub(crate) fn batch(values: &[&str]) -> Bytes {
    fill(BatchBuilder::new(Compression::None), values)
}

/// One batch of an idempotent producer.
pub(crate) fn producer_batch(producer_id: i64, epoch: i16, sequence: i32, values: &[&str]) -> Bytes {
    fill(BatchBuilder::new(Compression::None).with_producer(producer_id, epoch, sequence), values)
}

fn fill(mut builder: BatchBuilder, values: &[&str]) -> Bytes {
    for value in values {
        builder.push(ottla_broker::Clock::system().now_ms(), None, Some(value.as_bytes())).unwrap();
    }
    builder.build().unwrap()
}

/// The values of all records in these batches.
pub(crate) fn values(records: &Bytes) -> Vec<String> {
    let batches = ottla_protocol::batch::batches(records).map(Result::unwrap);
    let values = batches.flat_map(|batch| {
        let records = batch.records(1 << 20).unwrap();
        let texts =
            records.iter().map(|record| String::from_utf8(record.unwrap().value.unwrap().to_vec()).unwrap());
        texts.collect::<Vec<_>>()
    });
    values.collect()
}
