//! A log directory goes from Kafka 4.3.1 to Ottla and back, twice; each serves what the other has left.
#![cfg(unix)]

mod contents;

use std::path::{Path, PathBuf};

use ottla_tests::ottla_process::OttlaProcess;
use ottla_tests::{ApacheKafka, Program, Quorum, Runtime, View, binary, dump_log, runtime};
use tempfile::TempDir;

/// How a broker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stop,
    Kill,
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_stop_leave_everything_to_the_next() {
    there_and_back(Quorum::Configured, End::Stop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_are_killed_leave_everything_to_the_next() {
    there_and_back(Quorum::Standalone, End::Kill).await;
}

async fn there_and_back(quorum: Quorum, end: End) {
    if !runtime::present(&[Runtime::Java]) {
        return;
    }
    let directory = Directory::new(quorum, end);
    let kafka = ApacheKafka::start_at(&directory.log_dir, directory.dir.path(), quorum).await;
    contents::fill(kafka.bootstrap_servers(), directory.dir.path()).await;
    let mut seen = View::of(kafka.bootstrap_servers(), &contents::GROUPS).await;
    contents::check(&seen);
    directory.end_kafka(kafka).await;
    for round in 0..2 {
        seen = directory.ottla(&seen, round).await;
        seen = directory.kafka(&seen, round).await;
    }
    directory.ottla_ends_the_open_transaction(&seen).await;
}

struct Directory {
    dir: TempDir,
    log_dir: PathBuf,
    quorum: Quorum,
    end: End,
}

impl Directory {
    fn new(quorum: Quorum, end: End) -> Directory {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let log_dir = dir.path().join("data");
        Directory { dir, log_dir, quorum, end }
    }

    /// Lets Ottla have the directory, compares, and changes what is there.
    async fn ottla(&self, expected: &View, round: u32) -> View {
        let ottla = OttlaProcess::start("127.0.0.1:0", &self.log_dir, &[]).await;
        let bootstrap_servers = ottla.bootstrap_servers().to_owned();
        assert_eq!(View::of(&bootstrap_servers, &contents::GROUPS).await, *expected, "Ottla, round {round}");
        if round == 0 {
            self.expect_kafka_to_keep_out().await;
        }
        let changed = contents::change(&bootstrap_servers, self.dir(), &format!("ottla-{round}")).await;
        match self.end {
            End::Stop => {
                assert!(ottla.terminate().await.success());
                dump_log::expect_sound(&self.log_dir).await;
            }
            End::Kill => ottla.kill().await,
        }
        changed
    }

    /// The producer that left its transaction open when Kafka first ran comes back.
    async fn ottla_ends_the_open_transaction(&self, expected: &View) {
        let ottla = OttlaProcess::start("127.0.0.1:0", &self.log_dir, &[]).await;
        let bootstrap_servers = ottla.bootstrap_servers();
        assert_eq!(View::of(bootstrap_servers, &contents::GROUPS).await, *expected);
        contents::end_open_transaction(bootstrap_servers, self.dir()).await;
        let seen = View::of(bootstrap_servers, &contents::GROUPS).await;
        let (before, after) = (expected.partition("transactions", 0), seen.partition("transactions", 0));
        assert_eq!(after.last_stable_offset, after.end_offset);
        // The abort of what was left open; ten records and their commit.
        assert_eq!(after.end_offset, before.end_offset + 12);
        assert_eq!(after.aborted_transactions.len(), before.aborted_transactions.len() + 1);
        assert!(ottla.terminate().await.success());
        dump_log::expect_sound(&self.log_dir).await;
    }

    /// Its controller makes a metadata log all the same, before its broker finds the directory locked.
    async fn expect_kafka_to_keep_out(&self) {
        let kafka = ApacheKafka::try_take_over(&self.log_dir, self.dir(), self.quorum).await;
        assert!(!kafka.status.success(), "{kafka}");
        kafka.expect("Failed to acquire lock");
    }

    async fn expect_ottla_to_keep_out(&self) {
        let ottla =
            Program::new(binary::ottla().await).args(["serve", "--listen", "127.0.0.1:0", "--data-dir"]);
        let ottla = ottla.args([&self.log_dir]).finish().await;
        assert!(!ottla.status.success(), "{ottla}");
        ottla.expect("in use by another broker");
    }

    async fn kafka(&self, expected: &View, round: u32) -> View {
        let kafka = ApacheKafka::take_over_as(&self.log_dir, self.dir(), self.quorum).await;
        let bootstrap_servers = kafka.bootstrap_servers().to_owned();
        assert_eq!(View::of(&bootstrap_servers, &contents::GROUPS).await, *expected, "Kafka, round {round}");
        if round == 0 {
            self.expect_ottla_to_keep_out().await;
        }
        let changed = contents::change(&bootstrap_servers, self.dir(), &format!("kafka-{round}")).await;
        self.end_kafka(kafka).await;
        changed
    }

    async fn end_kafka(&self, kafka: ApacheKafka) {
        match self.end {
            End::Stop => kafka.stop().await,
            End::Kill => kafka.kill().await,
        }
    }

    fn dir(&self) -> &Path {
        self.dir.path()
    }
}
