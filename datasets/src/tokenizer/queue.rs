//! Positions in the order in which they are to join: the lowest rank first, then the leftmost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

/// A priority queue for many positions and few ranks, of which those that come in are seldom lower than those
/// that go out. The positions of a rank lie together and come mostly in order, so that the time is linear
/// where a heap of positions would need `n log n`.
#[derive(Default)]
pub(super) struct Queue {
    /// Every rank but the current one that has positions.
    ranks: BinaryHeap<Reverse<u32>>,
    positions: FxHashMap<u32, Positions>,
    current: Option<(u32, Positions)>,
}

/// The positions of one rank.
#[derive(Default)]
struct Positions {
    positions: Vec<u32>,
    /// How many have gone out.
    taken: usize,
    in_disorder: bool,
}

impl Queue {
    pub(super) fn push(&mut self, rank: u32, at: u32) {
        let positions = match &mut self.current {
            Some((current, positions)) if *current == rank => positions,
            _ => self.positions.entry(rank).or_insert_with(|| {
                self.ranks.push(Reverse(rank));
                Positions::default()
            }),
        };
        positions.in_disorder |= positions.positions.last().is_some_and(|last| *last > at);
        positions.positions.push(at);
    }

    pub(super) fn pop(&mut self) -> Option<(u32, u32)> {
        loop {
            if let Some((rank, mut positions)) = self.current.take() {
                if self.ranks.peek().is_some_and(|lowest| lowest.0 < rank) {
                    self.ranks.push(Reverse(rank));
                    self.positions.insert(rank, positions);
                } else if let Some(at) = positions.next() {
                    self.current = Some((rank, positions));
                    return Some((rank, at));
                }
            }
            let Reverse(rank) = self.ranks.pop()?;
            self.current = self.positions.remove(&rank).map(|positions| (rank, positions));
        }
    }
}

impl Positions {
    fn next(&mut self) -> Option<u32> {
        if self.in_disorder {
            // This sort knows runs that are in order already.
            self.positions[self.taken..].sort();
            self.in_disorder = false;
        }
        let at = self.positions.get(self.taken).copied();
        self.taken += 1;
        at
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_gives_what_an_ordered_set_gives(
            actions in prop::collection::vec(prop::option::weighted(0.6, (0u32..6, 0u32..30)), 0..200),
        ) {
            let (mut queue, mut set) = (Queue::default(), BTreeSet::new());
            for action in actions {
                match action {
                    // Each once: the set would forget the second.
                    Some((rank, at)) => {
                        if set.insert((rank, at)) {
                            queue.push(rank, at);
                        }
                    }
                    None => prop_assert_eq!(queue.pop(), set.pop_first()),
                }
            }
            while let Some(expected) = set.pop_first() {
                prop_assert_eq!(queue.pop(), Some(expected));
            }
            prop_assert_eq!(queue.pop(), None);
        }
    }
}
