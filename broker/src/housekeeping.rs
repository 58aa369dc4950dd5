//! Work that no client waits for.

use std::sync::Arc;

use crate::config::DataPlace;
use crate::state::BrokerState;

/// Every `log.flush.offset.checkpoint.interval.ms`: brings logs that have grown to the disk, notes how far, so that
/// little has to be checked after a kill, and forgets idle producers. A broker that nobody writes to does not touch
/// its disk.
pub(crate) async fn run(broker: Arc<BrokerState>) {
    let interval_ms = i64::from(broker.config.settings.log_flush_offset_checkpoint_interval_ms);
    loop {
        broker.clock.sleep_until(broker.clock.monotonic_ms().saturating_add(interval_ms)).await;
        let broker = broker.clone();
        // A flush waits for the disk, which would hold up the connections of this thread.
        if let Err(error) = tokio::task::spawn_blocking(move || keep_house(&broker)).await {
            tracing::error!("housekeeping failed: {error}");
        }
    }
}

/// Every `log.retention.check.interval.ms`: drops segments whose retention is over.
pub(crate) async fn run_retention(broker: Arc<BrokerState>) {
    let settings = &broker.config.settings;
    let interval_ms = settings.log_retention_check_interval_ms;
    let mut wait_ms = settings.log_initial_task_delay_ms;
    loop {
        broker.clock.sleep_until(broker.clock.monotonic_ms().saturating_add(wait_ms)).await;
        wait_ms = interval_ms;
        let broker = broker.clone();
        // To remove a large file takes a while.
        let checked = tokio::task::spawn_blocking(move || broker.topics.delete_old_segments());
        if let Err(error) = checked.await {
            tracing::error!("the check for old segments failed: {error}");
        }
    }
}

fn keep_house(broker: &BrokerState) {
    let settings = &broker.config.settings;
    broker.topics.expire_producers(i64::from(settings.producer_id_expiration_ms));
    // What goes with the broker needs no disk.
    if broker.config.data == DataPlace::Ephemeral {
        return;
    }
    if let Err(error) = broker.topics.flush() {
        tracing::warn!("cannot flush: {error}; what was acknowledged is in the page cache");
    }
}
