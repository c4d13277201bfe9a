//! What happens on a signal while JavaScript cannot hear it, because a handler blocks its thread.
//!
//! Node notes a signal at once, and tells JavaScript when the event loop turns again: a handler in
//! an endless loop would make the process deaf to SIGTERM. This listens beside it. Not on Windows:
//! there only one of the two would hear Ctrl-C, and the other has to be JavaScript.

use std::sync::Arc;
use std::time::Duration;

use crate::Shared;

/// On a signal: stops the service, and ends the process when JavaScript still has not asked for
/// the same when the grace is over.
#[cfg(unix)]
pub(crate) fn watch(shared: Arc<Shared>, grace: Duration) {
    let watching = std::thread::Builder::new()
        .name("tasker-worker-signals".into())
        .spawn(move || unix::wait_and_end(&shared, grace));
    if let Err(error) = watching {
        eprintln!("warning: signals are not heard while a handler blocks the event loop: {error}");
    }
}

#[cfg(not(unix))]
pub(crate) fn watch(_shared: Arc<Shared>, _grace: Duration) {}

#[cfg(unix)]
mod unix {
    use std::sync::atomic::Ordering;
    use std::thread;
    use std::time::{Duration, Instant};

    use tasker_shared::serve;

    use crate::Shared;

    /// How much longer than the running steps JavaScript may be deaf.
    const SLACK: Duration = Duration::from_secs(1);
    const LOOK: Duration = Duration::from_millis(50);

    pub(super) fn wait_and_end(shared: &Shared, grace: Duration) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        if let Err(error) = runtime.and_then(|it| it.block_on(serve::signal())) {
            eprintln!("warning: cannot listen to signals: {error}");
            return;
        }
        let end = Instant::now() + grace + SLACK;
        shared.signalled.store(true, Ordering::Release);
        shared.stop();
        while !shared.asked.load(Ordering::Acquire) {
            if Instant::now() >= end {
                eprintln!("warning: a handler blocks the event loop; the process ends without it");
                // SAFETY: it takes no pointer. As after every graceful end, and at once: exit
                // handlers would run beside JavaScript's thread, which is still at work.
                unsafe { libc::_exit(0) }
            }
            thread::sleep(LOOK);
        }
    }
}
