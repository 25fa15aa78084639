//! The order in which fine-tuning reads its examples.

use kiln_datasets::mix;

/// Numbers of examples, shuffled anew for each pass over them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) seed: u64,
    /// Examples.
    pub(super) len: usize,
    /// Examples of an optimizer step.
    pub(super) at_a_time: usize,
}

impl Order {
    /// The examples of step `step`, counted from zero: a function of the step alone. A step may end one pass and start the next.
    pub(super) fn step(&self, step: usize) -> Vec<usize> {
        let (first, mut examples) = (step * self.at_a_time, Vec::with_capacity(self.at_a_time));
        let mut pass = (usize::MAX, Vec::new());
        for index in first..first + self.at_a_time {
            let number = index / self.len;
            if pass.0 != number {
                pass = (number, self.pass(number));
            }
            examples.push(pass.1[index % self.len]);
        }
        examples
    }

    fn pass(&self, number: usize) -> Vec<usize> {
        let (mut examples, seed): (Vec<usize>, _) = ((0..self.len).collect(), mix(self.seed, number as u64));
        examples.sort_by_cached_key(|example| mix(seed, *example as u64));
        examples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pass_reads_every_example_once_in_another_order() {
        let order = Order { seed: 7, len: 10, at_a_time: 4 };
        let read: Vec<usize> = (0..5).flat_map(|step| order.step(step)).collect();
        assert_eq!(order.step(3), read[12..16]);
        for pass in read.chunks(10) {
            let mut sorted = pass.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(read[..10], read[10..]);
    }
}
