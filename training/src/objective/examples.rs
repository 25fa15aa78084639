//! The order in which fine-tuning reads its examples.

use std::sync::{Mutex, PoisonError};

use kiln_datasets::mix;

/// Numbers of examples, shuffled anew for each pass over them.
#[derive(Debug)]
pub(super) struct Order {
    seed: u64,
    /// Examples.
    len: usize,
    /// Examples of an optimizer step.
    at_a_time: usize,
    /// The pass that was read last: the next step, as a rule, reads on in it.
    last: Mutex<Pass>,
}

/// A pass by its number, and its examples in their order.
#[derive(Debug)]
struct Pass {
    number: usize,
    examples: Vec<usize>,
}

impl Order {
    /// Of `len` examples, `at_a_time` in each step.
    pub(super) fn new(seed: u64, len: usize, at_a_time: usize) -> Self {
        Self { seed, len, at_a_time, last: Mutex::new(Pass::new(seed, len, 0)) }
    }

    /// The examples of step `step`, counted from zero: a function of the step alone. A step may end one pass and start the next.
    pub(super) fn step(&self, step: usize) -> Vec<usize> {
        let (first, mut examples) = (step * self.at_a_time, Vec::with_capacity(self.at_a_time));
        let mut pass = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        for index in first..first + self.at_a_time {
            let number = index / self.len;
            if pass.number != number {
                *pass = Pass::new(self.seed, self.len, number);
            }
            examples.push(pass.examples[index % self.len]);
        }
        examples
    }
}

impl Pass {
    fn new(seed: u64, len: usize, number: usize) -> Self {
        let (mut examples, seed): (Vec<usize>, _) = ((0..len).collect(), mix(seed, number as u64));
        examples.sort_by_cached_key(|example| mix(seed, *example as u64));
        Self { number, examples }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pass_reads_every_example_once_in_another_order() {
        let order = Order::new(7, 10, 4);
        let read: Vec<usize> = (0..5).flat_map(|step| order.step(step)).collect();
        // In whatever order the steps are asked for.
        for step in [3, 0, 4, 2] {
            assert_eq!(order.step(step), read[4 * step..4 * step + 4]);
        }
        for pass in read.chunks(10) {
            let mut sorted = pass.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(read[..10], read[10..]);
    }
}
