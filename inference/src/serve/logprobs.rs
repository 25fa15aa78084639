//! Log-probabilities, in both of OpenAI's shapes.

use std::fmt::Write;

use kiln_datasets::Tokenizer;
use serde_json::{Map, Value, json};

use super::choice::Entry;

/// What stands for a probability of nothing: JSON has no infinity.
const LEAST: f64 = -9999.0;

/// The shape of chat completions: an object for each token of the text.
pub(super) fn of_chat(entries: &[Entry], tokenizer: &Tokenizer) -> Value {
    let told = |token: u32, logprob: f64| {
        let bytes = tokenizer.token_bytes(token).ok();
        json!({ "token": name(token, tokenizer), "logprob": logprob.max(LEAST), "bytes": bytes })
    };
    let content = entries.iter().filter(|entry| !entry.is_end).filter_map(|entry| {
        let found = entry.logprob.as_ref()?;
        let mut object = told(entry.token, found.logprob);
        object["top_logprobs"] = found.top.iter().map(|(token, logprob)| told(*token, *logprob)).collect();
        Some(object)
    });
    json!({ "content": content.collect::<Vec<_>>() })
}

/// The shape of completions: a list for each property, the token that ended the text included.
pub(super) fn of_completion(entries: &[Entry], tokenizer: &Tokenizer) -> Value {
    let (mut tokens, mut logprobs, mut tops) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        tokens.push(name(entry.token, tokenizer));
        logprobs.push(entry.logprob.as_ref().map(|found| found.logprob.max(LEAST)));
        tops.push(entry.logprob.as_ref().map(|found| {
            // The most probable one first, which stays where two have one name.
            let mut top = Map::new();
            for (token, logprob) in found.top.iter().chain([&(entry.token, found.logprob)]) {
                top.entry(name(*token, tokenizer)).or_insert(json!(logprob.max(LEAST)));
            }
            top
        }));
    }
    let offsets: Vec<usize> = entries.iter().map(|entry| entry.offset).collect();
    json!({ "tokens": tokens, "token_logprobs": logprobs, "top_logprobs": tops, "text_offset": offsets })
}

/// A token as text; one that is no whole characters has a name that no other one has.
pub(super) fn name(token: u32, tokenizer: &Tokenizer) -> String {
    let Ok(bytes) = tokenizer.token_bytes(token) else { return format!("token_id:{token}") };
    String::from_utf8(bytes).unwrap_or_else(|error| {
        error.as_bytes().iter().fold("bytes:".to_owned(), |mut name, byte| {
            let _ = write!(name, "\\x{byte:02x}");
            name
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logprobs::TokenLogprob;

    #[test]
    fn tokens_that_are_no_characters_have_names_of_their_own() {
        let tokenizer = Tokenizer::open("byte").expect("built in");
        assert_eq!(name(97, &tokenizer), "a");
        assert_eq!(name(0xe2, &tokenizer), r"bytes:\xe2");
        assert_eq!(name(5000, &tokenizer), "token_id:5000");
    }

    #[test]
    fn the_chosen_token_is_among_the_most_probable_and_nothing_is_infinite() {
        let tokenizer = Tokenizer::open("byte").expect("built in");
        let mut logits = vec![0.0; 256];
        (logits[0xe2], logits[0xe3], logits[97]) = (3.0, 2.0, -3e8);
        let entry = |token, logprob, is_end| Entry { token, logprob, offset: 0, is_end };
        let entries = [
            entry(1, None, false),
            entry(97, Some(TokenLogprob::of(&logits, 97, 2)), false),
            entry(0xe2, Some(TokenLogprob::of(&logits, 0xe2, 1)), true),
        ];
        let told = of_completion(&entries, &tokenizer);
        assert_eq!(told["token_logprobs"][0], Value::Null);
        assert_eq!(told["top_logprobs"][1].as_object().expect("a dictionary").len(), 3);
        assert_eq!(told["top_logprobs"][1]["a"], LEAST);
        assert_eq!(told["top_logprobs"][2][r"bytes:\xe2"], told["token_logprobs"][2]);
        assert_eq!(of_chat(&entries, &tokenizer)["content"].as_array().expect("a list").len(), 1);
    }
}
