//! The client against Ottla, a fresh broker for each scenario.

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

against_ottla! {
    topics_are_created_described_grown_and_deleted,
    configs_say_what_was_set,
    a_batch_comes_back_as_it_was_sent,
    acks_none_is_written_without_an_answer,
    a_fetch_waits_for_the_record_that_ends_it,
    offsets_are_listed_by_place_and_time,
    what_is_not_there_is_named,
    a_corrupt_batch_is_refused,
    a_topic_made_anew_is_found_again,
    committed_offsets_are_kept_by_group,
    members_share_the_partitions_of_their_group,
    the_producer_keeps_keys_together_and_in_order,
    the_cluster_describes_itself,
}
