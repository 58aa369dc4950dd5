//! What ends the broker: a signal of the platform, or its parent's end.

use std::future::Future;
use std::io;

use super::parent;

/// Installs the signal handlers; the future that it returns ends with the reason to shut down.
pub(super) fn requested(exit_with_parent: bool) -> io::Result<impl Future<Output = &'static str>> {
    let signal = signals::any()?;
    let parent_gone = exit_with_parent.then(parent::gone);
    Ok(async move {
        let parent_gone = async {
            match parent_gone {
                Some(parent_gone) => parent_gone.await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            reason = signal => reason,
            () = parent_gone => "the parent process has ended",
        }
    })
}

/// Ctrl-C while the broker is already shutting down.
pub(super) async fn interrupted_again() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
mod signals {
    use std::future::Future;
    use std::io;

    use tokio::signal::unix::{SignalKind, signal};

    pub(super) fn any() -> io::Result<impl Future<Output = &'static str>> {
        let (mut interrupt, mut terminate) =
            (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => "Ctrl-C",
                _ = terminate.recv() => "SIGTERM",
            }
        })
    }
}

#[cfg(windows)]
mod signals {
    use std::future::Future;
    use std::io;

    use tokio::signal::windows::{ctrl_break, ctrl_c, ctrl_close, ctrl_shutdown};

    pub(super) fn any() -> io::Result<impl Future<Output = &'static str>> {
        let (mut interrupt, mut interrupt_group) = (ctrl_c()?, ctrl_break()?);
        let (mut close, mut shutdown) = (ctrl_close()?, ctrl_shutdown()?);
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => "Ctrl-C",
                _ = interrupt_group.recv() => "Ctrl-Break",
                _ = close.recv() => "the window is closing",
                _ = shutdown.recv() => "the system is shutting down",
            }
        })
    }
}
