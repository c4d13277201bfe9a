//! Waiting without the GVL, Ruby's lock: other Ruby threads run meanwhile, and signals, `Thread#kill`
//! and `Thread#raise` end the wait at once. All `unsafe` code of this crate is here.

use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use magnus::rb_sys::protect;
use magnus::{Error, Ruby};
use rb_sys::{Qnil, rb_thread_call_without_gvl2};

/// How often a thread that may be the main one looks for signals. Before Ruby 3.3 one is only noticed
/// while some thread sleeps the Ruby way, and ours may all be here.
const SIGNAL_INTERVAL: Duration = Duration::from_millis(100);

/// A state that Ruby threads wait on and that any thread changes.
///
/// Its lock is only held for moments and never while Ruby is called: who has it waits for nothing.
#[derive(Default)]
pub(crate) struct Monitor<S> {
    state: Mutex<S>,
    changed: Condvar,
}

/// What a waiting thread is woken through. Another thread has it, by a shared reference, while the
/// waiting one has the rest of [`Wait`] for itself.
struct Wakeup<'a, S> {
    monitor: &'a Monitor<S>,
    interrupted: AtomicBool,
}

struct Wait<'a, S, R, P> {
    wakeup: &'a Wakeup<'a, S>,
    pick: P,
    /// The longest time without a look for what Ruby wants.
    interval: Option<Duration>,
    found: Option<R>,
}

impl<S> Monitor<S> {
    /// Looks at the state or changes it; wakes nobody.
    pub(crate) fn with<R>(&self, work: impl FnOnce(&mut S) -> R) -> R {
        work(&mut self.lock())
    }

    /// Changes the state, and wakes one of those who wait.
    pub(crate) fn notify_one(&self, change: impl FnOnce(&mut S)) {
        self.with(change);
        self.changed.notify_one();
    }

    /// Changes the state, and wakes all who wait.
    pub(crate) fn notify_all(&self, change: impl FnOnce(&mut S)) {
        self.with(change);
        self.changed.notify_all();
    }

    /// Waits until `pick` finds what it looks for, without the GVL.
    ///
    /// # Errors
    /// What interrupts the thread: Ctrl-C, `Thread#kill`, `Thread#raise`. Nothing was picked then.
    pub(crate) fn wait<R>(
        &self,
        ruby: &Ruby,
        pick: impl FnMut(&mut S) -> Option<R>,
    ) -> Result<R, Error> {
        self.wait_looking(ruby, None, pick)
    }

    fn wait_looking<R>(
        &self,
        ruby: &Ruby,
        interval: Option<Duration>,
        pick: impl FnMut(&mut S) -> Option<R>,
    ) -> Result<R, Error> {
        let wakeup = Wakeup {
            monitor: self,
            interrupted: AtomicBool::new(false),
        };
        let mut wait = Wait {
            wakeup: &wakeup,
            pick,
            interval,
            found: None,
        };
        loop {
            // Here, and with the GVL, is where Ruby raises what is pending, or runs a `trap`.
            ruby.thread_check_ints()?;
            without_gvl(&mut wait)?;
            if let Some(found) = wait.found.take() {
                return Ok(found);
            }
        }
    }

    /// A panic below `with` leaves a state that is still one.
    fn lock(&self) -> MutexGuard<'_, S> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One wait, that ends early when the thread is interrupted. `..._gvl2` leaves the interruption
/// pending, and returns at once where there is one already: no interruption can fall between a look
/// for it and the wait.
fn without_gvl<S, R, P>(wait: &mut Wait<'_, S, R, P>) -> Result<(), Error>
where
    P: FnMut(&mut S) -> Option<R>,
{
    let wakeup: *const Wakeup<'_, S> = wait.wakeup;
    let wait: *mut Wait<'_, S, R, P> = wait;
    // `protect`, for it may raise all the same: where the main thread is the only one, Ruby starts a
    // second one for the time of the call, and joins it.
    protect(|| {
        // SAFETY: both pointers are those that `block` and `wake` take, and what they point to
        // outlives the call, after which Ruby calls neither. Neither function calls Ruby, panics or
        // has anything to drop.
        unsafe {
            rb_thread_call_without_gvl2(
                Some(block::<S, R, P>),
                wait.cast(),
                Some(wake::<S>),
                wakeup.cast_mut().cast(),
            );
        }
        Qnil.into()
    })?;
    Ok(())
}

/// Runs on the waiting thread, without the GVL.
unsafe extern "C" fn block<S, R, P>(wait: *mut c_void) -> *mut c_void
where
    P: FnMut(&mut S) -> Option<R>,
{
    // SAFETY: `without_gvl` passes this type, from an exclusive reference that it does not use
    // meanwhile.
    let wait = unsafe { &mut *wait.cast::<Wait<'_, S, R, P>>() };
    let Wakeup {
        monitor,
        interrupted,
    } = wait.wakeup;
    let mut state = monitor.lock();
    loop {
        wait.found = (wait.pick)(&mut state);
        if wait.found.is_some() || interrupted.swap(false, Ordering::Relaxed) {
            return std::ptr::null_mut();
        }
        state = match wait.interval {
            None => monitor.changed.wait(state),
            Some(interval) => {
                let waited = monitor.changed.wait_timeout(state, interval);
                let (state, waited) = waited.unwrap_or_else(PoisonError::into_inner);
                if waited.timed_out() {
                    interrupted.store(true, Ordering::Relaxed);
                }
                Ok(state)
            }
        }
        .unwrap_or_else(PoisonError::into_inner);
    }
}

/// Runs on any thread, when Ruby wants the waiting one back.
unsafe extern "C" fn wake<S>(wakeup: *mut c_void) {
    // SAFETY: `without_gvl` passes this type, which is only ever used by shared references.
    let Wakeup {
        monitor,
        interrupted,
    } = unsafe { &*wakeup.cast::<Wakeup<'_, S>>() };
    // Under the lock: the waiting thread has not looked yet, or it sleeps already.
    monitor.notify_all(|_| interrupted.store(true, Ordering::Relaxed));
}

/// Does work that takes its time on a thread without Ruby, and waits for it without the GVL.
///
/// # Errors
/// What interrupts the calling thread, see [`Monitor::wait`]: the work goes on without it. And a panic
/// of the work, as an exception.
pub(crate) fn aside<T: Send + 'static>(
    ruby: &Ruby,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let failed = |why: String| {
        Error::new(
            ruby.exception_runtime_error(),
            format!("tasker_core: {why}"),
        )
    };
    let result = Arc::new(Monitor::default());
    let there = Arc::clone(&result);
    thread::Builder::new()
        .name("tasker-aside".to_owned())
        .spawn(move || {
            let done = catch_unwind(AssertUnwindSafe(work));
            there.notify_one(|result| *result = Some(done));
        })
        .map_err(|error| failed(error.to_string()))?;
    result
        .wait_looking(ruby, Some(SIGNAL_INTERVAL), Option::take)?
        .map_err(|_| failed("a panic, which stderr tells of".to_owned()))
}
