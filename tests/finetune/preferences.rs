//! Preferences.

use serde_json::Value;

use crate::common::{kiln, refuse, stdout};
use crate::start::{base, other, preferences};

#[test]
fn what_is_chosen_becomes_likelier_than_what_is_rejected_and_the_first_loss_is_ln_2() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    base(path);
    preferences(path);
    let task =
        ["finetune", "dpo", "--plain", "--model", "base", "--data", "pairs.jsonl", "--run-dir", "tuned"];
    let more = ["--epochs", "6", "--lr", "0.002"];
    stdout(&kiln(path, task.into_iter().chain(more)));
    let text = std::fs::read_to_string(path.join("tuned/results.json")).expect("it is there");
    let results: Value = serde_json::from_str(&text).expect("JSON");
    let figure = |when: &str, name: &str| results[when][name].as_f64().expect("a number");
    assert!((figure("before", "loss") - std::f64::consts::LN_2).abs() < 1e-6, "{results}");
    assert!(figure("before", "rewards/margins").abs() < 1e-6, "{results}");
    assert_eq!(figure("test", "rewards/accuracies"), 1.0, "{results}");
    let metrics = std::fs::read_to_string(path.join("tuned/metrics.jsonl")).expect("it is there");
    let first: Value = serde_json::from_str(metrics.lines().next().expect("a step")).expect("JSON");
    assert!((first["loss"].as_f64().expect("a number") - std::f64::consts::LN_2).abs() < 1e-5, "{first}");
    assert!(first["logps/chosen"].as_f64().expect("a number") < 0.0, "{first}");
}

#[test]
fn a_run_that_resumes_wants_the_model_that_it_started_from() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    base(path);
    preferences(path);
    let task =
        ["finetune", "dpo", "--plain", "--model", "base", "--data", "pairs.jsonl", "--run-dir", "tuned"];
    stdout(&kiln(path, task.into_iter().chain(["--minutes", "0.00001"])));
    let resume = ["finetune", "dpo", "--plain", "--run-dir", "tuned", "--resume", "--minutes", "1000"];
    let model = path.join("base/model");
    std::fs::rename(&model, path.join("first")).expect("it is there");
    other(path);
    std::fs::rename(path.join("other/model"), &model).expect("it is there");
    refuse(path, resume, &["base", "the model changed since the run began", "checksum"]);
    std::fs::remove_dir_all(&model).expect("it is there");
    std::fs::rename(path.join("first"), &model).expect("it is there");
    stdout(&kiln(path, resume));
}
