//! The client against Ottla, a fresh broker for each scenario.

#[macro_use]
mod scenarios;

use ottla_broker::{Broker, Config};
use ottla_client::{Client, ClientConfig};

macro_rules! against_ottla {
    ($($scenario:ident,)*) => {$(
        #[tokio::test]
        async fn $scenario() {
            let broker = Broker::start(Config::ephemeral()).await.unwrap();
            let config = ClientConfig::new(broker.bootstrap_servers());
            scenarios::$scenario(Client::connect(config).await.unwrap()).await;
        }
    )*};
}

every_scenario!(against_ottla);
