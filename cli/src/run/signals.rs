//! SIGINT and SIGTERM stop a run gently: objects in flight come to their end, no more are taken up. A second one ends the
//! program at once, which is safe too: what is recorded stays, and the next run goes on.

use std::thread::JoinHandle;

use handlers::runner::Runner;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::error::Error;
use crate::exit::Exit;
use crate::output::note;

/// Listens on a thread of its own, so that a worker in the middle of a large object delays nothing.
#[derive(Debug)]
pub(super) struct Signals {
    end: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Signals {
    /// Starts to listen.
    pub(super) fn listen(runner: Runner) -> Result<Self, Error> {
        let failed = |cause| Error::Threads { cause };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().map_err(failed)?;
        let (end, ended) = oneshot::channel();
        let (interrupt, terminate) = {
            let _inside = runtime.enter();
            (signal(SignalKind::interrupt()).map_err(failed)?, signal(SignalKind::terminate()).map_err(failed)?)
        };
        let listen = move || runtime.block_on(wait(runner, interrupt, terminate, ended));
        let thread = std::thread::Builder::new().name("signals".to_owned()).spawn(listen).map_err(failed)?;
        Ok(Self { end, thread })
    }

    /// Stops to listen.
    pub(super) fn stop(self) {
        // The thread may have ended before: then nobody hears, and that is well.
        self.end.send(()).ok();
        self.thread.join().ok();
    }
}

async fn wait(runner: Runner, mut interrupt: Signal, mut terminate: Signal, mut ended: oneshot::Receiver<()>) {
    let mut asked = false;
    loop {
        tokio::select! {
            _ = &mut ended => return,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if asked {
            std::process::exit(i32::from(Exit::TryAgain.code()));
        }
        asked = true;
        runner.stop();
        note("stopping: objects in flight come to their end; once more ends at once, and nothing is lost\n");
    }
}
