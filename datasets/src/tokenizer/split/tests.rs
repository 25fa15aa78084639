//! Against tiktoken-rs, on strings that hand-written splitting could get wrong.

use std::sync::LazyLock;

use proptest::prelude::*;
use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton, r50k_base_singleton};

use super::{Splitting, chunks};
use crate::Tokenizer;

const NAMES: [&str; 3] = ["gpt2", "cl100k_base", "o200k_base"];

fn oracle(name: &str) -> &'static CoreBPE {
    match name {
        "gpt2" => r50k_base_singleton(),
        "cl100k_base" => cl100k_base_singleton(),
        _ => o200k_base_singleton(),
    }
}

/// The characters of every general category, each sampled evenly.
static CATEGORIES: LazyLock<Vec<Vec<char>>> = LazyLock::new(|| {
    const NAMES: [&str; 29] = [
        "Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf",
        "Po", "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Co", "Cn",
    ];
    let of = |name| {
        let parsed = regex_syntax::parse(&format!(r"\p{{{name}}}")).expect("a category");
        let regex_syntax::hir::HirKind::Class(regex_syntax::hir::Class::Unicode(class)) = parsed.kind()
        else {
            // A category of one character.
            let regex_syntax::hir::HirKind::Literal(literal) = parsed.kind() else { unreachable!("{name}") };
            return std::str::from_utf8(&literal.0).expect("a character").chars().collect();
        };
        let characters: Vec<char> = class.iter().flat_map(|range| range.start()..=range.end()).collect();
        let step = characters.len().div_ceil(400);
        characters.into_iter().step_by(step).collect::<Vec<_>>()
    };
    NAMES.into_iter().map(of).collect()
});

/// What the patterns treat in a way of its own, and what they might be expected to.
const SPECIMENS: [&str; 34] = [
    " ",
    "  ",
    "\n",
    "\r\n",
    "\t",
    "\u{a0}",
    "\u{85}",
    "\u{2028}",
    "\u{3000}",
    "\u{b}",
    "'s",
    "'S",
    "'ſ",
    "'LL",
    "'Ve",
    "'rE",
    "'",
    "/",
    "//",
    "\n/",
    "a",
    "A",
    "é",
    "e\u{301}",
    "\u{301}",
    "ǅ",
    "ª",
    "1",
    "²",
    "123",
    "👩\u{200d}👩\u{200d}👧",
    "🇩🇪",
    "👍🏽",
    "\u{0}",
];

fn any_category() -> impl Strategy<Value = char> {
    (0..CATEGORIES.len()).prop_flat_map(|category| proptest::sample::select(CATEGORIES[category].as_slice()))
}

pub(in crate::tokenizer) fn fragment() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => proptest::sample::select(&SPECIMENS[..]).prop_map(str::to_owned),
        3 => any_category().prop_map(String::from),
        2 => "[a-zA-Z]{1,9}",
        1 => (any_category(), 2usize..40).prop_map(|(character, times)| character.to_string().repeat(times)),
        1 => (proptest::sample::select(&SPECIMENS[..]), 2usize..40).prop_map(|(text, times)| text.repeat(times)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn ids_are_those_of_tiktoken(fragments in proptest::collection::vec(fragment(), 0..24)) {
        let text = fragments.concat();
        for name in NAMES {
            let tokenizer = Tokenizer::open(name).expect("embedded");
            let ids = tokenizer.encode(&text).expect("any text");
            prop_assert_eq!(&ids, &oracle(name).encode_ordinary(&text), "{}: {:?}", name, text);
            prop_assert_eq!(tokenizer.decode_bytes(&ids).expect("own tokens"), text.as_bytes());
        }
    }

    #[test]
    fn parts_split_as_the_whole_does(fragments in proptest::collection::vec(fragment(), 0..24), size in 1usize..20) {
        let text = fragments.concat();
        for splitting in Splitting::ALL {
            let pieces = |text: &str| {
                let mut pieces = Vec::new();
                splitting.for_each_piece(text, |start, end| pieces.push(text[start..end].to_owned()));
                pieces
            };
            let parts: Vec<String> = chunks(&text, size).into_iter().flat_map(pieces).collect();
            prop_assert_eq!(parts, pieces(&text), "{:?}", splitting);
        }
    }
}

/// The pattern that a `tokenizer.json` states splits as the hand-written one does.
#[test]
fn patterns_say_what_the_code_does() {
    use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
    use tokenizers::{
        OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, SplitDelimiterBehavior::Isolated,
    };
    let texts = [
        "It's 12345 o'clock,  \n\n  isn't IT'S?\r\n\r\n\tWe'LL see//\n/ CamelCaseÉcole e\u{301}té ",
        "trailing  \n  ",
        "\u{301}ABC \u{301}abc ǅungla x\u{a0}y ٣٤٥٦ 你好，世界。\n再见  ",
    ];
    for splitting in Splitting::ALL {
        let theirs = Split::new(SplitPattern::Regex(splitting.pattern().to_owned()), Isolated, false)
            .expect("a valid pattern");
        for text in texts {
            let mut expected = PreTokenizedString::from(text);
            theirs.pre_tokenize(&mut expected).expect("splits");
            let expected = expected.get_splits(OffsetReferential::Original, OffsetType::Byte);
            let expected: Vec<&str> = expected.into_iter().map(|(piece, ..)| piece).collect();
            let mut pieces = Vec::new();
            splitting.for_each_piece(text, |start, end| pieces.push(&text[start..end]));
            assert_eq!(pieces, expected, "{splitting:?}");
        }
    }
}

/// A quadratic algorithm takes minutes for these.
#[test]
fn no_megabyte_takes_long() {
    let megabyte = |text: &str| text.repeat((1 << 20) / text.len());
    for name in NAMES {
        let tokenizer = Tokenizer::open(name).expect("embedded");
        for unit in ["a", " ", "🦀", "\n", "\n ", "A", "\u{301}", "aA", "'", "7", "\u{301}A", " \u{a0}"] {
            let text = megabyte(unit);
            let start = std::time::Instant::now();
            let ids = tokenizer.encode(&text).expect("any text");
            let seconds = start.elapsed().as_secs_f64();
            assert!(seconds < 20.0, "{name}: {seconds} s for a megabyte of {unit:?}");
            assert_eq!(tokenizer.decode(&ids).expect("own tokens"), text, "{name}");
        }
    }
}
