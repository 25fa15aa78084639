//! `kiln train TEXT`: a recipe for the text, said in advance, and what it came to.

mod common;

use std::path::Path;

use common::{kiln, stdout};

/// Sentences enough to learn something from, and all alike.
fn text(folder: &Path, sentences: usize) {
    let line =
        |n: usize| format!("Number {n} follows {} and the {} door is shut.\n", n.saturating_sub(1), n % 7);
    std::fs::write(folder.join("book.txt"), (0..sentences).map(line).collect::<String>()).expect("writable");
}

#[test]
fn a_dry_run_prints_the_recipe_and_writes_nothing() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    text(folder.path(), 400);
    let flags = ["--lr", "0.002", "--batch", "4", "--context", "32", "--steps", "60", "--minutes", "2"];
    let output = kiln(folder.path(), ["train", "book.txt", "--dry-run"].into_iter().chain(flags));
    let config: toml::Table = toml::from_str(&stdout(&output)).expect("a configuration");
    assert_eq!(config["tokenizer"]["kind"].as_str(), Some("char"));
    assert_eq!(config["optimizer"]["learning_rate"].as_float(), Some(0.002));
    assert_eq!(config["optimizer"]["muon_learning_rate"].as_float(), Some(0.02));
    assert_eq!(config["schedule"]["decay"].as_str(), Some("linear"));
    assert_eq!(config["training"]["batch_size"].as_integer(), Some(4));
    assert_eq!(config["training"]["steps"].as_integer(), Some(60));
    assert_eq!(config["training"]["max_minutes"].as_float(), Some(2.0));
    assert_eq!(config["model"]["context_length"].as_integer(), Some(32));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.starts_with("book.txt: 1") && said.contains(" kB of text, 10 % of it for validation: "),
        "{said}"
    );
    assert!(said.contains("60 steps of") && said.contains("together"), "{said}");
    assert_eq!(std::fs::read_dir(folder.path()).expect("readable").count(), 1);
}

#[test]
fn what_is_set_wins_over_a_flag_and_a_flag_over_the_recipe() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    text(folder.path(), 400);
    let flags = ["--data", "book.txt", "--preset", "gpt2", "--steps", "60", "--set", "training.steps=70"];
    let output = kiln(folder.path(), ["train", "--dry-run"].into_iter().chain(flags));
    let config: toml::Table = toml::from_str(&stdout(&output)).expect("a configuration");
    assert_eq!(config["training"]["steps"].as_integer(), Some(70));
    assert_eq!(config["model"]["n_layers"].as_integer(), Some(12));
}

#[test]
fn the_names_of_other_programs_work_too() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    text(folder.path(), 400);
    let flags = ["--batch_size=3", "--max_iters=7", "--learning_rate=0.002", "--block_size=24"];
    // As `kiln` alone is `kiln train`, so is `kiln` with a text.
    let output = kiln(folder.path(), ["book.txt", "--dry-run"].into_iter().chain(flags));
    let config: toml::Table = toml::from_str(&stdout(&output)).expect("a configuration");
    assert_eq!(config["training"]["batch_size"].as_integer(), Some(3));
    assert_eq!(config["training"]["steps"].as_integer(), Some(7));
    assert_eq!(config["optimizer"]["learning_rate"].as_float(), Some(0.002));
    assert_eq!(config["model"]["context_length"].as_integer(), Some(24));
}

#[test]
fn little_text_is_learned_by_heart_and_the_run_says_so() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    text(folder.path(), 40);
    let output = kiln(
        folder.path(),
        ["train", "book.txt", "--plain", "--steps", "60", "--context", "32", "--set", "training.seed=3"],
    );
    stdout(&output);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("learned by heart"), "{said}");
    let samples =
        std::fs::read_to_string(folder.path().join("runs/book/samples.jsonl")).expect("a run has samples");
    assert!(samples.starts_with("{\"step\":1,"), "the first sample is of the first step: {samples}");
}
