//! Places in the order in which they are to join: the lowest rank first, then the leftmost.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

/// A priority queue for many places and few ranks, of which those that come in are seldom lower than those that go out.
/// The places of a rank lie together and come mostly in order, so that the time is linear where a heap of places would
/// need `n log n`.
#[derive(Default)]
pub(super) struct Queue {
    /// Every rank but the current one that has places.
    ranks: BinaryHeap<Reverse<u32>>,
    places: FxHashMap<u32, Places>,
    current: Option<(u32, Places)>,
}

/// The places of one rank.
#[derive(Default)]
struct Places {
    places: Vec<u32>,
    /// How many have gone out.
    taken: usize,
    in_disorder: bool,
}

impl Queue {
    pub(super) fn push(&mut self, rank: u32, at: u32) {
        let places = match &mut self.current {
            Some((current, places)) if *current == rank => places,
            _ => self.places.entry(rank).or_insert_with(|| {
                self.ranks.push(Reverse(rank));
                Places::default()
            }),
        };
        places.in_disorder |= places.places.last().is_some_and(|last| *last > at);
        places.places.push(at);
    }

    pub(super) fn pop(&mut self) -> Option<(u32, u32)> {
        loop {
            if let Some((rank, mut places)) = self.current.take() {
                if self.ranks.peek().is_some_and(|lowest| lowest.0 < rank) {
                    self.ranks.push(Reverse(rank));
                    self.places.insert(rank, places);
                } else if let Some(at) = places.next() {
                    self.current = Some((rank, places));
                    return Some((rank, at));
                }
            }
            let Reverse(rank) = self.ranks.pop()?;
            self.current = self.places.remove(&rank).map(|places| (rank, places));
        }
    }
}

impl Places {
    fn next(&mut self) -> Option<u32> {
        if self.in_disorder {
            // This sort knows runs that are in order already.
            self.places[self.taken..].sort();
            self.in_disorder = false;
        }
        let at = self.places.get(self.taken).copied();
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
