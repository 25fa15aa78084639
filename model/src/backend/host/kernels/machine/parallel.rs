//! Fixed blocks of work over the threads of a [`Team`].
//!
//! A block's bounds depend on the shape of the data alone, never on the number of threads, so the result has
//! the same bits on any machine with the same instruction set.

use std::marker::PhantomData;

use super::team::Team;

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

#[cfg(test)]
thread_local! {
    static CURRENT: std::cell::Cell<Option<&'static Team>> = const { std::cell::Cell::new(None) };
}

/// Calls `f` with all its loops shared by `team`.
#[cfg(test)]
pub(crate) fn with_team<R>(team: &'static Team, f: impl FnOnce() -> R) -> R {
    let outer = CURRENT.replace(Some(team));
    let result = f();
    CURRENT.set(outer);
    result
}

fn team() -> &'static Team {
    #[cfg(test)]
    if let Some(team) = CURRENT.get() {
        return team;
    }
    Team::of_process()
}

/// Threads among which a loop is shared.
pub(crate) fn threads() -> usize {
    team().size()
}

/// Runs `task(i)` for every `i` below `count`; on this thread alone when the `work` in all of them is small.
pub(crate) fn for_each(count: usize, work: usize, task: impl Fn(usize) + Sync) {
    if count <= 1 || work < MIN_PARALLEL_WORK {
        (0..count).for_each(task);
    } else {
        team().share(count, &task);
    }
}

/// A slice in blocks that tasks may write at the same time.
struct Blocks<'a> {
    data: SharedMut,
    total: usize,
    len: usize,
    slice: PhantomData<&'a mut [f32]>,
}

impl<'a> Blocks<'a> {
    fn new(data: &'a mut [f32], len: usize) -> Self {
        Self { total: data.len(), data: SharedMut::new(data), len, slice: PhantomData }
    }

    fn count(&self) -> usize {
        self.total.div_ceil(self.len)
    }

    /// Block `index`.
    ///
    /// # Safety
    /// `index` is below `count`, and no other task has it.
    unsafe fn get(&self, index: usize) -> &'a mut [f32] {
        let start = index * self.len;
        // SAFETY: the block lies in the slice, and is this task's alone, as the caller promises.
        unsafe { std::slice::from_raw_parts_mut(self.data.at(start), self.len.min(self.total - start)) }
    }
}

/// Runs `task(block index, block)` over consecutive blocks of `len` elements.
pub(crate) fn for_each_chunk(
    data: &mut [f32],
    len: usize,
    work: usize,
    task: impl Fn(usize, &mut [f32]) + Sync,
) {
    let data = Blocks::new(data, len);
    // SAFETY: each index is visited once.
    for_each(data.count(), work, |i| task(i, unsafe { data.get(i) }));
}

/// Runs `task(block index, block of a, block of b)` over blocks of two slices that advance together.
pub(crate) fn for_each_chunk2(
    (a, a_len): (&mut [f32], usize),
    (b, b_len): (&mut [f32], usize),
    work: usize,
    task: impl Fn(usize, &mut [f32], &mut [f32]) + Sync,
) {
    let (a, b) = (Blocks::new(a, a_len), Blocks::new(b, b_len));
    // SAFETY: each index is visited once.
    for_each(a.count().min(b.count()), work, |i| unsafe { task(i, a.get(i), b.get(i)) });
}

/// Runs `task(block index, block of a, block of b, block of c)` over blocks of three slices that advance
/// together.
pub(crate) fn for_each_chunk3(
    (a, a_len): (&mut [f32], usize),
    (b, b_len): (&mut [f32], usize),
    (c, c_len): (&mut [f32], usize),
    work: usize,
    task: impl Fn(usize, &mut [f32], &mut [f32], &mut [f32]) + Sync,
) {
    let (a, b, c) = (Blocks::new(a, a_len), Blocks::new(b, b_len), Blocks::new(c, c_len));
    let count = a.count().min(b.count()).min(c.count());
    // SAFETY: each index is visited once.
    for_each(count, work, |i| unsafe { task(i, a.get(i), b.get(i), c.get(i)) });
}
