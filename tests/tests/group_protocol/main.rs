//! The same conversations about groups with Ottla and with Kafka itself: every answer must be the same.

mod conversation;
mod scenarios;

use ottla_broker::{Broker, Config};
use ottla_tests::runtime::{self, Runtime};
use ottla_tests::{ApacheKafka, console};

use conversation::Conversation;

#[tokio::test(flavor = "multi_thread")]
async fn ottla_answers_as_kafka_does() {
    if !runtime::present(&[Runtime::Java]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let kafka = ApacheKafka::start(dir.path()).await;
    let ottla = Broker::start(Config::ephemeral()).await.unwrap();
    for (name, scenario) in scenarios::ALL {
        console::say(&format!("{name}, with Kafka and with Ottla"));
        let expected = scenario(Conversation::start(kafka.bootstrap_servers(), name).await).await;
        let answered = scenario(Conversation::start(&ottla.bootstrap_servers(), name).await).await;
        let at =
            answered.iter().zip(&expected).take_while(|(answered, expected)| answered == expected).count();
        let (answered, expected) = (answered.get(at), expected.get(at));
        assert_eq!(answered, expected, "{name}: Ottla on the left, Kafka on the right, after {at} lines");
    }
}
