//! Clients that mean harm, or are broken: the broker's memory stays under a stated limit, and nothing that was
//! acknowledged is lost.
//!
//! Each scenario is one test on a broker of its own. How long other clients wait is printed: quiet; while another broker
//! on this machine is disturbed; while their own is. It is judged in the longer run by hand alone, on a machine with
//! nothing else to do, where the best of [`ATTEMPTS`] may be twice as long at most at the 99th percentile:
//! `OTTLA_HOSTILE_SECONDS=10 cargo test --release -p ottla-tests --test hostile -- --nocapture` keeps each disturbance up
//! for so long. A disturbance that takes all the processors it can get slows everybody on the machine, whatever a broker
//! does; so there the wait beside the other broker is what counts as before.

mod background;
mod floods;
mod victim;

use ottla_tests::open_files;
use ottla_tests::ottla_process::OttlaProcess;
use tempfile::TempDir;
use tokio::sync::Mutex;

use crate::floods::Flood;
use crate::victim::Victim;

/// What the broker may take of the machine's memory, whatever its clients do: besides this, topics take theirs.
const MEMORY_LIMIT_BYTES: u64 = 384 << 20;

/// As often as quiet and disturbed waiting times are compared.
const ATTEMPTS: usize = 6;

/// Of the 99th percentiles.
const SLOWER_AT_MOST: f64 = 2.0;

/// Held by the scenario that runs: they would disturb each other.
static ALONE: Mutex<()> = Mutex::const_new(());

macro_rules! scenarios {
    ($($scenario:ident: $flood:expr;)*) => {$(
        #[tokio::test(flavor = "multi_thread")]
        async fn $scenario() {
            disturb(stringify!($scenario), $flood).await;
        }
    )*};
}

scenarios! {
    ten_thousand_idle_connections: Flood::Idle { connections: open_files::connections(10_000) };
    requests_that_never_end: Flood::Unfinished { connections: open_files::connections(2_000) };
    responses_that_nobody_reads: Flood::Unread { connections: open_files::connections(300) };
    metadata_requests: Flood::Metadata;
    metadata_requests_that_create_topics: Flood::CreateTopics;
    fetch_sessions: Flood::FetchSessions;
    fetches_that_wait: Flood::Fetches { connections: open_files::connections(500) };
    groups_of_members_with_much_to_say: Flood::Groups;
    records_for_unknown_topics: Flood::UnknownTopics;
}

async fn disturb(what: &str, flood: Flood) {
    let _alone = ALONE.lock().await;
    let (dir, other_dir) = (temporary(), temporary());
    let broker = OttlaProcess::start("127.0.0.1:0", dir.path(), &[]).await;
    let other = OttlaProcess::start("127.0.0.1:0", other_dir.path(), &[]).await;
    let mut victim = Victim::start(&broker).await;
    flood.prepare(broker.bootstrap_servers()).await;
    flood.prepare(other.bootstrap_servers()).await;
    let hostile = background::runtime();
    let judged = victim::duration_from_env();
    let mut best = f64::INFINITY;
    for _ in 0..ATTEMPTS {
        let quiet = victim.p99(judged.unwrap_or_default()).await;
        let elsewhere = victim.p99_beside(flood, &other, &hostile).await;
        let disturbed = victim.p99_beside(flood, &broker, &hostile).await;
        let before = if flood.is_busy() { elsewhere } else { quiet };
        best = best.min(disturbed.as_secs_f64() / before.as_secs_f64());
        println!(
            "{what}: p99 {quiet:?} quiet, {elsewhere:?} beside a broker so disturbed, {disturbed:?} on it; at most {} MB",
            victim.most_memory_bytes() >> 20
        );
        if best <= SLOWER_AT_MOST || judged.is_none() {
            break;
        }
    }
    hostile.shutdown_background();
    victim.expect_all_records().await;
    assert!(victim.most_memory_bytes() <= MEMORY_LIMIT_BYTES, "{} bytes", victim.most_memory_bytes());
    assert!(best <= SLOWER_AT_MOST || judged.is_none(), "others wait {best:.2} times as long");
}

fn temporary() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}
