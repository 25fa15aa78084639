//! Scratch memory that is reused from call to call.
//!
//! Every thread keeps the buffers it has handed out before, so a kernel in steady state allocates nothing and
//! touches no fresh page.

use std::cell::RefCell;

use crate::allocation::vec_with_capacity;

/// Elements in a cache line: what every scratch buffer is aligned to.
const ALIGNMENT: usize = 16;

thread_local! {
    static FREE: RefCell<Vec<Vec<f32>>> = const { RefCell::new(Vec::new()) };
}

/// Calls `f` with `len` floats of unspecified content, aligned to a cache line.
pub(crate) fn with_scratch<R>(len: usize, f: impl FnOnce(&mut [f32]) -> R) -> R {
    let needed = len + ALIGNMENT;
    let mut buffer = FREE.with_borrow_mut(|free| take(free, needed));
    if buffer.len() < needed {
        // A new one instead of a longer one, whose content would be kept.
        drop(buffer);
        buffer = vec_with_capacity(needed);
        buffer.resize(needed, 0.0);
    }
    let offset = buffer.as_ptr().align_offset(ALIGNMENT * size_of::<f32>());
    let offset = if offset < ALIGNMENT { offset } else { 0 };
    let result = f(&mut buffer[offset..offset + len]);
    FREE.with_borrow_mut(|free| free.push(buffer));
    result
}

/// The smallest free buffer that is long enough, or the longest one, which then grows.
fn take(free: &mut Vec<Vec<f32>>, needed: usize) -> Vec<f32> {
    let fitting = (0..free.len()).filter(|&i| free[i].len() >= needed).min_by_key(|&i| free[i].len());
    let chosen = fitting.or_else(|| (0..free.len()).max_by_key(|&i| free[i].len()));
    chosen.map_or_else(Vec::new, |i| free.swap_remove(i))
}
