//! Running beside a tokio runtime: the workers have threads of their own, and the runtime is entered on each, so that the
//! futures of `fetch` and `spawn` can use its timers, its sockets and its tasks. They are still polled by their worker.

use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::oneshot;

use super::run::{RunError, Server, thread};

/// `run` on the only thread of a runtime would stop the runtime.
pub(super) fn refuse_blocking() -> Result<(), RunError> {
    match Handle::try_current() {
        Ok(runtime) if runtime.runtime_flavor() == RuntimeFlavor::CurrentThread => Err(RunError::BlocksRuntime),
        _ => Ok(()),
    }
}

/// Stops the server when the future that serves it is dropped.
struct StopOnDrop(Server);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.stop();
    }
}

impl Server {
    /// Runs until the server is stopped and its last socket has ended, beside the caller's tokio runtime: everything of
    /// tokio's works inside `fetch` and `spawn`. Dropping the future stops the server gracefully.
    ///
    /// # Errors
    /// When it ran before, or a worker cannot be started.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tidewire::{Server, Upgrade};
    ///
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// let server = Server::builder()
    ///     .fetch(|req, server| async move {
    ///         tokio::time::sleep(Duration::from_millis(1)).await;
    ///         server.upgrade(&req, Upgrade::new(()))
    ///     })
    ///     .bind("127.0.0.1:0")?;
    /// let stopper = server.clone();
    /// tokio::spawn(async move { stopper.stop() });
    /// server.serve().await?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn serve(&self) -> Result<(), RunError> {
        let runtime = Handle::current();
        let mut ends = Vec::new();
        let stop = StopOnDrop(self.clone());
        for (place, seat) in self.begin()?.into_iter().enumerate() {
            let (server, runtime) = (self.clone(), runtime.clone());
            let (end, ended) = oneshot::channel();
            thread(place, move || {
                let _entered = runtime.enter();
                // The receiver is gone when the caller has stopped waiting.
                let _ = end.send(server.work(place, seat));
            })?;
            ends.push(ended);
        }
        let mut result = Ok(());
        for ended in ends {
            result = result.and(ended.await.unwrap_or(Err(RunError::Panicked)));
        }
        drop(stop);
        result
    }
}
