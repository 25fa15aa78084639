//! Labels.

use serde_json::Value;

use crate::common::{kiln, stdout};
use crate::start::{base, json, labelled_texts};

const TASK: [&str; 14] = [
    "finetune",
    "classify",
    "--plain",
    "--model",
    "base",
    "--data",
    "texts.csv",
    "--epochs",
    "20",
    "--lr",
    "0.005",
    "--run-dir",
    "tuned",
    "--batch",
];

#[test]
fn a_word_that_tells_labels_apart_is_learned_and_told() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    base(path);
    labelled_texts(path);
    let told = stdout(&kiln(path, TASK.into_iter().chain(["8"])));
    assert!(told.contains("told as") && told.contains("kiln classify --model tuned"), "{told}");

    let results = json(&path.join("tuned/results.json"));
    assert_eq!(results["task"], "classify");
    assert_eq!(results["test"]["accuracy"], 1.0, "{results}");
    assert_eq!(results["labels"], serde_json::json!(["ham", "spam"]));
    let parts = &results["examples"];
    let counts = ["train", "valid", "test"].map(|part| parts[part].as_u64().expect("a number"));
    assert_eq!(counts.iter().sum::<u64>(), 60);
    let config = json(&path.join("tuned/model/config.json"));
    assert_eq!(config["architectures"][0], "GPT2ForSequenceClassification");
    // transformers takes the last token before the padding: the tokenizer's, of which the base model knows, too.
    let tokens = json(&path.join("tuned/model/tokenizer.json"));
    let mut added = tokens["added_tokens"].as_array().expect("a list").iter();
    let padding = &added.find(|token| token["content"] == "<|pad|>").expect("it is there")["id"];
    for run in ["base", "tuned"] {
        let config = json(&path.join(run).join("model/config.json"));
        assert_eq!(&config["pad_token_id"], padding, "{run}");
    }

    let info = stdout(&kiln(path, ["info", "--model", "tuned"]));
    assert!(info.lines().any(|line| line.starts_with("classes") && line.ends_with("ham, spam")), "{info}");

    let adapter = TASK.map(|word| if word == "tuned" { "small" } else { word });
    stdout(&kiln(path, adapter.into_iter().chain(["8", "--lora", "8"])));
    stdout(&kiln(path, ["export", "--model", "small", "--to", "merged"]));
    let probabilities = |model: &str| {
        let told = stdout(&kiln(path, ["classify", "--model", model, "--text", "a prize", "--json"]));
        let told: Value = serde_json::from_str(&told).expect("JSON");
        told["probabilities"]["spam"].as_f64().expect("a number")
    };
    assert!((probabilities("small") - probabilities("merged")).abs() < 1e-5);

    std::fs::write(path.join("new.txt"), "something new, prize\nsomething new, lunch\n").expect("writable");
    let labels = stdout(&kiln(path, ["classify", "--model", "tuned", "--file", "new.txt"]));
    assert_eq!(labels, "spam\nham\n");
    let one = ["classify", "--model", "tuned", "--text", "at noon, lunch", "--json"];
    let one: Value = serde_json::from_str(&stdout(&kiln(path, one))).expect("JSON");
    assert_eq!(one["label"], "ham");
    let probabilities = &one["probabilities"];
    let sum =
        probabilities["ham"].as_f64().expect("a number") + probabilities["spam"].as_f64().expect("a number");
    assert!((sum - 1.0).abs() < 1e-6, "{one}");
}
