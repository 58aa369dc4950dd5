//! Broken requests by the thousand: the broker goes on serving others, and keeps what it has acknowledged.

use bytes::Bytes;
use ottla_broker::{Broker, Config};
use ottla_client::{Acks, Client, ClientConfig, ProduceOutcome};
use ottla_protocol::batch::BatchBuilder;
use ottla_protocol::compression::Compression;
use ottla_protocol::messages::{
    ApiVersionsRequest, FetchRequest, FindCoordinatorRequest, JoinGroupRequest, ListOffsetsRequest,
    MetadataRequest, OffsetCommitRequest, ProduceRequest,
};
use ottla_protocol::{Request, encode_request};
use ottla_tests::partition;
use ottla_tests::timestamp::now_ms;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const NOISY: u64 = 4;
const FRAMES_EACH: usize = 2_000;
const TOPIC: &str = "kept";

#[tokio::test(flavor = "multi_thread")]
async fn broken_requests_harm_nobody_else() {
    let broker = Broker::start(Config::ephemeral()).await.expect("Ottla starts");
    let servers = broker.bootstrap_servers();
    let seed = now_ms().unsigned_abs();
    println!("seed {seed}");
    let noise: Vec<_> =
        (0..NOISY).map(|noisy| tokio::spawn(make_noise(servers.clone(), seed + noisy))).collect();

    let client = Client::connect(ClientConfig::new(&servers)).await.expect("the broker serves");
    let mut written = 0;
    while written < 100 || !noise.iter().all(tokio::task::JoinHandle::is_finished) {
        let outcome = client.produce(TOPIC, 0, batch(&written.to_string()), Acks::All).await;
        let outcome = outcome.expect("the broker serves others");
        assert!(
            matches!(outcome, ProduceOutcome::Acknowledged { base_offset, .. } if base_offset == written)
        );
        written += 1;
    }
    for noisy in noise {
        noisy.await.expect("the noise is made to the end");
    }
    let kept = partition::read(&client, TOPIC, 0).await;
    let values = kept.iter().map(|record| record.value.as_deref().and_then(|value| value.parse().ok()));
    assert!(values.eq((0..written).map(Some)), "{} of {written} records", kept.len());
}

fn batch(value: &str) -> Bytes {
    let mut batch = BatchBuilder::new(Compression::None);
    batch.push(now_ms(), None, Some(value.as_bytes())).expect("a small record");
    batch.build().expect("a batch of one record")
}

/// Sends broken frames, each over a connection of its own, and waits until the broker is done with it.
async fn make_noise(servers: String, seed: u64) {
    let (frames, mut random) = (frames(), Random(seed | 1));
    for _ in 0..FRAMES_EACH {
        let chosen = random.below(frames.len());
        let frame = random.broken(&frames[chosen]);
        let mut stream = TcpStream::connect(&servers).await.expect("the broker goes on taking connections");
        // The broker may close the connection before it has read everything.
        let _ = stream.write_all(&frame).await;
        let _ = stream.shutdown().await;
        let _ = stream.read_to_end(&mut Vec::new()).await;
    }
}

fn frames() -> Vec<Vec<u8>> {
    fn frame<R: Request + Default>(version: i16) -> Vec<u8> {
        let encoded = encode_request(1, Some("noise"), version, R::default());
        encoded.expect("defaults can be written").to_bytes().to_vec()
    }
    vec![
        frame::<ApiVersionsRequest>(3),
        frame::<FetchRequest>(12),
        frame::<FindCoordinatorRequest>(4),
        frame::<JoinGroupRequest>(7),
        frame::<ListOffsetsRequest>(7),
        frame::<MetadataRequest>(12),
        frame::<OffsetCommitRequest>(8),
        frame::<ProduceRequest>(9),
    ]
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

    /// The frame with some bytes changed, cut out or added; its length says what it has then, most of the time.
    fn broken(&mut self, frame: &[u8]) -> Vec<u8> {
        let mut body = frame[4..].to_vec();
        for _ in 0..=self.below(4) {
            let at = self.below(body.len());
            match self.below(4) {
                0 => body[at] = self.below(256) as u8,
                1 => body[at] ^= 1 << self.below(8),
                2 => body.truncate(at + 1),
                _ => body.insert(at, self.below(256) as u8),
            }
        }
        let lie = if self.below(20) == 0 { self.below(1000) } else { 0 };
        let length = i32::try_from(body.len() + lie).expect("a short frame");
        [&length.to_be_bytes()[..], &body].concat()
    }
}
