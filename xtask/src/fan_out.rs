//! Short jobs, many at once.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How long nothing may be taken up before more threads help.
const PATIENCE: Duration = Duration::from_millis(1);
/// Threads at the beginning, where there are fewer processors.
const FEW: usize = 4;

/// What a mutex guards, also after a thread that held it has panicked: what is kept so here is whole after each
/// step.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Does `work` for every job and returns the results in the order of the jobs.
///
/// A thread costs more than a quick job, and must not make others wait for a slow one: it begins with a few,
/// and as long as jobs are left that nobody takes up, their number doubles.
pub fn fan_out<T: Sync, R: Send>(jobs: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<R>>> = jobs.iter().map(|_| Mutex::new(None)).collect();
    let take_up = || {
        loop {
            let n = next.fetch_add(1, Ordering::Relaxed);
            let (Some(job), Some(result)) = (jobs.get(n), results.get(n)) else {
                return;
            };
            let done = work(job);
            if let Ok(mut result) = result.lock() {
                *result = Some(done);
            }
        }
    };
    thread::scope(|scope| {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let mut more = processors.max(FEW).min(jobs.len());
        let mut threads = 0;
        loop {
            for _ in 0..more {
                scope.spawn(take_up);
            }
            threads += more;
            let mut taken = next.load(Ordering::Relaxed);
            loop {
                if taken >= jobs.len() {
                    return;
                }
                thread::sleep(PATIENCE);
                let now = next.load(Ordering::Relaxed);
                if now == taken {
                    break;
                }
                taken = now;
            }
            more = threads.min(jobs.len().saturating_sub(taken));
        }
    });
    let results = results.into_iter();
    results.filter_map(|it| it.into_inner().ok()?).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::time::Instant;

    use super::*;

    #[test]
    fn results_come_in_the_order_of_the_jobs() {
        for n in [0, 1, 3, 1000] {
            let jobs: Vec<usize> = (0..n).collect();
            let expected: Vec<usize> = jobs.iter().map(|it| it * 2).collect();
            assert_eq!(fan_out(&jobs, |it| it * 2), expected);
        }
    }

    /// Each waits for all others: with fewer threads than jobs, none would ever end.
    #[test]
    fn slow_jobs_do_not_wait_for_each_other() {
        let jobs = [(); 50];
        let all = Barrier::new(jobs.len());
        let since = Instant::now();
        assert_eq!(fan_out(&jobs, |()| all.wait()).len(), jobs.len());
        assert!(
            since.elapsed() < Duration::from_secs(5),
            "{:?}",
            since.elapsed()
        );
    }
}
