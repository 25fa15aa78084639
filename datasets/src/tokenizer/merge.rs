//! Byte-pair encoding of one piece: the pair of the lowest rank joins, the leftmost first, until no pair has
//! a rank (<https://arxiv.org/abs/1508.07909>).

use rustc_hash::FxHashMap;

use super::queue::Queue;

/// Pieces up to this length are searched for the lowest rank from end to end; longer ones keep a queue.
const SHORT: usize = 48;

/// The rank of pairs that do not join, and the token of bytes that have none.
const NONE: u32 = u32::MAX;

/// The merges of a byte-level BPE.
#[derive(Debug)]
pub(super) struct Merges {
    /// Token of each byte.
    bytes: [u32; 256],
    /// Whether every byte has a token.
    complete: bool,
    /// Rank of each pair of tokens that joins.
    ranks: FxHashMap<u64, u32>,
    /// Token that the merge of each rank makes.
    made: Vec<u32>,
}

impl Merges {
    /// `merges` are the pairs with the token they make, the most eager first; of two equal pairs the last one
    /// counts. Bytes without a token disappear from a text.
    pub(super) fn new(bytes: [Option<u32>; 256], merges: &[(u32, u32, u32)]) -> Self {
        let mut ranks = FxHashMap::with_capacity_and_hasher(merges.len(), Default::default());
        let mut made = Vec::with_capacity(merges.len());
        for (rank, (left, right, token)) in (0..).zip(merges) {
            ranks.insert(pair(*left, *right), rank);
            made.push(*token);
        }
        let complete = bytes.iter().all(Option::is_some);
        Self { bytes: bytes.map(|token| token.unwrap_or(NONE)), complete, ranks, made }
    }

    /// Merges by tokens alone, as tiktoken does: any two neighbours join that are a token together, and the
    /// rank is that token's id.
    pub(super) fn of_tokens(bytes: [u32; 256], tokens: u32, pairs: &[(u32, u32, u32)]) -> Self {
        let ranks = pairs.iter().map(|(left, right, token)| (pair(*left, *right), *token)).collect();
        Self { bytes, complete: true, ranks, made: (0..tokens).collect() }
    }

    /// Appends the tokens of `piece`.
    pub(super) fn encode(&self, piece: &[u8], tokens: &mut Vec<u32>) {
        if !self.complete {
            let known = |byte: &u8| self.bytes[usize::from(*byte)] != NONE;
            if !piece.iter().all(known) {
                let known: Vec<u8> = piece.iter().copied().filter(known).collect();
                return self.encode_known(&known, tokens);
            }
        }
        self.encode_known(piece, tokens);
    }

    /// Whether every byte has a token.
    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    fn encode_known(&self, piece: &[u8], tokens: &mut Vec<u32>) {
        if piece.len() <= SHORT { self.encode_short(piece, tokens) } else { self.encode_long(piece, tokens) }
    }

    fn rank(&self, left: u32, right: u32) -> u32 {
        self.ranks.get(&pair(left, right)).copied().unwrap_or(NONE)
    }

    fn encode_short(&self, piece: &[u8], tokens: &mut Vec<u32>) {
        let mut parts = [0; SHORT];
        // `ranks[i]` is the rank of parts `i` and `i + 1`.
        let mut ranks = [NONE; SHORT];
        let mut length = piece.len();
        for (part, byte) in parts.iter_mut().zip(piece) {
            *part = self.bytes[usize::from(*byte)];
        }
        for at in 1..length {
            ranks[at - 1] = self.rank(parts[at - 1], parts[at]);
        }
        while length > 1 {
            let (mut at, mut lowest) = (0, NONE);
            for (index, rank) in ranks[..length - 1].iter().enumerate() {
                if *rank < lowest {
                    (at, lowest) = (index, *rank);
                }
            }
            if lowest == NONE {
                break;
            }
            parts[at] = self.made[lowest as usize];
            parts.copy_within(at + 2..length, at + 1);
            ranks.copy_within(at + 1..length - 1, at);
            length -= 1;
            ranks[length - 1] = NONE;
            if at + 1 < length {
                ranks[at] = self.rank(parts[at], parts[at + 1]);
            }
            if at > 0 {
                ranks[at - 1] = self.rank(parts[at - 1], parts[at]);
            }
        }
        tokens.extend_from_slice(&parts[..length]);
    }

    /// The same in linear time: parts are a linked list, and a queue holds the pairs that can join. Entries
    /// whose pair has changed since are passed over.
    fn encode_long(&self, piece: &[u8], tokens: &mut Vec<u32>) {
        let (mut parts, mut queue) = self.parts_of(piece);
        while let Some((rank, at)) = queue.pop() {
            if parts[at as usize].rank == rank {
                self.join(at, rank, &mut parts, &mut queue);
            }
        }
        let mut at = 0;
        while at < parts.len() {
            tokens.push(parts[at].token);
            at = parts[at].next as usize;
        }
    }

    /// Each byte as a part, and the pairs that can join.
    fn parts_of(&self, piece: &[u8]) -> (Vec<Part>, Queue) {
        let token = |byte: u8| self.bytes[usize::from(byte)];
        let part = |(at, byte): (u32, &u8)| Part {
            token: token(*byte),
            rank: NONE,
            previous: at.wrapping_sub(1),
            next: at + 1,
        };
        assert!(u32::try_from(piece.len()).is_ok(), "a piece of less than 4 GiB");
        let mut parts: Vec<Part> = (0..).zip(piece).map(part).collect();
        let mut queue = Queue::default();
        for at in 0..parts.len() - 1 {
            let rank = self.rank(parts[at].token, parts[at + 1].token);
            parts[at].rank = rank;
            if rank != NONE {
                queue.push(rank, at as u32);
            }
        }
        (parts, queue)
    }

    /// Joins the part at `at` with the next, and ranks it with its new neighbours.
    #[inline(always)]
    fn join(&self, at: u32, rank: u32, parts: &mut [Part], queue: &mut Queue) {
        let end = parts.len() as u32;
        let part = parts[at as usize];
        let right = parts[part.next as usize];
        parts[part.next as usize].rank = NONE;
        let joined = self.made[rank as usize];
        parts[at as usize].token = joined;
        parts[at as usize].next = right.next;
        if part.previous < end {
            let before = self.rank(parts[part.previous as usize].token, joined);
            parts[part.previous as usize].rank = before;
            if before != NONE {
                queue.push(before, part.previous);
            }
        }
        let mut after = NONE;
        if right.next < end {
            parts[right.next as usize].previous = at;
            after = self.rank(joined, parts[right.next as usize].token);
        }
        parts[at as usize].rank = after;
        if after != NONE {
            queue.push(after, at);
        }
    }
}

/// A part of a long piece.
#[derive(Clone, Copy)]
struct Part {
    token: u32,
    /// Rank of this part with the next.
    rank: u32,
    previous: u32,
    next: u32,
}

fn pair(left: u32, right: u32) -> u64 {
    u64::from(left) << 32 | u64::from(right)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Few symbols and many merges, so that most pairs compete.
        #[test]
        fn short_and_long_pieces_join_alike(
            piece in proptest::collection::vec(0u8..4, 2..SHORT),
            merges in proptest::collection::vec((0u32..12, 0u32..12), 8)
        ) {
            let bytes = std::array::from_fn(|byte| Some(byte as u32));
            let merges: Vec<_> = merges.into_iter().zip(4..).map(|((left, right), token)| (left, right, token)).collect();
            let merges = Merges::new(bytes, &merges);
            let (mut short, mut long) = (Vec::new(), Vec::new());
            merges.encode_short(&piece, &mut short);
            merges.encode_long(&piece, &mut long);
            prop_assert_eq!(short, long);
        }
    }
}
