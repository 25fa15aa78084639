//! Calls into a library that trusts the numbers in a file and panics where they are wrong.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::Once;

thread_local! {
    /// Whether this thread is in such a call.
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What `call` returns, or `None` if it panicked; nothing that it has touched may be used again then.
///
/// Such a panic is an answer, not a fault of the program, so the program's panic hook does not hear of it.
/// Any other panic is reported as usual.
pub(super) fn guarded<T>(call: impl FnOnce() -> T) -> Option<T> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = take_hook();
        set_hook(Box::new(move |panic| {
            if !GUARDED.try_with(Cell::get).unwrap_or(false) {
                before(panic);
            }
        }));
    });
    let outer = GUARDED.replace(true);
    let outcome = catch_unwind(AssertUnwindSafe(call));
    GUARDED.set(outer);
    outcome.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_nothing_and_the_next_call_is_as_ever() {
        assert_eq!(guarded(|| 7), Some(7));
        assert_eq!(guarded(|| -> u8 { panic!("nobody hears this") }), None);
        assert!(!GUARDED.get());
    }
}
