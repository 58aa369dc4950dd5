//! Threads for what hostile clients do themselves. On a machine of their own they would take nothing from the broker's
//! processors; here the system runs them when it has nothing else to do.

use tokio::runtime::{Builder, Runtime};

/// From wherever it was, this makes a thread as nice as can be.
#[cfg(target_os = "linux")]
const NICER: i32 = 40;

pub(crate) fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().on_thread_start(give_way);
    builder.build().expect("a runtime for hostile clients")
}

/// On Linux a thread is nice by itself, elsewhere the process is.
#[cfg(target_os = "linux")]
fn give_way() {
    rustix::process::nice(NICER).expect("every thread may become nicer");
}

#[cfg(not(target_os = "linux"))]
fn give_way() {}
