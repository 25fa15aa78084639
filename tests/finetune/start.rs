//! The model and the examples that the tests start from.

use std::path::Path;

use crate::common::{stdout, train};

/// A small model of bytes in `folder/base`.
pub fn base(folder: &Path) {
    let bytes = ["--run-dir", "base", "--set", "tokenizer.kind=byte", "--set", "training.steps=4"];
    let more = ["--set", "training.eval_interval=4", "--set", "model.context_length=64"];
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
