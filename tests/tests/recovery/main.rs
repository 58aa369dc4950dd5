//! The streaming engine is ended at any step of any write, again and again, and the broker is killed beside it: what a
//! sink holds in the end is what a run without faults leaves.
//!
//! `OTTLA_RECOVERY_SEED=7` runs one seed alone; `OTTLA_RECOVERY_SEEDS=1000` as many of each kind.

mod job;
mod output;

use std::path::Path;
use std::sync::Arc;

use ottla_broker::{Broker, Config};
use ottla_client::{Client, ClientConfig};
use ottla_tests::killable::KillableBroker;
use ottla_tests::postgres::Postgres;
use ottla_tests::random::Random;

use job::{Job, Query};
use output::Output;

/// Seeds of each kind in CI; each ends the engine half a dozen times.
const SEEDS: u64 = 10;
/// A batch of these jobs passes fewer steps than this.
const STEPS: usize = 60;

fn seeds() -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number"));
    match number("OTTLA_RECOVERY_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("OTTLA_RECOVERY_SEEDS").unwrap_or(SEEDS)).collect(),
    }
}

/// Runs the job to its end, which it reaches after some runs that end sooner.
async fn run_with_ends(job: &Job, checkpoint: &Path, random: &mut Random) -> usize {
    let mut ended = 0;
    while !job.run(checkpoint, Some(1 + random.below(STEPS))).await {
        ended += 1;
        assert!(ended < 500, "the job comes to its end");
    }
    ended
}

async fn check(output: &Output, query: Query) {
    let broker = Broker::start(Config::ephemeral()).await.expect("Ottla starts");
    let servers = broker.bootstrap_servers();
    let client = Client::connect(ClientConfig::new(&servers)).await.expect("the broker serves");
    job::fill(&client).await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    let whole = Job::new(&servers, query, output, dir.path(), "whole", &client).await;
    assert!(
        whole.run(&dir.path().join("whole-checkpoint"), None).await,
        "a run without faults ends by itself"
    );
    let expected = whole.rows(&client).await;
    assert!(expected.len() > 10, "the job has rows");
    let mut ended = 0;
    for seed in seeds() {
        let name = format!("seed-{seed}");
        let job = Job::new(&servers, query, output, dir.path(), &name, &client).await;
        ended +=
            run_with_ends(&job, &dir.path().join(format!("{name}-checkpoint")), &mut Random::new(seed)).await;
        assert_eq!(job.rows(&client).await, expected, "seed {seed} of {} and {query:?}", output.name());
    }
    println!("{}, {query:?}: ended {ended} times", output.name());
}

#[tokio::test(flavor = "multi_thread")]
async fn files_have_each_row_of_a_stateless_query_once() {
    check(&Output::File, Query::Stateless).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_have_each_window_once() {
    check(&Output::File, Query::Windows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_written_exactly_once_has_each_row_of_a_stateless_query_once() {
    check(&Output::Kafka, Query::Stateless).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_written_exactly_once_has_each_window_once() {
    check(&Output::Kafka, Query::Windows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_postgresql_has_each_row_once() {
    if let Some(postgres) = Postgres::start() {
        let output = Output::Postgres(Arc::new(postgres));
        check(&output, Query::Stateless).await;
        check(&output, Query::Windows).await;
    }
}

/// The broker goes and comes back in the middle of each run.
#[tokio::test(flavor = "multi_thread")]
async fn the_broker_may_be_killed_as_well() {
    let Some(mut broker) = KillableBroker::start().await else {
        return;
    };
    let servers = broker.bootstrap_servers().to_owned();
    let client = Client::connect(ClientConfig::new(&servers)).await.expect("the broker serves");
    job::fill(&client).await;
    let dir = tempfile::tempdir().expect("a temporary folder");
    for query in [Query::Stateless, Query::Windows] {
        let whole = Job::new(&servers, query, &Output::Kafka, dir.path(), "whole", &client).await;
        assert!(whole.run(&dir.path().join(format!("whole-{query:?}")), None).await);
        let expected = whole.rows(&client).await;
        for seed in seeds().into_iter().take(3) {
            let mut random = Random::new(seed);
            let job =
                Job::new(&servers, query, &Output::Kafka, dir.path(), &format!("killed-{seed}"), &client)
                    .await;
            let checkpoint = dir.path().join(format!("killed-{query:?}-{seed}"));
            loop {
                let steps = Some(1 + random.below(STEPS));
                let (is_done, ()) = tokio::join!(job.run(&checkpoint, steps), broker.kill_and_restart());
                if is_done {
                    break;
                }
            }
            assert_eq!(job.rows(&client).await, expected, "seed {seed} of {query:?}");
        }
    }
}
