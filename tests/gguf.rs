//! A GGUF file wherever a model directory goes, and what is refused.

mod common;

use std::path::Path;

use common::{kiln, refuse, stdout, train};
use serde_json::Value;

/// A run of a few steps in `folder`, and its model as `NAME.gguf`.
fn trained(folder: &Path, name: &str, settings: &[&str]) {
    let settings: Vec<&str> = settings.iter().flat_map(|setting| ["--set", setting]).collect();
    let run = ["--run-dir", name, "--set", "training.steps=3"];
    stdout(&train(folder, run.into_iter().chain(settings)));
    export(folder, name, &format!("{name}.gguf"), "f32");
}

fn export(folder: &Path, model: &str, to: &str, dtype: &str) {
    stdout(&kiln(folder, ["export", "--model", model, "--to", to, "--dtype", dtype]));
}

fn json<'a>(folder: &Path, args: impl IntoIterator<Item = &'a str>) -> Value {
    serde_json::from_str(&stdout(&kiln(folder, args))).expect("one object")
}

#[test]
fn what_was_exported_computes_and_writes_the_same() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let bpe = &["tokenizer.kind=bpe", "tokenizer.vocab_size=300"][..];
    for (name, settings) in [("bpe", bpe), ("char", &["tokenizer.kind=char", "model.tied_head=false"])] {
        trained(path, name, settings);
        let file = format!("{name}.gguf");
        let both = |args: &[&str]| {
            [name, file.as_str()].map(|model| {
                let args = [&args[..1], &["--model", model][..], &args[1..]].concat();
                stdout(&kiln(path, args))
            })
        };
        for args in [
            &["score", "--text", "The fox ran.", "--json"][..],
            &["generate", "--prompt", "The", "--temperature", "0", "--max-tokens", "12"],
            &["generate", "--prompt", "The", "--seed", "7", "--dtype", "int8"],
        ] {
            let [from_run, from_file] = both(args);
            assert_eq!(from_run, from_file, "{name}: {args:?}");
        }
        export(path, &file, &format!("{name}-again"), "f32");
        let weights = |directory: String| {
            std::fs::read(path.join(directory).join("model.safetensors")).expect("a model directory")
        };
        assert!(weights(format!("{name}-again")) == weights(format!("{name}/model")), "{name}: weights");
        export(path, &file, &format!("{name}-again.gguf"), "f32");
        let file = |file: String| std::fs::read(path.join(file)).expect("just exported");
        assert!(file(format!("{name}-again.gguf")) == file(format!("{name}.gguf")), "{name}: file");
    }
}

#[test]
fn every_command_takes_a_file() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    trained(path, "run", &["tokenizer.kind=bpe", "tokenizer.vocab_size=300"]);
    std::fs::write(path.join("text.txt"), "The fox went home, and the fox slept. ".repeat(20))
        .expect("writable");
    let info = stdout(&kiln(path, ["info", "run.gguf"]));
    assert!(info.contains("run.gguf") && info.contains("layers"), "{info}");
    let loss = |model| {
        json(path, ["eval", "--model", model, "--data", "text.txt", "--json"])["loss"]
            .as_f64()
            .expect("a loss")
    };
    assert_eq!(loss("run.gguf"), loss("run"));
    let ids =
        |tokenizer| json(path, ["tokenize", "encode", "--tokenizer", tokenizer, "--text", "a fox", "--json"]);
    assert_eq!(ids("run.gguf"), ids("run"));
    let init = ["--run-dir", "more", "--init-from", "run.gguf", "--set", "training.steps=2"];
    stdout(&train(path, init));

    // Halves round once: what is read of a file of halves makes the same file.
    export(path, "run", "half.gguf", "f16");
    export(path, "half.gguf", "half", "f32");
    export(path, "half", "half-again.gguf", "f16");
    let file = |name: &str| std::fs::read(path.join(name)).expect("just exported");
    assert!(file("half.gguf") == file("half-again.gguf"));
}

#[test]
fn damaged_files_are_refused() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    trained(path, "run", &["tokenizer.kind=char", "model.n_layers=1"]);
    let sound = std::fs::read(path.join("run.gguf")).expect("just exported");
    let score = |bytes: &[u8], words: &[&str]| {
        std::fs::write(path.join("bad.gguf"), bytes).expect("writable");
        refuse(path, ["score", "--model", "bad.gguf", "--tokens", "1,2"], words);
    };
    for percent in 0..100 {
        score(&sound[..sound.len() * percent / 100], &["bad.gguf", "GGUF"]);
    }
    let with = |at: usize, value: &[u8]| [&sound[..at], value, &sound[at + value.len()..]].concat();
    let name = b"token_embd.weight";
    let tensor = sound.windows(name.len()).position(|window| window == name).expect("a tensor") + name.len();
    score(&with(0, b"GGML"), &["bad.gguf", "\"GGML\""]);
    score(&with(4, &[99]), &["bad.gguf", "version 99", "2 or 3"]);
    score(&with(8, &[0xFF; 8]), &["18446744073709551615 tensors"]);
    score(&with(16, &[0xFF; 8]), &["18446744073709551615 keys"]);
    score(&with(tensor + 4, &[0xFF; 16]), &["token_embd.weight", "more than 2^64"]);
    score(&with(tensor + 20, &[77]), &["token_embd.weight", "77"]);
    score(&with(tensor + 20, &[24]), &["token_embd.weight", "I8", "hint: ", "llama-quantize"]);
    score(&with(tensor + 31, &[1]), &["token_embd.weight", "the file ends at byte"]);
    refuse(path, ["score", "--model", "none.gguf", "--tokens", "1,2"], &["none.gguf", "No such file"]);
}
