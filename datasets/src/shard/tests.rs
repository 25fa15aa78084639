//! Shards whole, damaged, and of other programs.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;
use crate::{Error, Tokenizer};

fn gpt2_like(size: usize) -> Vocabulary {
    Vocabulary { tokenizer: "mine".to_owned(), fingerprint: 42, size, end_of_text: Some(0) }
}

fn written(tokens: &[u32], vocab_size: usize) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path().join("train.tokens");
    let mut writer = ShardWriter::create(&path, gpt2_like(vocab_size)).expect("writable");
    writer.write(tokens).expect("room");
    writer.finish(7, 1234).expect("room");
    (folder, path)
}

fn all(shard: &TokenShard) -> Vec<u32> {
    shard.tokens(0..shard.len()).map(|token| token as u32).collect()
}

#[test]
fn tokens_return_in_both_widths() {
    for (tokens, vocab_size, width) in [([0, 1, 65_535], 65_536, 2), ([0, 70_000, 200_018], 200_019, 4)] {
        let (_folder, path) = written(&tokens, vocab_size);
        let shard = TokenShard::open(&path).expect("whole");
        assert_eq!(all(&shard), tokens);
        assert_eq!(shard.vocabulary(), Some(&gpt2_like(vocab_size)));
        assert_eq!((shard.documents(), shard.text_bytes(), shard.token_width()), (7, 1234, width));
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_noticed() {
    let (_folder, path) = written(&(0..50).collect::<Vec<_>>(), 50);
    let whole = std::fs::read(&path).expect("just written");
    for byte in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[byte] ^= 1 << (byte % 8);
        std::fs::write(&path, damaged).expect("writable");
        assert!(TokenShard::open(&path).is_err(), "flipped bit in byte {byte}");
        std::fs::write(&path, &whole[..byte]).expect("writable");
        assert!(TokenShard::open(&path).is_err(), "cut at byte {byte}");
    }
}

#[test]
fn tokens_outside_the_vocabulary_are_refused_and_nothing_is_left_behind() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let mut writer = ShardWriter::create(&folder.path().join("x"), gpt2_like(10)).expect("writable");
    assert!(matches!(writer.write(&[3, 10]), Err(Error::UnknownToken { token: 10, .. })));
    drop(writer);
    assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn another_tokenizer_is_refused_with_both_names() {
    let (_folder, path) = written(&[1, 2, 3], 300);
    let byte = Tokenizer::open("byte").expect("embedded");
    let error = TokenShard::open(&path).expect("whole").made_with(&byte).expect_err("not bytes").to_string();
    assert!(error.contains("\"mine\" of 300 tokens") && error.contains("\"byte\" of 256 tokens"), "{error}");
}

/// Files as the scripts of llm.c and nanoGPT write them, for "Hello, I'm a language model," twice.
#[test]
fn files_of_llm_c_and_nanogpt_open_as_they_are() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let tokens: Vec<u16> = [15496, 11, 314, 1101, 257, 3303, 2746, 11, 50256].repeat(2);
    let payload: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    let mut header = vec![0; 1024];
    for (index, number) in [20_240_520u32, 1, tokens.len() as u32].into_iter().enumerate() {
        header[index * 4..index * 4 + 4].copy_from_slice(&number.to_le_bytes());
    }
    let llm_c = [header.clone(), payload.clone()].concat();
    let gpt2 = Tokenizer::open("gpt2").expect("embedded");
    for (bytes, format) in [(&llm_c, ShardFormat::LlmC), (&payload, ShardFormat::NanoGpt)] {
        let path = folder.path().join("train.bin");
        std::fs::write(&path, bytes).expect("writable");
        let shard = TokenShard::open(&path).expect("whole").made_with(&gpt2).expect("GPT-2's tokens");
        assert_eq!(shard.format(), format);
        assert_eq!(all(&shard), tokens.iter().map(|token| u32::from(*token)).collect::<Vec<_>>());
        assert_eq!(
            (shard.documents(), shard.text_bytes()),
            (2, 2 * "Hello, I'm a language model,".len() as u64)
        );
        let byte = Tokenizer::open("byte").expect("embedded");
        let error =
            TokenShard::open(&path).expect("whole").made_with(&byte).expect_err("too large").to_string();
        assert!(error.contains("token 50256 is outside the vocabulary of \"byte\""), "{error}");
        std::fs::write(&path, &bytes[..bytes.len() - 1]).expect("writable");
        assert!(matches!(TokenShard::open(&path), Err(Error::Format { .. })), "cut");
    }
    header[4] = 9;
    std::fs::write(folder.path().join("x.bin"), header).expect("writable");
    assert!(
        TokenShard::open(&folder.path().join("x.bin"))
            .expect_err("version")
            .to_string()
            .contains("version 9")
    );
}

proptest! {
    /// Whatever the header says, opening is an error or a shard that can be read to its end.
    #[test]
    fn a_header_of_any_numbers_never_panics(
        fields in prop::collection::vec((8usize..120, prop_oneof![any::<u64>(), 0..200u64]), 1..4),
        sealed in any::<bool>(),
        cut in 0usize..200,
    ) {
        let (_folder, path) = written(&[1, 2, 3, 4], 50);
        let mut bytes = std::fs::read(&path).expect("just written");
        for (at, value) in fields {
            let end = (at + 8).min(120);
            bytes[at..end].copy_from_slice(&value.to_le_bytes()[..end - at]);
        }
        if sealed {
            let digest = xxhash_rust::xxh3::xxh3_64(&bytes[..120]);
            bytes[120..128].copy_from_slice(&digest.to_le_bytes());
        }
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(100)));
        std::fs::write(&path, &bytes).expect("writable");
        if let Ok(shard) = TokenShard::open(&path) {
            prop_assert!(all(&shard).len() == shard.len());
        }
    }

    #[test]
    fn bytes_of_any_kind_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..1200), llm_c in any::<bool>()) {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("x.bin");
        let mut bytes = bytes;
        if llm_c && bytes.len() > 4 {
            bytes[..4].copy_from_slice(&20_240_520u32.to_le_bytes());
        }
        std::fs::write(&path, &bytes).expect("writable");
        if let Ok(shard) = TokenShard::open(&path) {
            prop_assert!(all(&shard).len() == shard.len());
        }
    }
}
