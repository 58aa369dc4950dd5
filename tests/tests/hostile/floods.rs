//! What hostile clients do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bytes::{BufMut, Bytes, BytesMut};
use ottla_protocol::messages::create_topics_request::CreatableTopic;
use ottla_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ottla_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_protocol::messages::metadata_request::MetadataRequestTopic;
use ottla_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use ottla_protocol::messages::{
    CreateTopicsRequest, FetchRequest, GroupId, JoinGroupRequest, MetadataRequest, ProduceRequest, TopicName,
};
use ottla_protocol::{Request, StrBytes, encode_request};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Clients that send requests one after the other, as fast as they are answered.
const BUSY_CLIENTS: usize = 4;

/// Topics that metadata has to tell of.
const TOPICS: usize = 200;

#[derive(Clone, Copy)]
pub(crate) enum Flood {
    /// Connections on which nothing is sent.
    Idle { connections: usize },
    /// Each claims a megabyte, sends a part of it, and stops.
    Unfinished { connections: usize },
    /// Each asks for all metadata, again and again, and reads nothing.
    Unread { connections: usize },
    /// All metadata, again and again.
    Metadata,
    /// Metadata of topics that do not exist yet.
    CreateTopics,
    /// Sessions with thousands of partitions each.
    FetchSessions,
    /// Each has as many fetches waiting as it may.
    Fetches { connections: usize },
    /// Members with a megabyte of metadata each, every one in a group of its own.
    Groups,
    /// Records for topics that do not exist.
    UnknownTopics,
}

/// A flood that goes on.
pub(crate) struct Running {
    stop: Arc<AtomicBool>,
    busy: JoinSet<()>,
    held: Vec<TcpStream>,
}

impl Running {
    pub(crate) async fn stop(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.held.clear();
        while let Some(ended) = self.busy.join_next().await {
            ended.expect("a hostile client does not fail by itself");
        }
    }
}

impl Flood {
    /// Whether it takes all the processors that it can get.
    pub(crate) fn is_busy(self) -> bool {
        !matches!(self, Flood::Idle { .. } | Flood::Unfinished { .. } | Flood::Fetches { .. })
    }

    pub(crate) async fn prepare(self, servers: &str) {
        let topics = match self {
            Flood::Metadata | Flood::Unread { .. } => TOPICS,
            Flood::Fetches { .. } => 1,
            _ => return,
        };
        let topics = (0..topics).map(|at| {
            let topic = CreatableTopic::default().with_name(name(&format!("topic-{at}")));
            topic.with_num_partitions(4).with_replication_factor(1)
        });
        let request = CreateTopicsRequest::default().with_topics(topics.collect()).with_timeout_ms(60_000);
        let mut stream = connect(servers).await;
        assert!(exchange(&mut stream, &frame(7, request)).await, "topics are created");
    }

    pub(crate) async fn start(self, servers: &str) -> Running {
        let mut running = Running { stop: Arc::default(), busy: JoinSet::new(), held: Vec::new() };
        match self {
            Flood::Idle { connections } => running.hold(servers, connections, Bytes::new()).await,
            Flood::Unfinished { connections } => {
                let mut part = BytesMut::zeroed(15 * 1024);
                part[..8].copy_from_slice(&[0, 15, 0, 0, 0, 0, 0, 9]);
                running.hold(servers, connections, part.freeze()).await;
            }
            Flood::Unread { connections } => {
                let one = frame(12, MetadataRequest::default().with_topics(None));
                running.hold(servers, connections, repeated(&one, 20)).await;
            }
            Flood::Fetches { connections } => {
                let fetch = fetch("topic-0", 1).with_max_wait_ms(i32::MAX).with_session_epoch(-1);
                running.hold(servers, connections, repeated(&frame(12, fetch), 32)).await;
            }
            Flood::Metadata => {
                running.repeat(servers, |_| frame(12, MetadataRequest::default().with_topics(None)));
            }
            Flood::CreateTopics => running.repeat(servers, |number| {
                let topic = MetadataRequestTopic::default().with_name(Some(name(&format!("new-{number}"))));
                let request = MetadataRequest::default().with_allow_auto_topic_creation(true);
                frame(12, request.with_topics(Some(vec![topic])))
            }),
            Flood::FetchSessions => running.repeat(servers, |number| {
                frame(12, fetch(&format!("t-{number}"), 500).with_session_epoch(0))
            }),
            Flood::Groups => running.repeat(servers, |number| {
                let protocol = JoinGroupRequestProtocol::default().with_name(text("range"));
                let request = JoinGroupRequest::default()
                    .with_group_id(GroupId(text(&format!("g-{number}"))))
                    .with_session_timeout_ms(1_800_000)
                    .with_protocol_type(text("consumer"))
                    .with_protocols(vec![protocol.with_metadata(vec![7; 1 << 20].into())]);
                frame(3, request)
            }),
            Flood::UnknownTopics => running.repeat(servers, |number| {
                let data = PartitionProduceData::default().with_records(Some(vec![7; 10_000].into()));
                let topic = TopicProduceData::default().with_name(name(&format!("u-{number}")));
                let topic = topic.with_partition_data(vec![data]);
                frame(9, ProduceRequest::default().with_acks(1).with_topic_data(vec![topic]))
            }),
        }
        running
    }
}

impl Running {
    /// Opens connections, sends the same on each, and leaves them.
    async fn hold(&mut self, servers: &str, connections: usize, bytes: Bytes) {
        for _ in 0..connections {
            let mut stream = connect(servers).await;
            // The broker may have closed it already.
            let _ = stream.try_write(&bytes);
            let _ = stream.flush().await;
            self.held.push(stream);
        }
    }

    /// A few clients send what `request` makes of a number, wait for the answer, and go on.
    fn repeat(&mut self, servers: &str, request: fn(u64) -> Bytes) {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        for _ in 0..BUSY_CLIENTS {
            let (stop, servers) = (self.stop.clone(), servers.to_owned());
            self.busy.spawn(async move {
                let mut stream = connect(&servers).await;
                while !stop.load(Ordering::Relaxed) {
                    let request = request(NUMBER.fetch_add(1, Ordering::Relaxed));
                    if !exchange(&mut stream, &request).await {
                        stream = connect(&servers).await;
                    }
                }
            });
        }
    }
}

/// Whether there was an answer; otherwise the connection is closed.
async fn exchange(stream: &mut TcpStream, request: &[u8]) -> bool {
    let answer = async {
        stream.write_all(request).await?;
        let size = stream.read_i32().await?;
        let mut answer = vec![0; usize::try_from(size).expect("a size")];
        stream.read_exact(&mut answer).await
    };
    answer.await.is_ok()
}

async fn connect(servers: &str) -> TcpStream {
    TcpStream::connect(servers).await.expect("the broker goes on taking connections")
}

fn frame<R: Request>(version: i16, request: R) -> Bytes {
    encode_request(1, Some("hostile"), version, request).expect("the schema has it").to_bytes()
}

fn repeated(frame: &[u8], times: usize) -> Bytes {
    let mut bytes = BytesMut::new();
    (0..times).for_each(|_| bytes.put_slice(frame));
    bytes.freeze()
}

fn fetch(topic: &str, partitions: i32) -> FetchRequest {
    let partitions = (0..partitions)
        .map(|index| FetchPartition::default().with_partition(index).with_partition_max_bytes(1));
    let topic = FetchTopic::default().with_topic(name(topic)).with_partitions(partitions.collect());
    FetchRequest::default().with_min_bytes(1).with_max_bytes(1 << 20).with_topics(vec![topic])
}

fn name(name: &str) -> TopicName {
    TopicName(text(name))
}

fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}
