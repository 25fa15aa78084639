//! A tokenizer in llama.cpp's words.

use std::path::Path;

use anyhow::Result;
use kiln_datasets::{Splitting, Tokenizer};
use kiln_model::{GgufVocabulary, SpecialTokens};

/// What special tokens are for: the key of `tokenizer_config.json`, and GGUF's name (it does spell it so).
const ROLES: [(&str, &str); 7] = [
    ("bos_token", "bos"),
    ("eos_token", "eos"),
    ("unk_token", "unknown"),
    ("sep_token", "seperator"),
    ("pad_token", "padding"),
    ("cls_token", "cls"),
    ("mask_token", "mask"),
];

/// llama.cpp's names for the tokens beside `eos` that end what a model says.
const FURTHER_ENDS: [&str; 2] = ["eot", "eom"];

/// The vocabulary of the model in `directory`, which generates by `special_tokens`. As llama.cpp's own converter does, the
/// files of the tokenizer are believed first.
pub fn of(tokenizer: &Tokenizer, special_tokens: &SpecialTokens, directory: &Path) -> Result<GgufVocabulary> {
    let pairs = tokenizer.byte_pairs()?;
    let pre_tokenizer = match pairs.splitting {
        Splitting::Gpt2 => "gpt-2",
        // DBRX has the pattern of cl100k_base, which llama.cpp knows under no name of its own.
        Splitting::Cl100kBase => "dbrx",
        Splitting::Llama3 => "llama-bpe",
        Splitting::O200kBase => "gpt-4o",
        Splitting::Qwen2 => "qwen2",
        Splitting::SmolLm => "smollm",
    };
    let of_model = |role: &str| match role {
        "bos_token" => special_tokens.begin,
        "eos_token" => special_tokens.end.first().copied(),
        "pad_token" => special_tokens.padding,
        _ => None,
    };
    let named = ROLES
        .iter()
        .filter_map(|(role, name)| Some((*name, tokenizer.special_token(role).or_else(|| of_model(role))?)));
    let mut named: Vec<(&str, u32)> = named.collect();
    let token_of = |name| named.iter().find(|(known, _)| *known == name).map(|(_, token)| *token);
    let (bos, eos) = (token_of("bos"), token_of("eos"));
    named.extend(FURTHER_ENDS.into_iter().zip(further_ends(special_tokens, eos)));
    Ok(GgufVocabulary {
        // What stands before every text; llama.cpp knows one token there.
        add_bos: tokenizer.start_of_text().first().is_some_and(|token| Some(*token) == bos),
        chat_template: chat_template(tokenizer, directory),
        named,
        tokens: pairs.tokens,
        special: pairs.special,
        user_defined: pairs.added,
        merges: pairs.merges.into_iter().map(|(left, right)| format!("{left} {right}")).collect(),
        pre_tokenizer: pre_tokenizer.to_owned(),
    })
}

/// Tokens that end what a model says, beside `eos`.
fn further_ends(special_tokens: &SpecialTokens, eos: Option<u32>) -> impl Iterator<Item = u32> {
    special_tokens.end.iter().copied().filter(move |token| Some(*token) != eos)
}

/// The template, in its own file or in the tokenizer's configuration.
fn chat_template(tokenizer: &Tokenizer, directory: &Path) -> Option<String> {
    let own_file = std::fs::read_to_string(directory.join("chat_template.jinja")).ok();
    own_file.or_else(|| tokenizer.chat_template().map(str::to_owned))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn tokens_have_the_kinds_and_roles_that_the_files_give_them() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path();
        let learned = Tokenizer::train_bpe(["so it goes, so it goes"], 260).expect("room");
        learned.save(path).expect("writable");
        let file = |name: &str| path.join(name);
        let document = std::fs::read_to_string(file("tokenizer.json")).expect("readable");
        let mut document: Value = serde_json::from_str(&document).expect("JSON");
        let added = document["added_tokens"].as_array_mut().expect("a list");
        for (id, content, special) in [(260, "<|user|>", true), (261, "<|pad|>", true), (262, "plain", false)]
        {
            added.push(json!({"id": id, "content": content, "special": special, "single_word": false, "lstrip": false,
                              "rstrip": false, "normalized": false}));
        }
        std::fs::write(file("tokenizer.json"), document.to_string()).expect("writable");
        let config =
            json!({"eos_token": "<|user|>", "pad_token": {"content": "<|pad|>"}, "chat_template": "{{ x }}"});
        std::fs::write(file("tokenizer_config.json"), config.to_string()).expect("writable");

        let tokenizer = Tokenizer::from_directory(path).expect("sound");
        let special_tokens = SpecialTokens { begin: Some(0), end: vec![261, 260, 262], padding: Some(0) };
        let vocabulary = of(&tokenizer, &special_tokens, path).expect("byte-level");
        assert_eq!(
            vocabulary.named,
            [("bos", 0), ("eos", 260), ("padding", 261), ("eot", 261), ("eom", 262)]
        );
        assert_eq!(vocabulary.special, [0, 260, 261]);
        assert_eq!(vocabulary.user_defined, [262]);
        assert_eq!(vocabulary.chat_template.as_deref(), Some("{{ x }}"));
    }
}
