//! The client against a real Kafka: `OTTLA_TEST_KAFKA=host:port cargo test -p ottla-client --test kafka`.
//! Without the variable each test says that it was skipped.

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

against_kafka! {
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
