//! Threads that share the blocks of one loop after another.
//!
//! A token of generation is some hundred loops of a few microseconds, about what it costs to wake a thread
//! up. So a member that has finished a loop watches for the next one for a while before it sleeps.

use std::any::Any;
use std::cell::UnsafeCell;
use std::hint;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};
use std::thread::{self, Thread};

/// Turns of spinning before a thread yields to others: a few microseconds.
const SPINS: usize = 1 << 8;
/// Turns of waiting after which a member sleeps: a hundred microseconds or two. More would take the processor
/// from others that wait awake, such as libtorch's threads.
const PATIENCE: usize = 1 << 9;

/// Bits of [`Team::state`]: members inside the loop, never more than the bits below [`OPEN`] can count;
/// whether more may enter; and which loop it is.
const MEMBER: u64 = 1;
const MEMBERS: u64 = OPEN - 1;
const OPEN: u64 = 1 << 16;
const LOOP: u64 = 1 << 17;

/// The threads of one process that compute, besides those that ask them to.
pub(crate) struct Team {
    state: AtomicU64,
    /// What the members read while they are inside the loop.
    task: UnsafeCell<Task>,
    /// The next block that nobody has taken.
    next: AtomicUsize,
    /// Held by the thread whose loop it is.
    taken: AtomicBool,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    members: Vec<Member>,
}

#[derive(Clone, Copy)]
struct Task {
    count: usize,
    run: *const (dyn Fn(usize) + Sync),
}

#[derive(Default)]
struct Member {
    asleep: AtomicBool,
    thread: OnceLock<Thread>,
}

// SAFETY: `task` is written by the thread that holds `taken` while no member is inside the loop, and read by
// members that are; `state` orders the two. What it points to is `Sync` and outlives the loop.
unsafe impl Sync for Team {}

impl Team {
    /// The team of this process: as many threads as `OMP_NUM_THREADS` says, else one for each processor it
    /// may use.
    pub(crate) fn of_process() -> &'static Self {
        static TEAM: OnceLock<&'static Team> = OnceLock::new();
        TEAM.get_or_init(|| {
            // OpenMP's variable may name a number for each level of nesting.
            let asked = std::env::var("OMP_NUM_THREADS").ok();
            let asked = asked.and_then(|levels| levels.split(',').next()?.trim().parse().ok());
            let processors = || thread::available_parallelism().map_or(1, usize::from);
            Self::start(asked.filter(|number| *number > 0).unwrap_or_else(processors))
        })
    }

    /// A team of `threads`, of which the one that asks is one. It lives as long as the process.
    pub(crate) fn start(threads: usize) -> &'static Self {
        let team: &'static Self = Box::leak(Box::new(Self {
            state: AtomicU64::new(0),
            task: UnsafeCell::new(Task { count: 0, run: &|_| {} }),
            next: AtomicUsize::new(0),
            taken: AtomicBool::new(false),
            panic: Mutex::new(None),
            members: (1..threads.min(MEMBERS as usize)).map(|_| Member::default()).collect(),
        }));
        for (index, member) in team.members.iter().enumerate() {
            let name = format!("kiln-{}", index + 1);
            // A system that refuses the thread leaves its blocks to the others.
            if let Ok(handle) = thread::Builder::new().name(name).spawn(move || team.serve(member)) {
                // The only place that sets it.
                let _ = member.thread.set(handle.thread().clone());
            }
        }
        team
    }

    /// Threads that share a loop.
    pub(crate) fn size(&self) -> usize {
        self.members.len() + 1
    }

    /// Calls `run` with every number below `count`, each once, in any order and on any of the threads. If
    /// another thread's loop is under way, this one stays on its thread.
    ///
    /// # Panics
    /// If `run` does, on whichever thread.
    pub(crate) fn share(&self, count: usize, run: &(dyn Fn(usize) + Sync)) {
        let alone = count <= 1 || self.members.is_empty();
        // The team is also taken for a loop within its loop, which then stays on its thread.
        if alone || self.taken.swap(true, Ordering::Acquire) {
            return (0..count).for_each(run);
        }
        // SAFETY: only the lifetime changes; `close` keeps this call from returning before every member has
        // left.
        let run: &'static (dyn Fn(usize) + Sync) = unsafe { std::mem::transmute(run) };
        // SAFETY: `taken` is ours, and the last loop was closed when no member was left inside.
        unsafe { *self.task.get() = Task { count, run } };
        self.next.store(0, Ordering::Relaxed);
        let last = self.state.load(Ordering::Relaxed);
        // Sequentially consistent, as is `asleep`: a member that falls asleep now sees the loop, or is seen
        // asleep.
        self.state.store((last & !(OPEN | MEMBERS)).wrapping_add(LOOP) | OPEN, Ordering::SeqCst);
        for member in &self.members {
            if member.asleep.load(Ordering::SeqCst) && member.asleep.swap(false, Ordering::SeqCst) {
                member.thread.get().map(Thread::unpark);
            }
        }
        self.work(count, run);
        self.close();
    }

    /// Takes blocks until there are none, keeping a panic for [`close`](Self::close).
    fn work(&self, count: usize, run: &(dyn Fn(usize) + Sync)) {
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
            loop {
                let block = self.next.fetch_add(1, Ordering::Relaxed);
                if block >= count {
                    break;
                }
                run(block);
            }
        }));
        if let Err(panic) = outcome {
            self.next.store(count, Ordering::Relaxed);
            let mut first = self.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
            first.get_or_insert(panic);
        }
    }

    /// Lets no more members in, waits for those inside, and passes their panic on.
    fn close(&self) {
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut turns = 0;
        while self.state.load(Ordering::Acquire) & MEMBERS != 0 {
            wait(&mut turns);
        }
        let panic = self.panic.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).take();
        self.taken.store(false, Ordering::Release);
        if let Some(panic) = panic {
            panic::resume_unwind(panic);
        }
    }

    /// What a member does as long as it lives.
    fn serve(&self, member: &Member) {
        let mut done = 0;
        loop {
            let state = self.await_loop(member, done);
            let entered =
                self.state.compare_exchange(state, state + MEMBER, Ordering::Acquire, Ordering::Relaxed);
            if entered.is_err() {
                // Another member came or went, or the loop is over: look again.
                continue;
            }
            done = state & !(OPEN | MEMBERS);
            // SAFETY: this member is inside, so `close` has not returned and nobody writes.
            let Task { count, run } = unsafe { *self.task.get() };
            // SAFETY: as above, so what it points to still lives.
            self.work(count, unsafe { &*run });
            self.state.fetch_sub(MEMBER, Ordering::Release);
        }
    }

    /// The state in which a loop other than `done` is open.
    fn await_loop(&self, member: &Member, done: u64) -> u64 {
        let fresh = |state: u64| state & OPEN != 0 && state & !(OPEN | MEMBERS) != done;
        let mut turns = 0;
        loop {
            let state = self.state.load(Ordering::SeqCst);
            if fresh(state) {
                return state;
            }
            if turns < PATIENCE {
                wait(&mut turns);
                continue;
            }
            member.asleep.store(true, Ordering::SeqCst);
            if !fresh(self.state.load(Ordering::SeqCst)) {
                // It may also return for no reason.
                thread::park();
            }
            member.asleep.store(false, Ordering::SeqCst);
            turns = 0;
        }
    }
}

/// Waits a moment: at first by spinning, later by yielding to other threads.
fn wait(turns: &mut usize) {
    *turns += 1;
    if *turns < SPINS { hint::spin_loop() } else { thread::yield_now() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    /// Asserts that every thread of a new team takes part in a loop, awake and after it has slept.
    #[test]
    fn every_member_takes_part() {
        let team = Team::start(3);
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            for pause in [0, 0, 100, 100] {
                thread::sleep(Duration::from_millis(pause));
                // Each block waits for the two others, so it takes three threads.
                let barrier = std::sync::Barrier::new(3);
                team.share(3, &|_| {
                    barrier.wait();
                });
                done.send(()).expect("the test listens");
            }
        });
        for _ in 0..4 {
            is_done.recv_timeout(Duration::from_secs(60)).expect("a member that never came");
        }
    }

    fn each_once(team: &Team, count: usize) {
        let calls: Vec<AtomicUsize> = (0..count).map(|_| AtomicUsize::new(0)).collect();
        team.share(count, &|block| {
            calls[block].fetch_add(1, Ordering::Relaxed);
        });
        assert!(calls.iter().all(|calls| calls.load(Ordering::Relaxed) == 1));
    }

    #[test]
    fn every_block_is_done_once_in_loop_after_loop() {
        let team = Team::start(3);
        for round in 0..20_000 {
            each_once(team, round % 50);
        }
    }

    #[test]
    fn loops_within_loops_and_of_several_threads_are_done_too() {
        let team = Team::start(2);
        thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for _ in 0..300 {
                        let total = AtomicUsize::new(0);
                        team.share(20, &|_| {
                            team.share(20, &|block| {
                                total.fetch_add(block, Ordering::Relaxed);
                            });
                        });
                        assert_eq!(total.into_inner(), 20 * 190);
                    }
                });
            }
        });
    }

    #[test]
    fn a_panic_reaches_the_thread_that_asked_and_ends_nothing_else() {
        let team = Team::start(4);
        for culprit in 0..20 {
            let outcome = panic::catch_unwind(AssertUnwindSafe(|| {
                team.share(20, &|block| assert!(block != culprit, "block {block} failed"));
            }));
            let message = outcome.expect_err("one block panics");
            let message = message.downcast_ref::<String>().expect("a message");
            assert_eq!(*message, format!("block {culprit} failed"));
            each_once(team, 100);
        }
    }
}
