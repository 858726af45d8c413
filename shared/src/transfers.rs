//! A thread on which files pass through a process, from one socket to the disk or to the next socket.
//!
//! HTTP clients read into buffers of some hundred KiB. The allocator gives a block of more than 64 KiB out again at once
//! where the thread that made it frees it; those that other threads free heap up for thousands of allocations, tens of MiB of
//! them. So whoever reads a file lets all of it be read on this thread, and hands on no piece that is larger.

use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;
use tokio_util::task::AbortOnDropHandle;

/// Bytes of a file that are handed from thread to thread.
pub const PIECE_BYTES: usize = 32 * 1024;

/// A thread with a runtime of its own. Dropped, it ends with all that runs on it.
#[derive(Debug)]
pub struct TransferThread {
    handle: Handle,
    _stop: oneshot::Sender<()>,
}

impl TransferThread {
    /// Starts it.
    ///
    /// # Errors
    /// When the system has no thread for it.
    pub fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        std::thread::Builder::new()
            .name("transfers".to_owned())
            .spawn(move || {
                // An error says that its owner is gone, as it should be.
                let _ = runtime.block_on(stopped);
            })?;
        Ok(Self { handle, _stop: stop })
    }

    /// Runs `work` there, until it ends or what this answers is dropped.
    pub fn spawn<W>(&self, work: W) -> AbortOnDropHandle<W::Output>
    where
        W: Future<Output: Send> + Send + 'static,
    {
        AbortOnDropHandle::new(self.handle.spawn(work))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_runs_on_the_thread_ends_with_it() {
        let thread = TransferThread::start().unwrap();
        let there = thread.spawn(async { std::thread::current().name().map(str::to_owned) });
        assert_eq!(there.await.unwrap().as_deref(), Some("transfers"));
        let forever = thread.spawn(std::future::pending::<()>());
        drop(thread);
        assert!(forever.await.unwrap_err().is_cancelled());
    }
}
