//! Learning a byte-level BPE from text (<https://arxiv.org/abs/1508.07909>, on bytes as in GPT-2).

use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer, Trainer};

use crate::error::{Error, Result};

/// Separates documents; the first token of a learned vocabulary.
pub(super) const END_OF_TEXT: &str = "<|endoftext|>";

/// Splits as GPT-2 does, then merges the most frequent pairs until the vocabulary is full.
pub(super) fn byte_level_bpe<'a>(
    texts: impl Iterator<Item = &'a str> + Send,
    vocab_size: usize,
) -> Result<Tokenizer> {
    let least = 257;
    if vocab_size < least {
        return Err(Error::VocabSize { vocab_size, least });
    }
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocab_size)
        .show_progress(false)
        .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
        .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
        .build();
    let byte_level = ByteLevel::new(false, true, true);
    let mut tokenizer = Tokenizer::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(byte_level)).with_decoder(Some(byte_level));

    // Line by line: no piece spans a line break and what follows it, and the trainer counts pieces only.
    let failed = |error: tokenizers::Error| Error::format("the corpus", error.to_string());
    let split = |line: &str| {
        let mut pieces = tokenizers::PreTokenizedString::from(line);
        tokenizers::PreTokenizer::pre_tokenize(&byte_level, &mut pieces)?;
        let pieces = pieces.get_splits(tokenizers::OffsetReferential::Original, tokenizers::OffsetType::Byte);
        Ok(pieces.into_iter().map(|(piece, ..)| piece.to_owned()).collect())
    };
    trainer
        .feed(texts.flat_map(|text| text.split_inclusive('\n')).map(str::to_owned), split)
        .map_err(failed)?;
    let mut model = BPE::default();
    let special = trainer.train(&mut model).map_err(failed)?;
    let mut trained = Tokenizer::new(model);
    trained.with_pre_tokenizer(Some(byte_level)).with_decoder(Some(byte_level));
    trained.add_special_tokens(special).map_err(failed)?;
    Ok(trained)
}
