//! What every tokenizer promises.

use proptest::prelude::*;
use tokenizers::Tokenizer as HfTokenizer;

use super::*;
use crate::Error;

const TEXT: &str = "First Citizen:\nBefore we proceed any further, hear me speak. It's naïve — 你好 🦀!";

fn every() -> Vec<Tokenizer> {
    let named = ["byte", "gpt2", "cl100k_base", "o200k_base"];
    let mut tokenizers: Vec<_> = named.map(|name| Tokenizer::open(name).expect("embedded")).into();
    tokenizers.push(Tokenizer::characters_of(TEXT));
    tokenizers
}

#[test]
fn text_returns_from_its_tokens_and_from_a_directory() {
    for tokenizer in every() {
        let tokens = tokenizer.encode(TEXT).expect("known characters");
        assert!(tokens.iter().all(|token| (*token as usize) < tokenizer.vocab_size()));
        assert_eq!(tokenizer.decode(&tokens).expect("own tokens"), TEXT, "{}", tokenizer.name());

        let directory = tempfile::tempdir().expect("a temporary directory");
        tokenizer.save(directory.path()).expect("writable");
        let read = Tokenizer::from_directory(directory.path()).expect("just written");
        assert_eq!(read.fingerprint(), tokenizer.fingerprint(), "{}", tokenizer.name());
        assert_eq!(read.encode(TEXT).expect("known characters"), tokens);
    }
}

/// Ids published with GPT-2 and printed by Python's tiktoken.
#[test]
fn gpt2_ids_are_the_published_ones() {
    let gpt2 = Tokenizer::open("gpt2").expect("embedded");
    assert_eq!(
        gpt2.encode("Hello, I'm a language model,").expect("any text"),
        [15496, 11, 314, 1101, 257, 3303, 2746, 11]
    );
    assert_eq!((gpt2.vocab_size(), gpt2.end_of_text()), (50_257, Some(50_256)));
}

#[test]
fn what_hugging_face_reads_from_our_file_encodes_alike() {
    for tokenizer in every() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        tokenizer.save(directory.path()).expect("writable");
        let theirs = HfTokenizer::from_file(directory.path().join("tokenizer.json")).expect("readable");
        let ids = theirs.encode(TEXT, false).expect("encodes").get_ids().to_vec();
        assert_eq!(ids, tokenizer.encode(TEXT).expect("known characters"), "{}", tokenizer.name());
        assert_eq!(theirs.decode(&ids, false).expect("decodes"), TEXT, "{}", tokenizer.name());
        assert_eq!(theirs.get_vocab_size(true), tokenizer.vocab_size());
    }
}

#[test]
fn a_learned_bpe_is_deterministic_compresses_and_returns_any_text() {
    let text = "the kiln is hot and the clay is cold, the kiln is old and the clay is new\n".repeat(40);
    let learn = || Tokenizer::train_bpe([text.as_str()], 300).expect("room for every byte");
    let (tokenizer, again) = (learn(), learn());
    assert_eq!(tokenizer.fingerprint(), again.fingerprint());
    assert!(tokenizer.vocab_size() <= 300 && tokenizer.end_of_text() == Some(0));
    let tokens = tokenizer.encode(&text).expect("any text");
    assert!(tokens.len() * 3 < text.len(), "{} tokens for {} bytes", tokens.len(), text.len());
    for text in [text.as_str(), TEXT] {
        let tokens = tokenizer.encode(text).expect("any text");
        assert_eq!(tokenizer.decode(&tokens).expect("own tokens"), text);
        let bytes: Vec<u8> =
            tokens.iter().flat_map(|token| tokenizer.decode_bytes(&[*token]).expect("own token")).collect();
        assert_eq!(bytes, text.as_bytes(), "token by token");
    }
    assert!(matches!(Tokenizer::train_bpe(["a"], 256), Err(Error::VocabSize { .. })));
}

#[test]
fn strange_input_is_an_error_not_a_panic() {
    let tokenizer = Tokenizer::characters_of("abc");
    assert!(matches!(tokenizer.encode("abz"), Err(Error::UnknownCharacter { character: 'z', position: 3 })));
    assert!(matches!(tokenizer.decode(&[3]), Err(Error::UnknownToken { token: 3, vocab_size: 3 })));
    assert!(matches!(Tokenizer::open("gpt5"), Err(Error::UnknownTokenizer { .. })));
}

proptest! {
    #[test]
    fn any_text_survives_byte_level_tokenizers(text in "\\PC{0,40}[ \\n\\t]{0,3}\\PC{0,40}") {
        for name in ["byte", "gpt2"] {
            let tokenizer = Tokenizer::open(name).expect("embedded");
            let tokens = tokenizer.encode(&text).expect("any text");
            prop_assert_eq!(&tokenizer.decode(&tokens).expect("own tokens"), &text);
            let mut stream = StreamDecoder::default();
            let mut streamed: String = tokens
                .iter()
                .map(|token| stream.push(&tokenizer.decode_bytes(&[*token]).expect("own token")))
                .collect();
            streamed.push_str(&stream.finish());
            prop_assert_eq!(&streamed, &text);
        }
    }
}
