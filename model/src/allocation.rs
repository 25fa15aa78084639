//! Memory for large tensors, and what the system's allocator does with it when it is freed.

/// Bytes by which the heap grows beyond what was asked for; 0 until [`keep_freed_memory`] sets it.
#[cfg(target_os = "linux")]
static AHEAD: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);

/// An empty vector with room for `len` elements, in huge pages if it is large and the system has them. A product
/// that reads every weight once is then a quarter to a half faster than with pages of 4 KiB, whose addresses it
/// would look up all the time.
pub(crate) fn vec_with_capacity<T>(len: usize) -> Vec<T> {
    let values: Vec<T> = Vec::with_capacity(len);
    #[cfg(target_os = "linux")]
    advise_huge_pages(values.as_ptr() as usize, len * size_of::<T>());
    values
}

#[cfg(target_os = "linux")]
fn advise_huge_pages(start: usize, bytes: usize) {
    /// What it takes to be worth a call.
    const LARGE: usize = 1 << 20;
    /// The usual size of a huge page, and a multiple of every size of an ordinary one.
    const HUGE: usize = 2 << 20;
    if bytes < LARGE {
        return;
    }
    // Advise whole huge pages, and a few ahead of the vector: the first write to a huge page, even the
    // allocator's header behind the vector, decides how all of it is backed.
    let ahead = AHEAD.load(std::sync::atomic::Ordering::Relaxed);
    let (first, end) = (start / HUGE * HUGE, (start + bytes).saturating_add(ahead + HUGE - 1) / HUGE * HUGE);
    // SAFETY: the advice changes how memory is backed, never what it holds, whoever owns it; for addresses that
    // are not mapped, the call returns an error.
    #[allow(unsafe_code)]
    unsafe {
        libc::madvise(first as *mut libc::c_void, end - first, libc::MADV_HUGEPAGE);
    }
}

/// Keeps freed memory in this process instead of returning it to the system.
///
/// A training step allocates and frees the same large tensors again and again. By default, glibc gives such
/// blocks back at once, and every step pays for fresh pages: up to a third of its time. Call this once, at
/// the start of a program; with other allocators it does nothing.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// No block is so large that it gets a mapping of its own, which would be unmapped when it is freed.
        const NEVER: libc::c_int = libc::c_int::MAX;
        // SAFETY: mallopt only changes thresholds of the allocator, under its lock.
        #[allow(unsafe_code)]
        unsafe {
            // Older versions refuse so large a threshold; their own, which adapts, is better than a smaller one.
            if libc::mallopt(libc::M_MMAP_THRESHOLD, NEVER) == 1 {
                libc::mallopt(libc::M_TRIM_THRESHOLD, NEVER);
                // Grow beyond what is needed, so that huge pages can be asked for before anything is written.
                const GROWTH: libc::c_int = 64 << 20;
                if libc::mallopt(libc::M_TOP_PAD, GROWTH) == 1 {
                    AHEAD.store(GROWTH as usize, std::sync::atomic::Ordering::Relaxed);
                }
            }
        }
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// Pages that this thread was the first to touch.
    fn page_faults() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/stat").expect("readable on Linux");
        let fields = status.rsplit(") ").next().expect("what follows the name");
        fields.split(' ').nth(7).expect("minflt").parse().expect("a number")
    }

    /// Whether the mapping around `address` has this flag.
    fn has_flag(address: usize, flag: &str) -> bool {
        let maps = std::fs::read_to_string("/proc/self/smaps").expect("readable on Linux");
        let mut around = false;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let number = |text| usize::from_str_radix(text, 16).ok();
            if let Some((Some(start), Some(end))) = range.map(|(start, end)| (number(start), number(end))) {
                around = (start..end).contains(&address);
            } else if around && let Some(flags) = line.strip_prefix("VmFlags:") {
                return flags.split_whitespace().any(|one| one == flag);
            }
        }
        panic!("nothing is mapped at {address:#x}");
    }

    #[test]
    fn large_vectors_ask_for_huge_pages() {
        if !std::path::Path::new("/sys/kernel/mm/transparent_hugepage").exists() {
            return; // a system without them
        }
        let values: Vec<u16> = vec_with_capacity(16 << 20);
        for offset in [0, 1 << 20, (32 << 20) - 1] {
            assert!(has_flag(values.as_ptr() as usize + offset, "hg"), "at {offset}");
        }
    }

    #[test]
    fn memory_that_is_used_again_is_touched_for_the_first_time_once() {
        keep_freed_memory();
        let touch = || {
            let before = page_faults();
            // More than what glibc keeps of its own accord, 32 MB.
            std::hint::black_box(vec![1.0_f32; 10 << 20]);
            page_faults() - before
        };
        touch();
        let again = touch();
        assert!(again < 1000, "40 MB are 10,240 pages, of which {again} were fresh");
    }
}
