//! The client against a real Kafka: `OTTLA_TEST_KAFKA=host:port cargo test -p ottla-client --test kafka`.
//! Without the variable each test says that it was skipped.

#[macro_use]
mod scenarios;

use ottla_client::{Client, ClientConfig};

macro_rules! against_kafka {
    ($($scenario:ident,)*) => {$(
        #[tokio::test]
        async fn $scenario() {
            match std::env::var("OTTLA_TEST_KAFKA") {
                Ok(servers) => scenarios::$scenario(Client::connect(ClientConfig::new(servers)).await.unwrap()).await,
                Err(_) => eprintln!("skipped: OTTLA_TEST_KAFKA names no broker"),
            }
        }
    )*};
}

every_scenario!(against_kafka);
