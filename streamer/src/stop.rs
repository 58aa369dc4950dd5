//! Asks a running query to end after the batch that runs.

use tokio::sync::watch;

/// The side that asks. Dropping it asks nothing.
#[derive(Clone, Debug)]
pub struct Stopper(watch::Sender<bool>);

/// The side of the query.
#[derive(Clone, Debug)]
pub struct StopSignal(watch::Receiver<bool>);

pub fn channel() -> (Stopper, StopSignal) {
    let (sender, receiver) = watch::channel(false);
    (Stopper(sender), StopSignal(receiver))
}

impl Stopper {
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl StopSignal {
    pub fn is_requested(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns when it is asked; never, if nobody can ask any more.
    pub async fn requested(&mut self) {
        if self.0.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
