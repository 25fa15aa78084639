//! The model and the examples that the tests start from.

use std::path::Path;

use serde_json::Value;

use crate::common::{stdout, train};

/// A file of JSON that a run wrote.
pub fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).expect("it is there")).expect("JSON")
}

/// A small model of bytes in `folder/base`.
pub fn base(folder: &Path) {
    pretrained(folder, "base", "training.seed=1337");
}

/// One with other weights in `folder/other`.
pub fn other(folder: &Path) {
    pretrained(folder, "other", "training.seed=2");
}

fn pretrained(folder: &Path, name: &str, seed: &str) {
    let bytes = ["--run-dir", name, "--set", "tokenizer.kind=byte", "--set", "training.steps=4"];
    let more = ["training.eval_interval=4", "model.context_length=64", "tokenizer.chat=true", seed];
    let more = more.into_iter().flat_map(|change| ["--set", change]);
    stdout(&train(folder, bytes.into_iter().chain(more)));
}

/// Texts that one word tells apart, as CSV.
pub fn labelled_texts(folder: &Path) {
    let lines = (0..60).map(|n| {
        let (word, label) = if n % 3 == 0 { ("prize", "spam") } else { ("lunch", "ham") };
        format!("\"message {n}, {word}\",{label}\n")
    });
    std::fs::write(folder.join("texts.csv"), format!("text,label\n{}", lines.collect::<String>()))
        .expect("writable");
}

/// Questions about numbers: whether they are even.
pub fn conversations(folder: &Path) {
    let lines = (0..80).map(|n| {
        let answer = if n % 2 == 0 { "yes" } else { "no" };
        format!(
            "{{\"messages\": [{{\"role\": \"user\", \"content\": \"{n}?\"}}, {{\"role\": \"assistant\", \"content\": \"{answer}\"}}]}}\n"
        )
    });
    std::fs::write(folder.join("talks.jsonl"), lines.collect::<String>()).expect("writable");
}

/// Pairs of which the polite one is chosen.
pub fn preferences(folder: &Path) {
    let lines = (0..60).map(|n| {
        format!("{{\"prompt\": \"What is {n}?\", \"chosen\": \"please: {n}\", \"rejected\": \"no. {n}\"}}\n")
    });
    std::fs::write(folder.join("pairs.jsonl"), lines.collect::<String>()).expect("writable");
}
