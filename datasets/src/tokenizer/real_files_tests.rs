//! What the `tokenizer.json` of published models ask for, in small: ids must be those of the `tokenizers` crate.

use std::sync::LazyLock;

use proptest::prelude::*;
use serde_json::{Value, json};
use tokenizers::Tokenizer as HfTokenizer;

use super::split::tests::fragment;
use super::{Kind, Tokenizer, visible};

const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const QWEN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const TEXT: &str = "It's 2024: 12345 tokens, 007 and 3.14159.  Élan, naïve café, e\u{301}te\u{301}, we'll SEE'em\r\n\r\n\
    \tfn main() { println!(\"{}\", 100 + 200); }   \n  10  20   30 \u{1100}\u{1161}\u{11a8} 각 你好 👩\u{200d}👩\u{200d}👧 Ω \u{2126}\n\n";

/// Tokens and merges learned from such a text.
fn learned() -> Value {
    let folder = tempfile::tempdir().expect("a temporary directory");
    Tokenizer::train_bpe([TEXT.repeat(3)], 420).expect("room").save(folder.path()).expect("writable");
    let text = std::fs::read_to_string(folder.path().join("tokenizer.json")).expect("just written");
    serde_json::from_str(&text).expect("JSON")
}

fn add(document: &mut Value, content: &str, special: bool, normalized: bool) -> usize {
    let vocabulary = document["model"]["vocab"].as_object().expect("an object").len();
    let added = document["added_tokens"].as_array_mut().expect("a list");
    // The first of them is in the vocabulary.
    let id = vocabulary + added.len() - 1;
    added.push(json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": normalized, "special": special}));
    id
}

fn split(pattern: &str) -> Value {
    json!({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false},
    ]})
}

/// Tokens that no merge makes any more, a begin token, and many special ones.
fn like_llama3() -> Value {
    let mut document = learned();
    document["pre_tokenizer"] = split(LLAMA3);
    document["model"]["ignore_merges"] = json!(true);
    let merges = document["model"]["merges"].as_array_mut().expect("a list");
    *merges = merges.iter().step_by(2).cloned().collect();
    let begin = add(&mut document, "<|begin_of_text|>", true, false);
    add(&mut document, "<|eot_id|>", true, false);
    let special = json!({"SpecialToken": {"id": "<|begin_of_text|>", "type_id": 0}});
    let text = json!({"Sequence": {"id": "A", "type_id": 0}});
    document["post_processor"] = json!({"type": "Sequence", "processors": [
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false, "use_regex": true},
        {"type": "TemplateProcessing", "single": [special, text], "pair": [special, text, text], "special_tokens": {
            "<|begin_of_text|>": {"id": "<|begin_of_text|>", "ids": [begin], "tokens": ["<|begin_of_text|>"]}}},
    ]});
    document
}

/// A normal form, digits one by one, and tokens that are found in every text.
fn like_qwen() -> Value {
    let mut document = learned();
    document["normalizer"] = json!({"type": "NFC"});
    document["pre_tokenizer"] = split(QWEN);
    add(&mut document, "<|im_start|>", true, false);
    add(&mut document, "<tool_call>", false, false);
    // Looked for in the normal form of a text, and in the text as it is.
    add(&mut document, "e\u{301}t", false, true);
    add(&mut document, "\u{2126}\u{2126}", false, false);
    document
}

/// Digits are split off before the rest, and some bytes have no token.
fn like_smollm() -> Value {
    let mut document = learned();
    document["pre_tokenizer"] = json!({"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": true},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
    ]});
    add(&mut document, "<|im_start|>", true, false);
    let vocabulary = document["model"]["vocab"].as_object_mut().expect("an object");
    for byte in [0, 0x13, 0xCC, 0xF1, 0xF4] {
        vocabulary.insert(
            format!("unused {byte}").replace(' ', "-"),
            vocabulary[&visible::of_bytes(&[byte])].clone(),
        );
        vocabulary.remove(&visible::of_bytes(&[byte]));
    }
    let merges = document["model"]["merges"].as_array_mut().expect("a list");
    merges.retain(|pair| {
        ![&pair[0], &pair[1]].into_iter().any(|part| part.as_str().is_some_and(|part| part.contains('Ì')))
    });
    document
}

struct Pair {
    ours: Tokenizer,
    theirs: HfTokenizer,
    /// The same, but special tokens are not looked for.
    theirs_without_special: HfTokenizer,
}

static PAIRS: LazyLock<[Pair; 3]> = LazyLock::new(|| {
    [like_llama3(), like_qwen(), like_smollm()].map(|document| {
        let folder = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(folder.path().join("tokenizer.json"), document.to_string()).expect("writable");
        let ours = Tokenizer::from_directory(folder.path()).expect("a tokenizer");
        assert!(matches!(ours.kind, Kind::Bpe(_)), "encoded by ourselves");
        let theirs: HfTokenizer = document.to_string().parse().expect("readable");
        let mut theirs_without_special = theirs.clone();
        theirs_without_special.set_encode_special_tokens(true);
        Pair { ours, theirs, theirs_without_special }
    })
});

fn assert_equal(text: &str) {
    for (index, Pair { ours, theirs, theirs_without_special }) in PAIRS.iter().enumerate() {
        let prompt = theirs.encode(text, true).expect("encodes").get_ids().to_vec();
        assert_eq!(ours.encode_with_special_tokens(text).expect("any text"), prompt, "{index}: {text:?}");
        let plain = theirs_without_special.encode(text, false).expect("encodes").get_ids().to_vec();
        assert_eq!(ours.encode(text).expect("any text"), plain, "{index}: {text:?}");
    }
}

#[test]
fn texts_with_each_of_their_features_have_the_same_ids() {
    for text in [
        TEXT,
        "",
        "<|begin_of_text|><|im_start|>user\n12 <tool_call>e\u{301}t ét<|eot_id|>",
        "a  1   23\u{a0}\u{a0}4 \n5 x\u{300}y \0\u{13}z \u{50000}\u{10ffff}.",
        "\u{2126}\u{2126}\u{2126} Ω",
    ] {
        assert_equal(text);
    }
    let [llama3, qwen, smollm] = &*PAIRS;
    assert_eq!(llama3.ours.start_of_text().len(), 1);
    let text = "e\u{301} 12<tool_call>";
    let ids = qwen.ours.encode(text).expect("any text");
    assert_eq!(qwen.ours.decode(&ids).expect("own tokens"), "é 12<tool_call>", "the normal form returns");
    let ids = smollm.ours.encode("a\u{13}b").expect("any text");
    assert_eq!(
        smollm.ours.decode(&ids).expect("own tokens"),
        "ab",
        "as elsewhere, what has no token is lost"
    );
    for changes_text in [&qwen.ours, &smollm.ours] {
        assert!(matches!(
            changes_text.encode_bytes(b"a\xff"),
            Err(crate::Error::InvalidUtf8 { byte: 2, .. })
        ));
    }
    let [of_llama3, of_qwen] =
        [&llama3.ours, &qwen.ours].map(|tokenizer| tokenizer.byte_pairs().expect("byte-level"));
    assert_eq!([of_llama3.splitting, of_qwen.splitting], [super::Splitting::Llama3, super::Splitting::Qwen2]);
    assert_eq!(smollm.ours.byte_pairs().expect("byte-level").splitting, super::Splitting::SmolLm);
}

fn piece() -> impl Strategy<Value = String> {
    const ADDED: [&str; 9] = [
        "<|begin_of_text|>",
        "<|eot_id|>",
        "<|im_start|>",
        "<tool_call>",
        "e\u{301}t",
        "\u{2126}\u{2126}",
        "12 ",
        "  7",
        "\0",
    ];
    prop_oneof![4 => fragment(), 2 => proptest::sample::select(&ADDED[..]).prop_map(str::to_owned)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_text_has_the_same_ids(pieces in proptest::collection::vec(piece(), 0..24)) {
        assert_equal(&pieces.concat());
    }
}
