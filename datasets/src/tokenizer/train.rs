//! Learning a byte-level BPE from text (<https://arxiv.org/abs/1508.07909>, on bytes and with the pieces of
//! GPT-2).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rayon::prelude::*;
use rustc_hash::{FxHashMap, FxHashSet};

use super::visible;
use crate::error::{Error, Result};

/// Separates documents; the first token of a learned vocabulary.
pub(super) const END_OF_TEXT: &str = "<|endoftext|>";

/// Tokens that every vocabulary has: end-of-text, and each byte.
const LEAST: usize = 257;

/// Most bytes of a learned token: twice those of the longest in GPT-2's vocabulary. Without a limit, a letter
/// that is repeated a million times would become tokens of a million bytes.
const LONGEST: usize = 256;

/// A learned vocabulary.
pub(super) struct Learned {
    /// Bytes of every token but the first, which is [`END_OF_TEXT`]; those of single bytes come first.
    pub(super) tokens: Vec<Vec<u8>>,
    /// Pairs of ids, in the order in which they joined.
    pub(super) merges: Vec<(u32, u32)>,
}

impl Learned {
    /// Joins the most frequent pair, again and again, until there are `vocab_size` tokens or nothing is left
    /// to join. Of equally frequent pairs the one of the lower ids is first.
    ///
    /// As in Hugging Face's trainer, whose merges these are: a pair counts as often as it occurs, overlapping
    /// itself or not, and two pairs that spell the same make the same token. A pair that is longer than
    /// [`LONGEST`] never joins.
    pub(super) fn from_counts(pieces: FxHashMap<Box<str>, u64>, vocab_size: usize) -> Result<Self> {
        if vocab_size < LEAST {
            return Err(Error::VocabSize { vocab_size, least: LEAST });
        }
        let mut words = Words::new(pieces);
        let mut tokens: Vec<Vec<u8>> = visible::alphabet().iter().map(|byte| vec![*byte]).collect();
        let mut ids: FxHashMap<Vec<u8>, u32> = tokens.iter().cloned().zip(1..).collect();
        let mut merges = Vec::new();
        let mut counts = FxHashMap::default();
        let mut queue = BinaryHeap::new();
        enqueue(&mut queue, words.pairs(&mut counts), &counts, &tokens);

        while tokens.len() + 1 < vocab_size {
            let Some(mut candidate) = queue.pop() else { break };
            let count = counts[&candidate.pair.0];
            if candidate.count != count {
                candidate.count = count;
                queue.push(candidate);
                continue;
            }
            if count < 1 {
                break;
            }
            let (left, right) = (candidate.pair.0.0, candidate.pair.0.1);
            let bytes = [tokens[left as usize - 1].as_slice(), &tokens[right as usize - 1]].concat();
            let made = *ids.entry(bytes).or_insert_with_key(|bytes| {
                tokens.push(bytes.clone());
                tokens.len() as u32
            });
            merges.push((left, right));
            let formed = words.join((left, right), made, &candidate.words, &mut counts);
            enqueue(&mut queue, formed, &counts, &tokens);
        }
        // A pair that formed anew after it had joined is listed twice; the later rank counts.
        let mut known = FxHashSet::default();
        merges.reverse();
        merges.retain(|pair| known.insert(*pair));
        merges.reverse();
        Ok(Self { tokens, merges })
    }
}

type Pair = (u32, u32);

/// Words in which a pair occurs, each once.
type Occurrences = FxHashMap<Pair, Vec<u32>>;

/// A pair that may join next. The count may be out of date; the most frequent comes first, then the lowest
/// ids.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    count: i64,
    pair: Reverse<Pair>,
    words: Vec<u32>,
}

fn enqueue(
    queue: &mut BinaryHeap<Candidate>,
    occurrences: Occurrences,
    counts: &FxHashMap<Pair, i64>,
    tokens: &[Vec<u8>],
) {
    let length = |id: u32| tokens[id as usize - 1].len();
    queue.extend(occurrences.into_iter().filter_map(|(pair, words)| {
        let count = counts[&pair];
        let joins = count > 0 && length(pair.0) + length(pair.1) <= LONGEST;
        joins.then_some(Candidate { count, pair: Reverse(pair), words })
    }));
}

/// The distinct pieces, each a run of tokens.
struct Words {
    tokens: Vec<u32>,
    /// Where each word starts in `tokens`, and how many of them it has now.
    spans: Vec<(usize, u32)>,
    counts: Vec<i64>,
}

impl Words {
    fn new(pieces: FxHashMap<Box<str>, u64>) -> Self {
        let mut id_of_byte = [0; 256];
        for (byte, id) in visible::alphabet().iter().zip(1..) {
            id_of_byte[usize::from(*byte)] = id;
        }
        let mut pieces: Vec<_> = pieces.into_iter().collect();
        pieces.par_sort_unstable();
        let bytes = pieces.iter().map(|(piece, _)| piece.len()).sum();
        let mut words = Self { tokens: Vec::with_capacity(bytes), spans: Vec::new(), counts: Vec::new() };
        for (piece, count) in pieces {
            words.spans.push((words.tokens.len(), piece.len() as u32));
            words.tokens.extend(piece.bytes().map(|byte| id_of_byte[usize::from(byte)]));
            words.counts.push(count as i64);
        }
        words
    }

    /// Counts all pairs and finds the words that have them.
    fn pairs(&self, counts: &mut FxHashMap<Pair, i64>) -> Occurrences {
        let mut occurrences = Occurrences::default();
        for (word, ((start, length), count)) in (0..).zip(self.spans.iter().zip(&self.counts)) {
            for pair in self.tokens[*start..][..*length as usize].windows(2) {
                let pair = (pair[0], pair[1]);
                *counts.entry(pair).or_default() += count;
                note(&mut occurrences, pair, word);
            }
        }
        occurrences
    }

    /// Joins a pair in the words given, keeps the counts and returns where new pairs have formed.
    fn join(
        &mut self,
        (left, right): Pair,
        made: u32,
        words: &[u32],
        counts: &mut FxHashMap<Pair, i64>,
    ) -> Occurrences {
        let mut formed = Occurrences::default();
        for &word in words {
            let (start, length) = self.spans[word as usize];
            let count = self.counts[word as usize];
            let tokens = &mut self.tokens[start..][..length as usize];
            let (mut read, mut write) = (0, 0);
            while read < tokens.len() {
                if tokens[read] != left || tokens.get(read + 1) != Some(&right) {
                    tokens[write] = tokens[read];
                    (read, write) = (read + 1, write + 1);
                    continue;
                }
                if write > 0 {
                    let before = tokens[write - 1];
                    *counts.entry((before, left)).or_default() -= count;
                    *counts.entry((before, made)).or_default() += count;
                    note(&mut formed, (before, made), word);
                }
                if let Some(&after) = tokens.get(read + 2) {
                    *counts.entry((right, after)).or_default() -= count;
                    *counts.entry((made, after)).or_default() += count;
                    note(&mut formed, (made, after), word);
                }
                tokens[write] = made;
                (read, write) = (read + 2, write + 1);
            }
            self.spans[word as usize].1 = write as u32;
        }
        formed
    }
}

fn note(occurrences: &mut Occurrences, pair: Pair, word: u32) {
    let words = occurrences.entry(pair).or_default();
    if words.last() != Some(&word) {
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use tokenizers::models::bpe::{BPE, BpeTrainer};
    use tokenizers::pre_tokenizers::byte_level::ByteLevel;
    use tokenizers::{AddedToken, OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, Trainer};

    use super::super::count::PieceCounts;
    use super::*;

    /// Merges of Hugging Face's trainer in the order of their ranks, as visible characters.
    fn theirs(texts: &[&str], vocab_size: usize) -> Vec<(String, String)> {
        let byte_level = ByteLevel::new(false, true, true);
        let mut trainer = BpeTrainer::builder()
            .vocab_size(vocab_size)
            // Theirs is the least length that is too much.
            .max_token_length(Some(LONGEST + 1))
            .show_progress(false)
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
            .build();
        let split = |text: &str| {
            let mut pieces = PreTokenizedString::from(text);
            byte_level.pre_tokenize(&mut pieces)?;
            let pieces = pieces.get_splits(OffsetReferential::Normalized, OffsetType::Byte);
            Ok(pieces.into_iter().map(|(piece, ..)| piece.to_owned()).collect())
        };
        trainer.feed(texts.iter(), split).expect("text");
        let mut model = BPE::default();
        trainer.train(&mut model).expect("trains");
        let model = serde_json::to_value(&model).expect("a model");
        serde_json::from_value(model["merges"].clone()).expect("pairs")
    }

    fn ours(texts: &[&str], vocab_size: usize) -> Vec<(String, String)> {
        let mut counts = PieceCounts::default();
        texts.iter().for_each(|text| counts.add(text));
        let learned = Learned::from_counts(counts.finish(), vocab_size).expect("room for every byte");
        let visible = |id: u32| visible::of_bytes(&learned.tokens[id as usize - 1]);
        learned.merges.iter().map(|(left, right)| (visible(*left), visible(*right))).collect()
    }

    #[test]
    fn merges_are_those_of_hugging_face() {
        let tales = crate::tales::corpus(5, 60_000).text();
        let strange =
            "naïve café — 你好，世界 🦀🦀🦀 aaaa aaaaaaa abababab \n\n\n  let x = y[0];\r\n\tit's".repeat(3);
        let long = format!("{} {}", "a".repeat(100_000), "ab".repeat(700));
        for (texts, vocab_size) in [
            (&[tales.as_str()][..], 900),
            (&[tales.as_str(), strange.as_str()], 2_000),
            // Until nothing is left to join.
            (&[strange.as_str()], 5_000),
            (&["aaaaaaaaaaaaaaaa aaaa aa a", "abcabcabc bcbcbc cabcab"], 300),
            (&[long.as_str()], 320),
        ] {
            assert_eq!(ours(texts, vocab_size), theirs(texts, vocab_size), "{vocab_size}");
        }
    }
}
