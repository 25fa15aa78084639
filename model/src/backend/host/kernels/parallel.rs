//! Fixed blocks of work over the threads of the current pool.
//!
//! A block's bounds depend on the shape of the data alone, never on the number of threads, so the result has the same
//! bits on any machine with the same instruction set.

use rayon::prelude::*;

/// Elementary operations below which handing work to another thread costs more than it saves.
pub(crate) const MIN_PARALLEL_WORK: usize = if cfg!(test) { 1 } else { 32 * 1024 };

/// Elements of one block of an elementwise pass.
pub(crate) const ELEMENTWISE_BLOCK: usize = 8 * 1024;

/// A pointer that tasks may share, because each of them touches its own part of what it points to.
#[derive(Clone, Copy)]
pub(crate) struct SharedMut(*mut f32);

// SAFETY: the pointer is only used through `at`, whose callers promise disjoint elements in different tasks.
unsafe impl Send for SharedMut {}
// SAFETY: as above.
unsafe impl Sync for SharedMut {}

impl SharedMut {
    pub(crate) fn new(data: &mut [f32]) -> Self {
        Self(data.as_mut_ptr())
    }

    /// The pointer to element `offset`.
    ///
    /// # Safety
    /// `offset` lies in the slice this was made from, and no two tasks access the same element.
    #[inline(always)]
    pub(crate) unsafe fn at(self, offset: usize) -> *mut f32 {
        // SAFETY: in bounds, as the caller promises.
        unsafe { self.0.add(offset) }
    }
}

/// Runs `task(i)` for every `i` below `count`; on this thread alone when the `work` in all of them is small.
pub(crate) fn for_each(count: usize, work: usize, task: impl Fn(usize) + Sync + Send) {
    if count <= 1 || work < MIN_PARALLEL_WORK || rayon::current_num_threads() == 1 {
        (0..count).for_each(task);
    } else {
        (0..count).into_par_iter().with_max_len(1).for_each(task);
    }
}

/// Runs `task(block index, block)` over consecutive blocks of `len` elements.
pub(crate) fn for_each_chunk(
    data: &mut [f32],
    len: usize,
    work: usize,
    task: impl Fn(usize, &mut [f32]) + Sync + Send,
) {
    if data.len() <= len || work < MIN_PARALLEL_WORK || rayon::current_num_threads() == 1 {
        data.chunks_mut(len).enumerate().for_each(|(i, block)| task(i, block));
    } else {
        data.par_chunks_mut(len).enumerate().for_each(|(i, block)| task(i, block));
    }
}

/// Runs `task(block index, block of a, block of b, block of c)` over blocks of three slices that advance together.
pub(crate) fn for_each_chunk3(
    (a, a_len): (&mut [f32], usize),
    (b, b_len): (&mut [f32], usize),
    (c, c_len): (&mut [f32], usize),
    work: usize,
    task: impl Fn(usize, &mut [f32], &mut [f32], &mut [f32]) + Sync + Send,
) {
    if a.len() <= a_len || work < MIN_PARALLEL_WORK || rayon::current_num_threads() == 1 {
        let blocks = a.chunks_mut(a_len).zip(b.chunks_mut(b_len)).zip(c.chunks_mut(c_len));
        blocks.enumerate().for_each(|(i, ((a, b), c))| task(i, a, b, c));
    } else {
        let blocks = a.par_chunks_mut(a_len).zip(b.par_chunks_mut(b_len)).zip(c.par_chunks_mut(c_len));
        blocks.enumerate().for_each(|(i, ((a, b), c))| task(i, a, b, c));
    }
}

/// Runs `task(block index, block of a, block of b)` over blocks of two slices that advance together.
pub(crate) fn for_each_chunk2(
    (a, a_len): (&mut [f32], usize),
    (b, b_len): (&mut [f32], usize),
    work: usize,
    task: impl Fn(usize, &mut [f32], &mut [f32]) + Sync + Send,
) {
    if a.len() <= a_len || work < MIN_PARALLEL_WORK || rayon::current_num_threads() == 1 {
        a.chunks_mut(a_len).zip(b.chunks_mut(b_len)).enumerate().for_each(|(i, (a, b))| task(i, a, b));
    } else {
        a.par_chunks_mut(a_len)
            .zip(b.par_chunks_mut(b_len))
            .enumerate()
            .for_each(|(i, (a, b))| task(i, a, b));
    }
}
