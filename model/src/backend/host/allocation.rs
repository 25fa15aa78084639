//! What the system's allocator does with memory that is freed.

/// Keeps freed memory in this process instead of returning it to the system.
///
/// A training step allocates and frees the same large tensors again and again. By default, glibc gives such blocks back
/// at once, and every step pays for fresh pages: up to a third of its time. Call this once, at the start of a program;
/// with other allocators it does nothing.
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Nothing is so large that it gets a mapping of its own, which would be unmapped when it is freed.
        const NEVER: libc::c_int = libc::c_int::MAX;
        // SAFETY: mallopt only changes two thresholds of the allocator, under its lock.
        #[allow(unsafe_code)]
        unsafe {
            // Older versions refuse so large a threshold, and adapt their own better than a fixed one would.
            if libc::mallopt(libc::M_MMAP_THRESHOLD, NEVER) == 1 {
                libc::mallopt(libc::M_TRIM_THRESHOLD, NEVER);
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
