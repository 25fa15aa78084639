//! Training from the outside: what a run writes, that it repeats, resumes, and stops when asked.

mod common;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use common::{TINY, kiln, losses, stdout, train};

#[test]
fn a_run_leaves_what_it_promises_and_repeats_exactly() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let args =
        ["--set", "training.steps=12", "--set", "training.eval_interval=5", "--set", "model.dropout=0.1"];
    let first = stdout(&train(path, args));
    let second = stdout(&train(path, args));
    assert!(first.contains("validation loss") && first.contains("no model can expect less than"), "{first}");
    assert!(first.contains("kiln generate --model runs/tales "), "{first}");
    assert!(second.contains("runs/tales-2"), "a second run goes elsewhere: {second}");
    assert_eq!(losses(&path.join("runs/tales")), losses(&path.join("runs/tales-2")));

    let run = path.join("runs/tales");
    for name in [
        "config.toml",
        "model/config.json",
        "model/model.safetensors",
        "model/tokenizer.json",
        "checkpoint",
        "metrics.jsonl",
        "samples.jsonl",
        "loss.svg",
        "experiment.log",
    ] {
        assert!(run.join(name).exists(), "{name}");
    }
    let metrics = std::fs::read_to_string(run.join("metrics.jsonl")).expect("readable");
    let lines: Vec<serde_json::Value> =
        metrics.lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    let valid: Vec<_> =
        lines.iter().filter(|line| line["split"] == "valid").map(|line| line["step"].clone()).collect();
    assert_eq!(valid, [5, 10, 12]);
    for line in &lines {
        for key in ["step", "loss", "tokens", "tokens_per_second", "learning_rate"] {
            assert!(line[key].is_number(), "{key} in {line}");
        }
        assert_eq!(line["grad_norm"].is_number(), line["split"] == "train", "{line}");
    }
    assert_eq!(lines.iter().filter(|line| line["split"] == "train").count(), 12);
    assert_eq!(lines[12]["tokens"], 11 * 32);

    // The resolved configuration is one that trains the same run again.
    let config = run.join("config.toml");
    let again =
        kiln(path, ["train", "--plain", "--run-dir", "again", "--config", &config.display().to_string()]);
    stdout(&again);
    assert_eq!(losses(&path.join("again")), losses(&run));

    let info = stdout(&kiln(path, ["info", "--run", "runs/tales"]));
    assert!(info.contains("steps            12"), "{info}");
    let info = stdout(&kiln(path, ["info", "--model", "runs/tales"]));
    assert!(info.contains("tokenizer        tokenizer.json"), "{info}");
}

#[test]
fn a_resumed_run_equals_one_that_never_stopped() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let common = [
        "--set",
        "model.dropout=0.2",
        "--set",
        "schedule.decay_steps=16",
        "--set",
        "training.eval_interval=4",
    ];
    let whole = ["--run-dir", "whole", "--set", "training.steps=16"];
    stdout(&train(path, common.into_iter().chain(whole)));
    stdout(&train(path, common.into_iter().chain(["--run-dir", "parts", "--set", "training.steps=7"])));
    stdout(&kiln(path, ["train", "--plain", "--run-dir", "parts", "--resume", "--set", "training.steps=16"]));
    assert_eq!(losses(&path.join("parts")), losses(&path.join("whole")));
    let weights =
        |run: &str| std::fs::read(path.join(run).join("model/model.safetensors")).expect("readable");
    assert!(weights("parts") == weights("whole"), "the best models differ");
}

/// A model of `transformers` with a vocabulary larger than its tokenizer's and scores scaled by layer, trained on:
/// what makes it compute as it does survives the interruption.
#[test]
fn a_run_from_another_model_resumes_as_that_model() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    std::fs::write(path.join("text.txt"), "the kiln is hot and the clay is cold\n".repeat(30))
        .expect("writable");
    let model = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference/fixtures/layer-scaled");
    let begin = |run, steps| {
        // No size of the model: it is that of the weights.
        let settings = [
            "data.path=text.txt",
            "tokenizer.kind=char",
            "schedule.decay_steps=9",
            "schedule.warmup_steps=4",
            "training.batch_size=2",
            "training.eval_batches=2",
            "generation.max_tokens=8",
            steps,
        ];
        let set = settings.into_iter().flat_map(|setting| ["--set", setting]);
        let args = ["train", "--plain", "--init-from", model, "--run-dir", run];
        stdout(&kiln(path, args.into_iter().chain(set)));
    };
    begin("whole", "training.steps=8");
    begin("parts", "training.steps=5");
    stdout(&kiln(path, ["train", "--plain", "--run-dir", "parts", "--resume", "--set", "training.steps=8"]));
    assert_eq!(losses(&path.join("parts")), losses(&path.join("whole")));
}

#[test]
fn frozen_parameters_stay_as_they_were() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let freeze = ["--set", "training.freeze=[\"wte\", \"h.0.*\"]", "--set", "schedule.decay_steps=5"];
    for (run, steps) in [("short", "training.steps=2"), ("long", "training.steps=5")] {
        stdout(&train(path, freeze.into_iter().chain(["--run-dir", run, "--set", steps])));
    }
    let weights = |run: &str| {
        let file = std::fs::read(path.join(run).join("model/model.safetensors")).expect("readable");
        let tensors = safetensors::SafeTensors::deserialize(&file).expect("whole");
        let tensors = tensors.iter().map(|(name, tensor)| (name.to_owned(), tensor.data().to_vec()));
        tensors.collect::<std::collections::BTreeMap<_, _>>()
    };
    let long = weights("long");
    for (name, short) in weights("short") {
        let bare = name.trim_start_matches("transformer.");
        let frozen = bare == "wte.weight" || bare.starts_with("h.0.");
        assert_eq!(short == long[&name], frozen, "{name}");
    }
    let resume = ["train", "--plain", "--run-dir", "short", "--resume", "--set", "training.steps=5"];
    stdout(&kiln(path, resume));
    assert!(weights("short") == long, "what is frozen stays so in a resumed run");

    let unknown = train(path, ["--run-dir", "unknown", "--set", "training.freeze=[\"wtf.*\"]"]);
    let message = String::from_utf8_lossy(&unknown.stderr);
    assert_eq!(unknown.status.code(), Some(2), "{message}");
    assert!(
        message.contains("training.freeze = \"wtf.*\": matches none of wte.weight, wpe.weight"),
        "{message}"
    );
    assert!(!path.join("unknown").exists(), "what never trained leaves nothing");
}

#[test]
fn text_files_train_with_every_tokenizer_and_generate() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let text = "The kiln is hot. The clay is cold. Öfen brennen länger — 火.\n".repeat(60);
    std::fs::write(path.join("text.txt"), text).expect("writable");
    for kind in ["char", "byte", "gpt2"] {
        let tokenizer = format!("tokenizer.kind={kind}");
        let args = [
            "--set",
            "data.path=text.txt",
            "--set",
            &tokenizer,
            "--set",
            "training.steps=3",
            "--run-dir",
            kind,
        ];
        stdout(&train(path, args));
        let generate = |extra: &[&str]| {
            let args = ["generate", "--model", kind, "--prompt", "The kiln", "--max-tokens", "40", "--json"];
            let text = stdout(&kiln(path, args.into_iter().chain(extra.iter().copied())));
            serde_json::from_str::<serde_json::Value>(&text).expect("one JSON object")
        };
        let seeded = generate(&["--seed", "1"]);
        assert_eq!(seeded["tokens"], generate(&["--seed", "1"])["tokens"]);
        let greedy = generate(&["--temperature", "0"]);
        assert_eq!(greedy["tokens"], generate(&["--temperature", "0", "--no-kv-cache"])["tokens"]);
        assert!(greedy["tokens_per_second"].is_number() && greedy["text"].is_string());

        let prompt = &greedy["prompt_tokens"];
        let encoded =
            stdout(&kiln(path, ["tokenize", "encode", "--tokenizer", kind, "--text", "The kiln", "--json"]));
        let encoded: serde_json::Value = serde_json::from_str(&encoded).expect("one JSON object");
        assert_eq!(&encoded["tokens"], prompt);
        let ids: Vec<String> = prompt.as_array().expect("a list").iter().map(ToString::to_string).collect();
        let decoded =
            stdout(&kiln(path, ["tokenize", "decode", "--tokenizer", kind, "--tokens", &ids.join(",")]));
        assert_eq!(decoded, "The kiln\n");

        let score = stdout(&kiln(
            path,
            ["score", "--model", kind, "--text", "The kiln", "--json", "--logits", "l.st"],
        ));
        let score: serde_json::Value = serde_json::from_str(&score).expect("one JSON object");
        assert!(score["logprobs"][0].is_null() && score["logprobs"][1].as_f64().expect("a number") < 0.0);
        let eval = stdout(&kiln(path, ["eval", "--model", kind, "--data", "text.txt", "--json"]));
        let eval: serde_json::Value = serde_json::from_str(&eval).expect("one JSON object");
        let (loss, perplexity) =
            (eval["loss"].as_f64().expect("a loss"), eval["perplexity"].as_f64().expect("one"));
        assert!((loss.exp() - perplexity).abs() < 1e-9 && eval["bits_per_byte"].as_f64().expect("one") > 0.0);
    }
}

#[cfg(unix)]
#[test]
fn control_c_keeps_a_checkpoint_and_exits_130() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kiln"))
        .args(["train", "--plain", "--run-dir", "run", "--set", "training.steps=1000000"])
        .args(TINY)
        .current_dir(path)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let lines = BufReader::new(child.stderr.take().expect("piped")).lines();
    let mut lines = lines.map(|line| line.expect("UTF-8"));
    assert!(lines.any(|line| line.starts_with("step")), "training begins");
    let signal =
        Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill is there");
    assert!(signal.success());
    let rest: Vec<String> = lines.collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(130));
    assert!(rest.iter().any(|line| line.contains("--run-dir run --resume")), "{rest:?}");
    let checkpoints = std::fs::read_dir(path.join("run/checkpoint")).expect("a checkpoint was written");
    assert!(checkpoints.count() >= 1);
    let done = losses(&path.join("run")).len();
    let steps = format!("training.steps={}", done + 3);
    stdout(&kiln(path, ["train", "--plain", "--run-dir", "run", "--resume", "--set", &steps]));
    let steps: Vec<u64> = losses(&path.join("run")).into_iter().map(|(step, _)| step).collect();
    assert_eq!(steps, (1..=done as u64 + 3).collect::<Vec<_>>(), "no gap and no step twice");
}

#[test]
fn a_run_that_diverges_skips_counts_and_stops_with_a_sentence() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let set = ["optimizer.learning_rate=1e30", "schedule.warmup_steps=0", "training.steps=40"];
    let set = set.into_iter().flat_map(|change| ["--set", change]);
    let output = train(folder.path(), ["--run-dir", "run"].into_iter().chain(set));
    let message = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{message}");
    assert!(message.contains("10 steps in a row had a loss or gradient that is not finite"), "{message}");
    assert!(message.contains("lower optimizer.learning_rate"), "{message}");
    let metrics = std::fs::read_to_string(folder.path().join("run/metrics.jsonl")).expect("readable");
    let last: serde_json::Value =
        serde_json::from_str(metrics.lines().last().expect("a line")).expect("an object");
    assert!(last["loss"].is_null() && last.get("loss_z").is_some_and(serde_json::Value::is_null), "{last}");
}

/// The z-scores against a second computation of them, from the losses that the file gives.
#[test]
fn spikes_are_measured_against_what_came_before() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    stdout(&train(folder.path(), ["--run-dir", "run", "--set", "training.steps=40"]));
    let metrics = std::fs::read_to_string(folder.path().join("run/metrics.jsonl")).expect("readable");
    let lines =
        metrics.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an object"));
    let lines: Vec<_> = lines.filter(|line| line["split"] == "train").collect();
    for (key, score) in [("loss", "loss_z"), ("grad_norm", "grad_norm_z")] {
        let values: Vec<f64> = lines.iter().map(|line| line[key].as_f64().expect("finite")).collect();
        assert!(lines[..16].iter().all(|line| line[score].is_null()));
        for (i, line) in lines.iter().enumerate().skip(16) {
            let n = i as f64;
            let (sum, squares) = values[..i].iter().fold((0.0, 0.0), |(s, q), x| (s + x, q + x * x));
            let deviation = ((squares - sum * sum / n) / (n - 1.0)).sqrt();
            let expected = (values[i] - sum / n) / deviation;
            assert!((line[score].as_f64().expect("a score") - expected).abs() < 1e-6, "{line}");
        }
    }
}

#[test]
fn a_sweep_tries_everything_ranks_it_and_continues_where_it_stopped() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let grid = [
        "--grid",
        "optimizer.learning_rate=1e-2,1e-9",
        "model.n_layers=1,2",
        "--dir",
        "sweep",
        "--plain",
        "--json",
    ];
    let steps = ["--set", "training.steps=30", "--set", "schedule.min_learning_rate=0"];
    let sweep = || kiln(path, ["sweep"].into_iter().chain(TINY).chain(steps).chain(grid));
    let table: serde_json::Value = serde_json::from_str(&stdout(&sweep())).expect("one object");
    let names = |table: &serde_json::Value| -> Vec<String> {
        let runs = table["runs"].as_array().expect("a list").iter();
        runs.map(|run| run["name"].as_str().expect("a name").to_owned()).collect()
    };
    let ranked = names(&table);
    assert_eq!(ranked.len(), 4);
    assert!(
        ranked[..2].iter().all(|name| name.starts_with("learning_rate=1e-2")),
        "learning beats not learning: {ranked:?}"
    );
    // One is gone: it is made up for, and the others are not touched.
    let metrics = |name: &str| path.join("sweep").join(name).join("metrics.jsonl");
    let untouched = std::fs::read(metrics(&ranked[0])).expect("readable");
    std::fs::remove_dir_all(path.join("sweep").join(&ranked[1])).expect("it is there");
    let again: serde_json::Value = serde_json::from_str(&stdout(&sweep())).expect("one object");
    assert_eq!(names(&again), ranked);
    assert_eq!(std::fs::read(metrics(&ranked[0])).expect("readable"), untouched);

    let mut report = vec!["report".to_owned()];
    report.extend(ranked.iter().map(|name| format!("sweep/{name}")));
    let page = stdout(&kiln(path, report.iter().map(String::as_str)));
    assert_eq!(page, "report.html\n");
    let page = std::fs::read_to_string(path.join("report.html")).expect("readable");
    assert!(ranked.iter().all(|name| page.contains(name.as_str())));
}
