//! Threads that wait for work awake.
//!
//! A token of a small model is a hundred short operations. To a thread that has fallen asleep between two of them the
//! next one is known only after the system has woken it up, which may take as long as the operation.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::Yield;

/// Calls of [`with_threads_awake`] that have not returned.
static CALLS: AtomicUsize = AtomicUsize::new(0);

/// Calls `f`; until it returns, the threads of the current rayon pool look for work all the time, and let other
/// processes run in between.
pub fn with_threads_awake<R>(f: impl FnOnce() -> R) -> R {
    struct Call;
    impl Drop for Call {
        fn drop(&mut self) {
            CALLS.fetch_sub(1, Ordering::Relaxed);
        }
    }
    let first = CALLS.fetch_add(1, Ordering::Relaxed) == 0;
    let _call = Call;
    if first && rayon::current_num_threads() > 1 {
        // A thread of the pool that waits for the others may pick up its own copy, and must come back from it.
        let caller = rayon::current_thread_index();
        rayon::spawn_broadcast(move |context| {
            while Some(context.index()) != caller && CALLS.load(Ordering::Relaxed) > 0 {
                if rayon::yield_now() != Some(Yield::Executed) {
                    std::thread::yield_now();
                }
            }
        });
    }
    f()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rayon::prelude::*;

    /// Many short parallel operations inside, from a member of the pool and from outside of it, side by side.
    #[test]
    fn what_runs_awake_comes_to_an_end() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(3).build().expect("threads");
        let work = || {
            let sums = (0..200_u64).map(|round| {
                (0..64_u32).into_par_iter().with_max_len(1).map(|i| u64::from(i) * round).sum::<u64>()
            });
            sums.sum::<u64>()
        };
        std::thread::scope(|scope| {
            let callers: Vec<_> = (0..4)
                .map(|caller| {
                    let pool = &pool;
                    scope.spawn(move || {
                        (0..20)
                            .map(|_| {
                                if caller % 2 == 0 {
                                    pool.install(|| with_threads_awake(work))
                                } else {
                                    with_threads_awake(work)
                                }
                            })
                            .sum::<u64>()
                    })
                })
                .collect();
            for caller in callers {
                assert_eq!(caller.join().expect("no panic"), 20 * 2016 * 19_900);
            }
        });
        assert_eq!(CALLS.load(Ordering::Relaxed), 0);
    }
}
