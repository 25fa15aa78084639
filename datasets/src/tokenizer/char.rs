//! One token per character: the smallest vocabulary that a corpus allows.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use super::added::{AddedToken, AddedTokens, Part};
use super::normalizer::Normalizer;
use crate::error::{Error, Result};

/// The characters of a corpus, numbered in the order of their code points, and perhaps special tokens behind them.
#[derive(Clone, Debug)]
pub(super) struct CharTokenizer {
    characters: Vec<char>,
    ids: HashMap<char, u32>,
    special: Arc<AddedTokens>,
}

impl CharTokenizer {
    pub(super) fn of(text: &str) -> Self {
        Self::new::<&str>(text.chars().collect::<BTreeSet<_>>().into_iter().collect(), &[])
    }

    /// Character `i` gets id `i`, and special tokens the ids behind.
    pub(super) fn new<T: AsRef<str>>(characters: Vec<char>, special: &[T]) -> Self {
        let ids = characters.iter().zip(0..).map(|(character, id)| (*character, id)).collect();
        let behind = characters.len() as u32..;
        let special = special.iter().zip(behind).map(|(text, id)| AddedToken::special(text.as_ref(), id));
        let special = Arc::new(AddedTokens::new(special.collect(), Normalizer::None));
        Self { characters, ids, special }
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

    /// Special tokens written out in the text become their ids.
    pub(super) fn encode_with_special_tokens(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = Ok(Vec::new());
        self.special.for_each_part(text, true, &mut |part| {
            let Ok(known) = &mut tokens else { return };
            match part {
                Part::Token(token) => known.push(token),
                Part::Text(text) => match self.encode(text) {
                    Ok(new) => known.extend(new),
                    Err(error) => tokens = Err(error),
                },
            }
        });
        tokens
    }

    /// Ids must be inside the vocabulary.
    pub(super) fn decode(&self, tokens: &[u32]) -> String {
        let mut text = String::new();
        for token in tokens {
            match self.characters.get(*token as usize) {
                Some(character) => text.push(*character),
                None => {
                    text.extend(
                        self.special()
                            .filter(|special| special.id == *token)
                            .map(|special| &*special.content),
                    );
                }
            }
        }
        text
    }

    pub(super) fn vocab_size(&self) -> usize {
        self.characters.len() + self.special().count()
    }

    /// Tokens that stand for no text, in the order of their ids.
    pub(super) fn special(&self) -> impl Iterator<Item = &AddedToken> {
        self.special.iter()
    }

    pub(super) fn characters(&self) -> &[char] {
        &self.characters
    }
}
