//! The end of the process that started this one.
//!
//! Unix tells a process its parent's id, and gives it another parent when that one ends, so the id is looked at four
//! times a second. Linux could signal the end, but does so when the *thread* ends that started the process, and test
//! runners end threads all the time. Windows knows no parents; there, stdin is a pipe whose other end the parent
//! holds, and which closes with it however it dies.

use std::future::Future;

/// Looks at once who the parent is; the future ends with it.
#[cfg(unix)]
pub(super) fn gone() -> impl Future<Output = ()> {
    use std::os::unix::process::parent_id;
    use std::time::Duration;

    let parent = parent_id();
    async move {
        let mut interval = tokio::time::interval(Duration::from_millis(250));
        while parent_id() == parent {
            interval.tick().await;
        }
    }
}

/// Watches stdin from now on; the future ends with it.
#[cfg(windows)]
pub(super) fn gone() -> impl Future<Output = ()> {
    use std::io::Read;

    let (closed, is_closed) = tokio::sync::oneshot::channel();
    // Not one of tokio's threads: those are waited for, and this one may never end.
    std::thread::spawn(move || {
        let mut ignored = [0; 256];
        while matches!(std::io::stdin().read(&mut ignored), Ok(1..)) {}
        let _ = closed.send(());
    });
    async {
        let _ = is_closed.await;
    }
}
