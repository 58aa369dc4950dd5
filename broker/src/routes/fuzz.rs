//! Every API that [`ROUTES`] lists gets bodies by chance behind a sound header: valid ones, valid ones with a lie in
//! them, and bytes that mean nothing. No handler may panic, others are served, and what was acknowledged stays.
//!
//! `OTTLA_FUZZ_ROUNDS` says how often each version of each API is tried, `OTTLA_FUZZ_SEED` repeats a run.

use std::panic;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{ApiKey, FetchRequest, MetadataRequest, ProduceRequest, TopicName};
use ottla_protocol::{Compression, Request, StrBytes, decode_response, encode_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ROUTES, Route};
use crate::{Broker, Clock, Config};

/// No body that is made here names it.
const KEPT: &str = "kept";

#[tokio::test(flavor = "multi_thread")]
async fn every_api_survives_bodies_by_chance() {
    let rounds = from_env("OTTLA_FUZZ_ROUNDS").unwrap_or(12);
    let seed = from_env("OTTLA_FUZZ_SEED").unwrap_or_else(|| Clock::system().now_ms().unsigned_abs());
    println!("OTTLA_FUZZ_SEED={seed}");
    let panics = count_panics();
    let broker = Broker::start(Config::ephemeral()).await.unwrap();
    let mut random = Random(seed | 1);
    let mut others = Others::connect(&broker).await;
    for route in ROUTES {
        for version in route.served.min..=route.served.max {
            for _ in 0..rounds {
                let body = random.body(route, version);
                send(&broker, &frame(route, version, &body)).await;
                let panicked = panics.load(Ordering::Relaxed);
                assert_eq!(panicked, 0, "API {} version {version}, body {body:02x?}", route.key);
            }
        }
        others.write_one().await;
    }
    others.expect_all().await;
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().expect("a number"))
}

/// A handler that panics takes only its connection with it, so that nothing else would tell.
fn count_panics() -> Arc<AtomicUsize> {
    let (panics, default) = (Arc::new(AtomicUsize::new(0)), panic::take_hook());
    let counted = panics.clone();
    panic::set_hook(Box::new(move |info| {
        counted.fetch_add(1, Ordering::Relaxed);
        default(info);
    }));
    panics
}

/// Sends a request over a connection of its own, and waits until the broker is done with it.
async fn send(broker: &Broker, frame: &[u8]) {
    let mut stream = TcpStream::connect(broker.bootstrap_servers()).await.unwrap();
    // The broker may close the connection before it has read everything.
    let _ = stream.write_all(frame).await;
    let _ = stream.shutdown().await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

fn frame(route: &Route, version: i16, body: &[u8]) -> Bytes {
    let mut request = BytesMut::new();
    request.put_i16(route.key);
    request.put_i16(version);
    request.put_i32(7);
    request.put_i16(-1);
    let api = ApiKey::try_from(route.key).unwrap();
    if api.request_header_version(version) >= 2 {
        request.put_u8(0);
    }
    request.put_slice(body);
    let mut frame = BytesMut::new();
    frame.put_i32(i32::try_from(request.len()).unwrap());
    frame.put(request);
    frame.freeze()
}

/// A xorshift generator: the seed decides everything.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn bytes(&mut self, up_to: usize) -> Vec<u8> {
        (0..self.below(up_to)).map(|_| self.below(256) as u8).collect()
    }

    fn body(&mut self, route: &Route, version: i16) -> Vec<u8> {
        if self.below(4) == 0 {
            return self.bytes(300);
        }
        let entropy = self.bytes(400);
        let mut body = (route.sample)(version, &entropy).to_vec();
        if self.below(2) == 0 {
            self.put_lie(&mut body);
        }
        body
    }

    /// A count or a length that is not true, a bit that flips, or an end that is missing.
    fn put_lie(&mut self, body: &mut Vec<u8>) {
        const LIES: [&[u8]; 5] =
            [b"\x7f\xff\xff\xff", b"\x7f\xff", b"\xff\xff\xff\xff\x0f", b"\x80\0\0\0", b"\xff\xff\xff\x7f"];
        let at = self.below(body.len() + 1);
        match self.below(3) {
            0 => {
                let lie = LIES[self.below(LIES.len())];
                let end = body.len().min(at + lie.len());
                body.splice(at..end, lie.iter().copied());
            }
            1 if at < body.len() => body[at] ^= 1 << self.below(8),
            _ => body.truncate(at),
        }
    }
}

/// A client that keeps to the protocol, meanwhile.
struct Others {
    stream: TcpStream,
    written: i64,
}

impl Others {
    async fn connect(broker: &Broker) -> Others {
        let stream = TcpStream::connect(broker.bootstrap_servers()).await.unwrap();
        let mut others = Others { stream, written: 0 };
        let topic = MetadataRequestTopic::default().with_name(Some(name()));
        others
            .call(
                4,
                MetadataRequest::default()
                    .with_topics(Some(vec![topic]))
                    .with_allow_auto_topic_creation(true),
            )
            .await;
        others
    }

    async fn write_one(&mut self) {
        let mut batch = BatchBuilder::new(Compression::None);
        batch.push(Clock::system().now_ms(), None, Some(self.written.to_string().as_bytes())).unwrap();
        let data = PartitionProduceData::default().with_records(Some(batch.build().unwrap()));
        let data = TopicProduceData::default().with_name(name()).with_partition_data(vec![data]);
        let request =
            ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![data]);
        let response = self.call(9, request).await;
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (0, self.written));
        self.written += 1;
    }

    async fn expect_all(&mut self) {
        let partition = FetchPartition::default().with_partition_max_bytes(1 << 20);
        let topic = FetchTopic::default().with_topic(name()).with_partitions(vec![partition]);
        let request = FetchRequest::default().with_session_epoch(-1).with_max_bytes(1 << 20);
        let response = self.call(12, request.with_topics(vec![topic])).await;
        let records = response.responses[0].partitions[0].records.clone().unwrap();
        let mut values = Vec::new();
        for batch in ottla_protocol::batch::batches(&records) {
            for record in &batch.unwrap().records(0).unwrap() {
                values.push(
                    std::str::from_utf8(record.unwrap().value.unwrap()).unwrap().parse::<i64>().unwrap(),
                );
            }
        }
        assert!(values.iter().copied().eq(0..self.written), "{values:?} of {}", self.written);
    }

    async fn call<R: Request>(&mut self, version: i16, request: R) -> R::Response {
        let encoded = encode_request(1, Some("others"), version, request).unwrap();
        self.stream.write_all(&encoded.to_bytes()).await.unwrap();
        let size = self.stream.read_i32().await.unwrap();
        let mut frame = BytesMut::zeroed(size as usize);
        self.stream.read_exact(&mut frame).await.unwrap();
        decode_response::<R>(frame.freeze(), version).unwrap().1
    }
}

fn name() -> TopicName {
    TopicName(StrBytes::from_static_str(KEPT))
}
