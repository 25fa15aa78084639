//! What is said of runs afterwards: `info`, `runs` and `report` agree with each other and with `eval`.

mod common;

use std::path::Path;

use common::{kiln, stdout, train};
use serde_json::Value;

fn json<'a>(folder: &Path, args: impl IntoIterator<Item = &'a str>) -> Value {
    serde_json::from_str(&stdout(&kiln(folder, args))).expect("one JSON object")
}

/// The runs that a page carries.
fn page(folder: &Path, runs: &[&str]) -> Vec<Value> {
    stdout(&kiln(folder, ["report", "-o", "page.html"].into_iter().chain(runs.iter().copied())));
    let page = std::fs::read_to_string(folder.join("page.html")).expect("the page");
    let (_, data) = page.split_once(r#"<script type="application/json" id="data">"#).expect("its data");
    let data: Value = serde_json::from_str(data.split_once("</script>").expect("its end").0).expect("JSON");
    data["runs"].as_array().expect("runs").clone()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("no number: {value}"))
}

/// Trains a run on the embedded corpus and evaluates it over its whole validation split.
fn run<'a>(folder: &Path, name: &'a str, more: impl IntoIterator<Item = &'a str>) {
    let steps = [
        "--set",
        "training.steps=30",
        "--set",
        "training.eval_interval=30",
        "--set",
        "training.eval_batches=0",
    ];
    stdout(&train(folder, ["--run-dir", name].into_iter().chain(steps).chain(more)));
}

/// A tokenizer that ends documents: windows start there, in training and in evaluation.
#[test]
fn eval_reads_the_windows_of_the_run() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let several_stories = ["--set", "data.valid_fraction=0.5"];
    let bpe = ["--set", "tokenizer.kind=bpe", "--set", "tokenizer.vocab_size=300"];
    run(path, "runs/a", bpe.into_iter().chain(several_stories));
    let (info, eval) = (json(path, ["info", "a", "--json"]), json(path, ["eval", "a", "--json"]));
    assert!((number(&info["run"]["loss"]) - number(&eval["loss"])).abs() < 1e-3, "{info} {eval}");
    let protocol = eval["protocol"].as_str().expect("words");
    assert!(protocol.contains("start at documents"), "{protocol}");
    let consecutive = json(path, ["eval", "a", "--windows", "consecutive", "--json"]);
    assert_eq!(consecutive["tokens"], eval["tokens"]);
    assert_ne!(consecutive["loss"], eval["loss"]);
}

#[test]
fn info_report_and_eval_agree() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    run(path, "runs/a", []);
    let info = json(path, ["info", "a", "--json"]);
    let eval = json(path, ["eval", "--model", "runs/a", "--json"]);
    let (run, model) = (&info["run"], &info["model"]);
    assert_eq!((&run["run_dir"], &run["steps"]), (&"runs/a".into(), &30.into()));
    assert_eq!((&model["layers"], &model["context_length"]), (&2.into(), &16.into()));
    assert!((number(&run["loss"]) - number(&eval["loss"])).abs() < 1e-3, "{run} {eval}");
    assert!((number(&run["bits_per_byte"]) - number(&eval["bits_per_byte"])).abs() < 1e-3, "{run} {eval}");
    let floor = number(&run["floor"]);
    assert!(floor > 0.1 && floor < number(&run["loss"]), "{run}");

    let reported = &page(path, &["runs/a"])[0];
    for key in ["training_loss", "bits_per_byte", "floor"] {
        assert_eq!(reported[key], run[key], "{key}");
    }
    assert_eq!(json(path, ["runs", "--json"])["runs"][0]["loss"], run["loss"]);

    // The same in words, and each part by itself.
    let words = stdout(&kiln(path, ["info", "a"]));
    for (name, key) in
        [("training loss", "training_loss"), ("bits per byte", "bits_per_byte"), ("floor", "floor")]
    {
        let line = format!("{name:<15}  {:.4}", number(&run[key]));
        assert!(words.contains(&line), "no {line:?} in: {words}");
    }
    assert_eq!(json(path, ["info", "--run", "a", "--json"]), serde_json::json!({ "run": run }));
    assert_eq!(json(path, ["info", "--model", "a", "--json"]), serde_json::json!({ "model": model }));
    let backends = json(path, ["info", "--backends", "--json"]);
    assert!(
        backends["backends"].as_array().expect("a list").iter().any(|backend| backend["built_in"] == true)
    );
}

#[test]
fn only_losses_on_the_same_text_and_tokens_are_compared() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    run(path, "a", []);
    // Neither the learning rate nor the order of the windows makes it another text.
    run(path, "b", ["--set", "optimizer.learning_rate=1e-3", "--set", "data.order=\"sequential\""]);
    run(path, "c", ["--set", "tokenizer.kind=char"]);
    let runs = page(path, &["a", "b", "c"]);
    assert_eq!(runs[0]["origin"], runs[1]["origin"]);
    assert_ne!(runs[0]["origin"], runs[2]["origin"]);
    assert_eq!(runs[0]["floor"], runs[1]["floor"]);
    // Characters cost fewer nats each, but not fewer bits for the same bytes.
    let loss = |run: &Value| number(&run["best"][1]);
    let bits = |run: &Value| number(&run["bits_per_byte"]);
    assert!(bits(&runs[2]) / loss(&runs[2]) > 1.4 && bits(&runs[0]) / loss(&runs[0]) < 1.4, "{runs:?}");

    // A run by an older version does not say.
    std::fs::remove_file(path.join("a/validation.json")).expect("it is there");
    let old = &page(path, &["a"])[0];
    assert!(old["bits_per_byte"].is_null() && old["floor"].is_null());
    std::fs::write(path.join("b/validation.json"), "{").expect("writable");
    common::refuse(path, ["report", "b", "-o", "page.html"], &["b/validation.json"]);
}
