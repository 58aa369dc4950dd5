//! What one library compresses, every other reads, and so does `ottla`.

use ottla_client::{Client, ClientConfig};
use ottla_protocol::compression::Compression;
use ottla_tests::program::Program;
use ottla_tests::server::{can_test, unique};
use ottla_tests::timestamp::now_ms;
use ottla_tests::{Agent, ClientLibrary, Record, Server, binary, partition};

const CODECS: [(&str, Compression); 4] = [
    ("gzip", Compression::Gzip),
    ("snappy", Compression::Snappy),
    ("lz4", Compression::Lz4),
    ("zstd", Compression::Zstd),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_library_reads_what_every_other_compressed() {
    let libraries: Vec<ClientLibrary> =
        ClientLibrary::ALL.into_iter().filter(|library| can_test(&[library.runtime()])).collect();
    let server = Server::start().await;
    let mut agents = Vec::new();
    for library in &libraries {
        agents.push(library.start(&server.bootstrap_servers(), server.logs()).await);
    }
    for (codec, compression) in CODECS {
        check(codec, compression, &libraries, &mut agents, &server).await;
    }
}

async fn check(
    codec: &str,
    compression: Compression,
    libraries: &[ClientLibrary],
    agents: &mut [Agent],
    server: &Server,
) {
    let Some(partitions) = i32::try_from(agents.len()).ok().filter(|count| *count > 0) else { return };
    let topic = unique(codec);
    agents[0].create_topic(&topic, partitions).await;
    let mut written = Vec::new();
    for (partition, agent) in (0..).zip(agents.iter_mut()) {
        let mut records = compressible(partition, libraries[partition as usize].name());
        agent.produce(&topic, codec, &mut records).await;
        written.extend(records);
    }
    for (library, agent) in libraries.iter().zip(agents.iter_mut()) {
        agent.subscribe(&topic, &unique("interop")).await;
        assert!(agent.poll(written.len()).await == written, "{} reads {codec} differently", library.name());
        agent.close().await;
    }
    stays_compressed(&topic, compression, libraries, server).await;
    ottla_reads(&topic, &written, server).await;
}

/// A broker whose ApiVersions a library does not like makes it compress no more, silently.
async fn stays_compressed(
    topic: &str,
    compression: Compression,
    libraries: &[ClientLibrary],
    server: &Server,
) {
    let client =
        Client::connect(ClientConfig::new(server.bootstrap_servers())).await.expect("the server serves");
    for (partition, library) in (0..).zip(libraries) {
        let stored = partition::read(&client, topic, partition).await;
        assert!(
            stored.iter().all(|record| record.compression == compression),
            "{} did not compress",
            library.name()
        );
    }
}

async fn ottla_reads(topic: &str, written: &[Record], server: &Server) {
    let ottla = Program::new(binary::ottla().await).shown_as("ottla");
    let count = written.len().to_string();
    let args = [
        "consume",
        topic,
        "--from-beginning",
        "--max-messages",
        &count,
        "--format",
        "json",
        "--bootstrap-server",
    ];
    let consumed = ottla.args(args).args([server.bootstrap_servers()]).run().await;
    let mut values: Vec<String> = consumed
        .lines()
        .into_iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a JSON object a line"))
        .map(|record| record["value"].as_str().expect("a value").to_owned())
        .collect();
    let mut expected: Vec<String> = written.iter().filter_map(|record| record.value.clone()).collect();
    values.sort_unstable();
    expected.sort_unstable();
    assert!(values == expected, "ottla consume reads {topic} differently");
}

/// Enough, and repetitive enough, for a library to see a use in compressing it.
fn compressible(partition: i32, library: &str) -> Vec<Record> {
    let start_ms = now_ms();
    let record = |at: i64| Record {
        partition,
        offset: -1,
        timestamp: start_ms + at,
        key: Some(format!("{library} {at}")),
        value: Some(format!("{library} {at} {}", "compresses well, ".repeat(200))),
        headers: Vec::new(),
    };
    (0..20).map(record).collect()
}
