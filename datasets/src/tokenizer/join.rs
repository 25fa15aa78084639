//! Parts that threads finish in any order, joined in their own.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

/// What `encode` appends for each of `texts`, one after the other, on all threads of the current pool. `room`
/// is an upper bound of their number.
///
/// Fresh pages are expensive: the kernel zeroes them. So the parts live in a few buffers that are used again,
/// and each is copied once to its final position, by the thread that finds out where that is.
pub(super) fn joined(texts: &[&str], room: usize, encode: impl Fn(&str, &mut Vec<u32>) + Sync) -> Vec<u32> {
    // Untouched memory costs nothing.
    let mut tokens = vec![0; room];
    let joining = Mutex::new(Joining { next: 0, end: 0, rest: &mut tokens, ..Joining::default() });
    let lock = || -> MutexGuard<'_, Joining<'_>> { joining.lock().unwrap_or_else(PoisonError::into_inner) };
    // A bridge hands them out front to back, so that few have to wait for one before them.
    texts.iter().enumerate().par_bridge().for_each(|(index, text)| {
        let mut part = lock().spare.pop().unwrap_or_default();
        encode(text, &mut part);
        let arranged = lock().arrange(index, part);
        for (position, mut part) in arranged {
            position.copy_from_slice(&part);
            part.clear();
            lock().spare.push(part);
        }
    });
    let end = lock().end;
    tokens.truncate(end);
    tokens.shrink_to_fit();
    tokens
}

#[derive(Default)]
struct Joining<'a> {
    /// The part that goes to `end`.
    next: usize,
    end: usize,
    /// What is behind `end`.
    rest: &'a mut [u32],
    /// Parts that came before their turn.
    waiting: BTreeMap<usize, Vec<u32>>,
    /// Buffers to use again.
    spare: Vec<Vec<u32>>,
}

impl<'a> Joining<'a> {
    /// Takes a part, and returns those whose position is known now, each with its position.
    fn arrange(&mut self, index: usize, part: Vec<u32>) -> Vec<(&'a mut [u32], Vec<u32>)> {
        self.waiting.insert(index, part);
        let mut arranged = Vec::new();
        while let Some(part) = self.waiting.remove(&self.next) {
            let (position, rest) = std::mem::take(&mut self.rest).split_at_mut(part.len());
            self.rest = rest;
            self.next += 1;
            self.end += part.len();
            arranged.push((position, part));
        }
        arranged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_come_in_their_own_order_whoever_is_first() {
        let texts: Vec<String> = (0..200).map(|n| "x".repeat(n * 7 % 40)).collect();
        let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
        let expected: Vec<u32> =
            texts.iter().flat_map(|text| vec![text.len() as u32; text.len() / 2]).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().expect("threads");
        for _ in 0..20 {
            let room = texts.iter().map(|text| text.len()).sum();
            let tokens = pool.install(|| {
                joined(&texts, room, |text, tokens| {
                    std::thread::sleep(std::time::Duration::from_micros(text.len() as u64 * 7 % 50));
                    tokens.extend(vec![text.len() as u32; text.len() / 2]);
                })
            });
            assert_eq!(tokens, expected);
        }
    }
}
