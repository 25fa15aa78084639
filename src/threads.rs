//! Threads are asked for before they are needed: a library that needs one which the system refuses panics.

use std::sync::{Mutex, PoisonError};
use std::thread::{self, Builder};

use anyhow::{Context, Result};

/// Threads that a run has beside those that compute, at most: for signals, the dashboard, burn-train, and to read a text.
const OTHERS: usize = 8;

/// Starts the threads that compute, and makes sure of the others.
pub fn start() -> Result<()> {
    rayon::ThreadPoolBuilder::new().build_global().context("no threads to compute with")?;
    let wanted = OTHERS + thread::available_parallelism().map_or(1, usize::from);
    let gate = Mutex::new(());
    thread::scope(|scope| {
        // Until it opens, all of them are there at once.
        let _closed = gate.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..wanted {
            let waiting = Builder::new().spawn_scoped(scope, || drop(gate.lock()));
            waiting.context("the system refuses more threads (see `ulimit -u`)")?;
        }
        Ok(())
    })
}
