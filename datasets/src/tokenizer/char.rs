//! One token per character: the smallest vocabulary that a corpus allows.

use std::collections::{BTreeSet, HashMap};

use crate::error::{Error, Result};

/// The characters of a corpus, numbered in the order of their code points.
#[derive(Clone, Debug)]
pub(super) struct CharTokenizer {
    characters: Vec<char>,
    ids: HashMap<char, u32>,
}

impl CharTokenizer {
    pub(super) fn of(text: &str) -> Self {
        Self::new(text.chars().collect::<BTreeSet<_>>().into_iter().collect())
    }

    /// Character `i` gets id `i`.
    pub(super) fn new(characters: Vec<char>) -> Self {
        let ids = characters.iter().zip(0..).map(|(character, id)| (*character, id)).collect();
        Self { characters, ids }
    }

    pub(super) fn encode(&self, text: &str) -> Result<Vec<u32>> {
        text.chars()
            .enumerate()
            .map(|(index, character)| {
                let unknown = Error::UnknownCharacter { character, position: index + 1 };
                self.ids.get(&character).copied().ok_or(unknown)
            })
            .collect()
    }

    /// Ids must be inside the vocabulary.
    pub(super) fn decode(&self, tokens: &[u32]) -> String {
        tokens.iter().map(|token| self.characters[*token as usize]).collect()
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.characters.len()
    }

    pub(super) fn characters(&self) -> &[char] {
        &self.characters
    }
}
