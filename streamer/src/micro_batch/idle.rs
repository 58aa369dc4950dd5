//! What a query does between batches: it waits for data, or for the trigger's next tick.

use std::time::{Duration, Instant};

use super::{StreamingQuery, StreamingQueryError, now_ms};
use crate::event::StreamingQueryEvent;
use crate::source::Offset;
use crate::stop::StopSignal;

/// How long a source holds back its answer while nothing comes; new partitions are looked for as often.
pub(super) const MAX_IDLE: Duration = Duration::from_millis(500);

/// Spark's `spark.sql.streaming.noDataProgressEventInterval`.
const IDLE_EVENT_INTERVAL: Duration = Duration::from_secs(10);

impl StreamingQuery {
    pub(super) async fn idle(
        &mut self,
        interval: Duration,
        from: &[Option<Offset>],
        stop: &mut StopSignal,
    ) -> Result<(), StreamingQueryError> {
        if self.last_event.elapsed() >= IDLE_EVENT_INTERVAL {
            self.last_event = Instant::now();
            let event = StreamingQueryEvent::idle(self.checkpoint.query_id(), self.run_id, now_ms());
            self.observer.lock().event(&event);
        }
        if !interval.is_zero() {
            wait_for_tick(interval, stop).await;
            return Ok(());
        }
        let sources = self.sources.iter_mut().zip(from);
        let waits = sources.map(|(source, from)| source.wait_for_data(from.as_ref(), MAX_IDLE));
        tokio::select! {
            () = stop.requested() => {}
            (first, _, _) = futures::future::select_all(waits) => first?,
        }
        Ok(())
    }
}

/// Waits for the next multiple of the interval on the clock, as Spark's triggers do.
pub(super) async fn wait_for_tick(interval: Duration, stop: &mut StopSignal) {
    let interval_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX);
    if interval_ms == 0 {
        return;
    }
    let wait_ms = interval_ms - now_ms().rem_euclid(interval_ms);
    tokio::select! {
        () = stop.requested() => {}
        () = tokio::time::sleep(Duration::from_millis(wait_ms.unsigned_abs())) => {}
    }
}
