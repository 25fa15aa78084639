//! Answers.

use serde_json::Value;

use crate::common::{kiln, stdout};
use crate::start::{base, conversations, json};

const TASK: [&str; 14] = [
    "finetune",
    "instruct",
    "--plain",
    "--model",
    "base",
    "--data",
    "talks.jsonl",
    "--epochs",
    "12",
    "--lr",
    "0.01",
    "--set",
    "generation.max_tokens=12",
    "--run-dir",
];

#[test]
fn an_answer_is_learned_with_its_end_and_a_resumed_run_is_the_same() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    base(path);
    conversations(path);
    let shown = stdout(&kiln(path, TASK.into_iter().chain(["none", "--show-examples", "1"])));
    assert!(shown.contains("⟦yes<|im_end|>⟧") || shown.contains("⟦no<|im_end|>⟧"), "{shown}");
    assert!(!path.join("none").exists());

    let told = stdout(&kiln(path, TASK.into_iter().chain(["whole"])));
    assert!(told.contains("come to an end by themselves"), "{told}");
    let results = json(&path.join("whole/results.json"));
    assert_eq!(results["stop_rate"], 1.0, "{results}");
    let (before, after) = (&results["before"]["loss"], &results["valid"]["loss"]);
    assert!(after.as_f64() < before.as_f64().map(|loss| loss / 4.0), "{results}");
    let answers = std::fs::read_to_string(path.join("whole/answers.jsonl")).expect("it is there");
    let first: Value = serde_json::from_str(answers.lines().next().expect("an answer")).expect("JSON");
    assert!(["yes", "no"].contains(&first["answer"].as_str().expect("a text")), "{first}");

    let half = ["part", "--minutes", "0.00001"];
    let stopped = stdout(&kiln(path, TASK.into_iter().chain(half)));
    assert!(stopped.contains("training.max_minutes are over; at step "), "{stopped}");
    assert!(!stopped.contains("at step 87 of 87"), "{stopped}");
    let resume = ["finetune", "instruct", "--plain", "--run-dir", "part", "--resume", "--minutes", "1000"];
    stdout(&kiln(path, resume));
    let weights =
        |run: &str| std::fs::read(path.join(run).join("model/model.safetensors")).expect("it is there");
    assert_eq!(weights("part"), weights("whole"));
    let measured = |run: &str| {
        let mut results = json(&path.join(run).join("results.json"));
        results["seconds"] = Value::Null;
        results
    };
    assert_eq!(measured("part"), measured("whole"));
}

#[test]
fn a_model_that_learns_prompts_too_ends_its_answers_with_the_token_of_the_template() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    base(path);
    conversations(path);
    let more = ["tuned", "--set", "training.steps=1", "--set", "finetune.train_on_prompt=true"];
    stdout(&kiln(path, TASK.into_iter().chain(more)));
    let config = json(&path.join("tuned/model/config.json"));
    let ends = &config["eos_token_id"];
    let first = if ends.is_array() { &ends[0] } else { ends };
    let tokens = json(&path.join("tuned/model/tokenizer.json"));
    let mut added = tokens["added_tokens"].as_array().expect("a list").iter();
    let turn_end = &added.find(|token| token["content"] == "<|im_end|>").expect("it is there")["id"];
    assert_eq!(first, turn_end, "{config}");
}

#[test]
fn an_adapter_learns_answers_and_leaves_the_model_as_it_is() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    base(path);
    conversations(path);
    let file = path.join("base/model/model.safetensors");
    let before = std::fs::read(&file).expect("it is there");
    stdout(&kiln(path, TASK.into_iter().chain(["tuned", "--lora", "4"])));
    assert_eq!(std::fs::read(&file).expect("it is there"), before);
    let results = json(&path.join("tuned/results.json"));
    let loss = |when: &str| results[when]["loss"].as_f64().expect("a number");
    // The model itself has hardly learned anything, and its tables stay as they are.
    assert!(loss("valid") < 0.9 * loss("before"), "{results}");
    let config = json(&path.join("tuned/model/adapter_config.json"));
    assert_eq!((&config["peft_type"], &config["r"]), (&"LORA".into(), &4.into()));

    let ends = json(&path.join("tuned/model/generation_config.json"));
    let tokenizer = json(&path.join("tuned/model/tokenizer.json"));
    let mut added = tokenizer["added_tokens"].as_array().expect("a list").iter();
    let turn_end = &added.find(|token| token["content"] == "<|im_end|>").expect("it is there")["id"];
    let first = ends["eos_token_id"].get(0).unwrap_or(&ends["eos_token_id"]);
    assert_eq!(first, turn_end);

    let prompt =
        ["--prompt", "<|im_start|>user\n3?<|im_end|>\n<|im_start|>assistant\n", "--temperature", "0"];
    let by_run = ["generate", "--model", "tuned"].into_iter().chain(prompt);
    let by_adapter = ["generate", "--model", "base", "--adapter", "tuned/model"].into_iter().chain(prompt);
    assert_eq!(stdout(&kiln(path, by_run)), stdout(&kiln(path, by_adapter)));
}

#[test]
fn texts_are_learned_whole_and_ask_for_no_answer() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    base(path);
    let texts: String = (0..40).map(|n| format!("{{\"text\": \"the number {n}\"}}\n")).collect();
    std::fs::write(path.join("texts.jsonl"), texts).expect("writable");
    let task = ["finetune", "instruct", "--plain", "--model", "base", "--data", "texts.jsonl"];
    let told = stdout(&kiln(path, task.into_iter().chain(["--epochs", "1", "--run-dir", "tuned"])));
    assert!(told.contains("validation") && !told.contains("answers"), "{told}");
    assert!(!path.join("tuned/answers.jsonl").exists());
    assert!(json(&path.join("tuned/results.json")).get("stop_rate").is_none());
}
