//! The byte-pair encodings of GPT-2, GPT-4 and GPT-4o, whose tokens come with `tiktoken-rs`.

use std::sync::{Arc, LazyLock};

use rayon::prelude::*;
use rustc_hash::FxHashMap;
use tiktoken_rs::CoreBPE;

use super::added::{AddedToken, AddedTokens};
use super::bpe::{Bpe, TokenBytes};
use super::encoder::Encoder;
use super::merge::Merges;
use super::normalizer::Normalizer;
use super::split::Splitting;

static GPT2: LazyLock<Arc<Bpe>> = LazyLock::new(|| {
    let special = [("<|endoftext|>", 50_256)];
    build("gpt2", tiktoken_rs::r50k_base(), Splitting::Gpt2, 50_257, &special)
});

static CL100K_BASE: LazyLock<Arc<Bpe>> = LazyLock::new(|| {
    let special = [
        ("<|endoftext|>", 100_257),
        ("<|fim_prefix|>", 100_258),
        ("<|fim_middle|>", 100_259),
        ("<|fim_suffix|>", 100_260),
        ("<|endofprompt|>", 100_276),
    ];
    build("cl100k_base", tiktoken_rs::cl100k_base(), Splitting::Cl100kBase, 100_277, &special)
});

static O200K_BASE: LazyLock<Arc<Bpe>> = LazyLock::new(|| {
    let special = [("<|endoftext|>", 199_999), ("<|endofprompt|>", 200_018)];
    build("o200k_base", tiktoken_rs::o200k_base(), Splitting::O200kBase, 200_019, &special)
});

pub(super) fn by_name(name: &str) -> Option<Arc<Bpe>> {
    match name {
        "gpt2" => Some(Arc::clone(&GPT2)),
        "cl100k_base" => Some(Arc::clone(&CL100K_BASE)),
        "o200k_base" => Some(Arc::clone(&O200K_BASE)),
        _ => None,
    }
}

/// Between the ordinary and the special tokens of the later two lie ids that nothing uses.
fn build<E: std::fmt::Debug>(
    name: &'static str,
    published: Result<CoreBPE, E>,
    splitting: Splitting,
    vocab_size: u32,
    special: &[(&str, u32)],
) -> Arc<Bpe> {
    let published = published.expect("the tokens are embedded");
    let bytes = |token| published.decode_bytes(&[token]).unwrap_or_default();
    let tokens: TokenBytes = (0..vocab_size).map(bytes).collect();

    let mut ids: FxHashMap<&[u8], u32> = tokens.iter().zip(0..).collect();
    ids.remove(&[][..]);
    for (name, _) in special {
        ids.remove(name.as_bytes());
    }
    let byte_tokens = std::array::from_fn(|byte| ids[&[byte as u8][..]]);
    let pairs: Vec<_> = ids.par_iter().flat_map_iter(|(bytes, token)| splits(bytes, *token, &ids)).collect();
    let merges = Merges::of_tokens(byte_tokens, vocab_size, &pairs);
    let whole: Vec<_> = ids.into_iter().collect();
    let end_of_text = Some(special[0].1);
    let special = special.iter().map(|(content, id)| AddedToken::special(content, *id)).collect();
    Arc::new(Bpe {
        name,
        encoder: Encoder::new(splitting, merges, &whole),
        end_of_text,
        added: AddedTokens::new(special, Normalizer::None),
        tokens,
        file: None,
    })
}

/// The pairs of tokens that make `token`.
fn splits(bytes: &[u8], token: u32, ids: &FxHashMap<&[u8], u32>) -> impl Iterator<Item = (u32, u32, u32)> {
    (1..bytes.len()).filter_map(move |at| Some((*ids.get(&bytes[..at])?, *ids.get(&bytes[at..])?, token)))
}
