//! A corpus as one shard.

use super::{PrepareOptions, PrepareProgress, prepare};
use crate::dataset::TRAIN;
use crate::error::{Error, Result};
use crate::{Source, TokenShard, Tokenizer};

/// Encodes all of `sources` into one shard in a temporary file: the tokens that [`prepare()`] gives without a
/// validation split, so text has the same loss before and after it is prepared.
///
/// # Errors
///
/// What [`prepare()`] says.
pub fn encode_corpus(
    sources: &[Source],
    tokenizer: &Tokenizer,
    options: &PrepareOptions,
    progress: &mut dyn FnMut(PrepareProgress),
) -> Result<TokenShard> {
    let folder = tempfile::tempdir().map_err(Error::io(std::env::temp_dir()))?;
    let options = PrepareOptions { valid_fraction: 0.0, ..options.clone() };
    prepare(sources, tokenizer, folder.path(), &options, progress)?;
    TokenShard::open(&folder.path().join(TRAIN))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(shard: &TokenShard) -> Vec<u32> {
        shard.tokens(0..shard.len()).map(|token| token as u32).collect()
    }

    fn encoded(source: &Source, tokenizer: &Tokenizer) -> TokenShard {
        let options = PrepareOptions::default();
        encode_corpus(std::slice::from_ref(source), tokenizer, &options, &mut |_| {}).expect("good input")
    }

    #[test]
    fn the_two_splits_together_are_the_documents_of_the_one_shard() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let texts: Vec<String> =
            (0..300).map(|n| format!("document {n} {}", "and so on ".repeat(n % 50))).collect();
        let lines: String = texts.iter().map(|text| format!("{text:?}\n")).collect();
        std::fs::write(folder.path().join("a.jsonl"), lines).expect("writable");
        let source = Source::new(folder.path().join("a.jsonl"));
        let gpt2 = Tokenizer::open("gpt2").expect("embedded");
        let end = gpt2.end_of_text().expect("GPT-2 has one");
        let whole = encoded(&source, &gpt2);
        let expected: Vec<u32> = texts
            .iter()
            .flat_map(|text| [gpt2.encode(text).expect("any text"), vec![end]].concat())
            .collect();
        assert_eq!(tokens(&whole), expected, "each document, then its end");

        let (out, options) = (folder.path().join("out"), PrepareOptions::default());
        prepare(std::slice::from_ref(&source), &gpt2, &out, &options, &mut |_| {}).expect("good input");
        let splits = crate::Dataset::open(&out, &gpt2).expect("just written");
        let documents = |shard: &TokenShard| -> Vec<Vec<u32>> {
            tokens(shard).split_inclusive(|token| *token == end).map(<[u32]>::to_vec).collect()
        };
        let (mut train, mut valid) =
            (documents(&splits.train).into_iter(), documents(&splits.valid).into_iter());
        let (mut next_train, mut next_valid) = (train.next(), valid.next());
        for document in documents(&whole) {
            if next_valid.as_ref() == Some(&document) {
                next_valid = valid.next();
            } else {
                assert_eq!(next_train, Some(document), "in the same order");
                next_train = train.next();
            }
        }
        assert_eq!((next_train, next_valid), (None, None));
        let sum = |number: fn(&TokenShard) -> u64| number(&splits.train) + number(&splits.valid);
        assert_eq!(whole.text_bytes(), sum(TokenShard::text_bytes));
        assert_eq!(whole.documents(), sum(TokenShard::documents));
    }

    #[test]
    fn a_single_text_has_no_end() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("a.txt");
        let text = "It is what it is.\n".repeat(80_000);
        std::fs::write(&path, &text).expect("writable");
        let gpt2 = Tokenizer::open("gpt2").expect("embedded");
        let shard = encoded(&Source::new(&path), &gpt2);
        assert_eq!(tokens(&shard), gpt2.encode(&text).expect("any text"));
        assert_eq!((shard.documents(), shard.text_bytes()), (1, text.len() as u64));
    }
}
