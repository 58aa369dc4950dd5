//! The same questions to Ottla and to Apache Kafka.

use std::fmt::Debug;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use ottla_protocol::{Request, decode_response, encode_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// CONCURRENT_TRANSACTIONS, COORDINATOR_LOAD_IN_PROGRESS, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR.
const NOT_READY: [i16; 4] = [51, 14, 15, 16];

const LIMIT: Duration = Duration::from_secs(30);

pub(crate) struct Both {
    ottla: Wire,
    kafka: Wire,
    asked: usize,
    differences: Vec<String>,
}

/// One connection, made anew when the broker has closed it.
struct Wire {
    bootstrap_servers: String,
    stream: TcpStream,
}

/// What came back for a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome<T> {
    Answered(T),
    Closed,
}

impl Both {
    pub(crate) async fn connect(ottla: &str, kafka: &str) -> Both {
        let (ottla, kafka) = (Wire::connect(ottla).await, Wire::connect(kafka).await);
        Both { ottla, kafka, asked: 0, differences: Vec::new() }
    }

    /// Asks both, and notes where they differ in what `essence` takes from a response.
    pub(crate) async fn ask<R: Request + Clone, E: Debug + PartialEq>(
        &mut self,
        what: &str,
        version: i16,
        request: R,
        essence: impl Fn(R::Response) -> E,
    ) {
        let frame =
            encode_request(1, Some("differential"), version, request).expect("the schema has it").to_bytes();
        let of = |outcome| essence_of::<R, E>(outcome, version, &essence);
        let [ottla, kafka] = self.exchange(&frame).await.map(of);
        self.compare(what, &ottla, &kafka);
    }

    /// As [`Both::ask`], about something that was changed: Kafka's controller answers before its brokers know of it, so
    /// Kafka is asked again for a while.
    pub(crate) async fn ask_after_change<R: Request + Clone, E: Debug + PartialEq>(
        &mut self,
        what: &str,
        version: i16,
        request: R,
        essence: impl Fn(R::Response) -> E,
    ) {
        let frame =
            encode_request(1, Some("differential"), version, request).expect("the schema has it").to_bytes();
        let ottla = essence_of::<R, E>(self.ottla.exchange(&frame).await, version, &essence);
        let limit = tokio::time::Instant::now() + LIMIT;
        let kafka = loop {
            let kafka = essence_of::<R, E>(self.kafka.exchange(&frame).await, version, &essence);
            if kafka == ottla || tokio::time::Instant::now() > limit {
                break kafka;
            }
        };
        self.compare(what, &ottla, &kafka);
    }

    /// Asks each its own form of a question, again while it is not ready: Kafka ends transactions behind its answers, and
    /// makes its coordinators' topics when they are first asked for. Notes where they differ, and returns what both have said.
    pub(crate) async fn ask_each<R: Request, E: Debug + PartialEq>(
        &mut self,
        what: &str,
        version: i16,
        requests: [R; 2],
        codes: impl Fn(&R::Response) -> Vec<i16>,
        essence: impl Fn(&R::Response) -> E,
    ) -> [R::Response; 2] {
        let frame = |request| {
            encode_request(1, Some("differential"), version, request).expect("the schema has it").to_bytes()
        };
        let [to_ottla, to_kafka] = requests.map(frame);
        let ottla = self.ottla.settled::<R>(version, &to_ottla, &codes).await;
        let kafka = self.kafka.settled::<R>(version, &to_kafka, &codes).await;
        self.compare(what, &(codes(&ottla), essence(&ottla)), &(codes(&kafka), essence(&kafka)));
        [ottla, kafka]
    }

    /// Sends the same bytes to both, and notes where one answers and the other closes the connection.
    pub(crate) async fn send(&mut self, what: &str, frame: &[u8]) {
        let [ottla, kafka] = self.exchange(frame).await.map(|outcome| match outcome {
            Outcome::Closed => Outcome::Closed,
            Outcome::Answered(_) => Outcome::Answered(()),
        });
        self.compare(what, &ottla, &kafka);
    }

    /// # Panics
    /// With all differences.
    pub(crate) fn expect_same(self) {
        let Both { asked, differences, .. } = self;
        assert!(
            differences.is_empty(),
            "{} of {asked} answers differ:\n{}",
            differences.len(),
            differences.join("\n")
        );
    }

    async fn exchange(&mut self, frame: &[u8]) -> [Outcome<Bytes>; 2] {
        [self.ottla.exchange(frame).await, self.kafka.exchange(frame).await]
    }

    fn compare<T: Debug + PartialEq>(&mut self, what: &str, ottla: &T, kafka: &T) {
        self.asked += 1;
        if ottla != kafka {
            self.differences.push(format!("{what}: Ottla {ottla:?}, Kafka {kafka:?}"));
        }
    }
}

fn essence_of<R: Request, E>(
    outcome: Outcome<Bytes>,
    version: i16,
    essence: impl Fn(R::Response) -> E,
) -> Outcome<E> {
    match outcome {
        Outcome::Closed => Outcome::Closed,
        Outcome::Answered(frame) => {
            let (_, response) = decode_response::<R>(frame, version).expect("a response of its version");
            Outcome::Answered(essence(response))
        }
    }
}

impl Wire {
    async fn connect(bootstrap_servers: &str) -> Wire {
        let stream = TcpStream::connect(bootstrap_servers).await.expect("the broker serves");
        Wire { bootstrap_servers: bootstrap_servers.to_owned(), stream }
    }

    async fn settled<R: Request>(
        &mut self,
        version: i16,
        frame: &[u8],
        codes: impl Fn(&R::Response) -> Vec<i16>,
    ) -> R::Response {
        let answers = async {
            loop {
                let Outcome::Answered(answer) = self.exchange(frame).await else {
                    panic!("{} closed the connection", self.bootstrap_servers)
                };
                let (_, response) = decode_response::<R>(answer, version).expect("a response of its version");
                if !codes(&response).iter().any(|code| NOT_READY.contains(code)) {
                    return response;
                }
            }
        };
        tokio::time::timeout(LIMIT, answers).await.expect("the transaction before ends in time")
    }

    async fn exchange(&mut self, frame: &[u8]) -> Outcome<Bytes> {
        let answer =
            tokio::time::timeout(LIMIT, self.try_exchange(frame)).await.expect("an answer in time, or none");
        match answer {
            Ok(frame) => Outcome::Answered(frame),
            Err(_) => {
                *self = Wire::connect(&self.bootstrap_servers).await;
                Outcome::Closed
            }
        }
    }

    async fn try_exchange(&mut self, frame: &[u8]) -> std::io::Result<Bytes> {
        self.stream.write_all(frame).await?;
        let size = self.stream.read_i32().await?;
        let mut frame = BytesMut::zeroed(usize::try_from(size).expect("a size"));
        self.stream.read_exact(&mut frame).await?;
        Ok(frame.freeze())
    }
}
