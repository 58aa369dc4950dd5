//! How long a test waits for its broker.

use std::time::Instant;

use ottla_client::{Acks, Client, ClientConfig};
use ottla_protocol::Compression;
use ottla_protocol::batch::BatchBuilder;

use crate::broker::Broker;

#[tokio::test]
async fn the_first_record_is_acknowledged_soon_after_the_start() {
    let mut builder = BatchBuilder::new(Compression::None);
    builder.push(0, None, Some(b"first")).unwrap();
    let batch = builder.build().unwrap();

    let started = Instant::now();
    let broker = Broker::ephemeral();
    let ready = started.elapsed();
    let client = Client::connect(ClientConfig::new(&broker.bootstrap_servers)).await.unwrap();
    client.produce("made-on-the-way", 0, batch, Acks::All).await.unwrap();
    let acknowledged = started.elapsed();
    println!("start to ready line {ready:.1?}, to first acknowledged record {acknowledged:.1?}");
    // Generous: the machine may be busy, and this is a debug build.
    assert!(acknowledged.as_secs() < 5, "{acknowledged:?}");
}
