//! `kiln generate` and `kiln export`, driven as users drive them.

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{kiln, stdout, train};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a tiny model of bytes in `run`.
fn trained(sets: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let base = ["--run-dir", "run", "--set", "training.steps=2", "--set", "tokenizer.kind=byte"];
    stdout(&train(folder.path(), base.into_iter().chain(sets.iter().copied())));
    folder
}

/// The objects that `kiln generate --model run --json ARGS` prints, with `input` on standard input.
fn objects(folder: &Path, args: &[&str], input: &str) -> Vec<Value> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
    command.args(["generate", "--model", "run", "--json"]).args(args).current_dir(folder);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the binary runs");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    let printed = stdout(&child.wait_with_output().expect("it ends"));
    printed.lines().map(|line| serde_json::from_str(line).expect("an object a line")).collect()
}

fn object(folder: &Path, args: &[&str]) -> Value {
    let [object] = &objects(folder, args, "")[..] else { panic!("one text was asked for") };
    object.clone()
}

/// Changes keys of a JSON file.
fn change(path: &Path, changes: &[(&str, Value)]) {
    let text = std::fs::read_to_string(path).expect("readable");
    let mut file: Value = serde_json::from_str(&text).expect("JSON");
    for (key, value) in changes {
        file[*key] = value.clone();
    }
    std::fs::write(path, file.to_string()).expect("writable");
}

#[test]
fn a_text_ends_at_the_tokens_that_the_files_of_the_model_name() {
    let folder = trained(&[]);
    let path = folder.path();
    let greedy = ["--prompt", "the", "--temperature", "0", "--max-tokens", "30"];
    let free = object(path, &greedy);
    assert_eq!(
        (&free["finish_reason"], free["tokens"].as_array().map(Vec::len)),
        (&json!("length"), Some(30))
    );
    let last = free["tokens"][29].clone();
    let before: Vec<Value> = free["tokens"]
        .as_array()
        .expect("tokens")
        .iter()
        .take_while(|token| **token != last)
        .cloned()
        .collect();
    let (config, generation) =
        (path.join("run/model/config.json"), path.join("run/model/generation_config.json"));
    for (in_config, in_generation) in [
        (last.clone(), Value::Null),
        (json!([255, last]), Value::Null),
        (Value::Null, last.clone()),
        (json!(255), json!([254, last])),
    ] {
        change(&config, &[("eos_token_id", in_config.clone())]);
        change(&generation, &[("eos_token_id", in_generation.clone())]);
        let ended = object(path, &greedy);
        assert_eq!(ended["tokens"], json!(before), "{in_config} and {in_generation}");
        assert_eq!(ended["finish_reason"], "stop");
    }
}

#[test]
fn prompts_come_from_the_command_a_file_or_standard_input() {
    let folder = trained(&[]);
    let path = folder.path();
    let more = ["--max-tokens", "6", "--seed", "7"];
    let with = |args: &[&'static str]| [args, &more[..]].concat();
    let alone = object(path, &with(&["--prompt", "the cat"]));
    assert_eq!(
        (&alone["prompt"], &alone["seed"], &alone["index"]),
        (&json!("the cat"), &json!(7), &json!(0))
    );

    let text = |object: &Value| object["text"].as_str().expect("a text").to_owned();
    for (args, input) in [(&["-p", "-"][..], "the cat\n"), (&[], "the cat\r\n"), (&["-f", "prompt"], "")] {
        std::fs::write(path.join("prompt"), "the cat\n").expect("writable");
        let read = objects(path, &with(args), input);
        assert_eq!(text(&read[0]), text(&alone), "{args:?}");
    }

    // Side by side, each is as alone; the second text of a prompt draws from the next seed.
    std::fs::write(path.join("prompts.txt"), "a dog\nthe cat\n").expect("writable");
    std::fs::write(path.join("prompts.jsonl"), "\"a dog\"\n{\"prompt\": \"the cat\"}\n").expect("writable");
    for file in ["prompts.txt", "prompts.jsonl"] {
        let texts = objects(path, &with(&["--prompts", file, "-n", "2"]), "");
        let told: Vec<_> = texts.iter().map(|text| (text["prompt"].clone(), text["index"].clone())).collect();
        let expected = [("a dog", 0), ("a dog", 1), ("the cat", 0), ("the cat", 1)];
        assert_eq!(told, expected.map(|(prompt, index)| (json!(prompt), json!(index))));
        assert_eq!(text(&texts[2]), text(&alone));
        let next = object(path, &["--prompt", "the cat", "--max-tokens", "6", "--seed", "8"]);
        assert_eq!((text(&texts[3]), &texts[3]["seed"]), (text(&next), &json!(8)));
    }
    let last =
        objects(path, &["-p", "a", "-n", "2", "--seed", "18446744073709551615", "--max-tokens", "1"], "");
    assert_eq!((&last[0]["seed"], &last[1]["seed"]), (&json!(u64::MAX), &json!(0)));

    // Nothing at all is the beginning of a text; so is nothing piped in.
    let begin = object(path, &with(&["--prompt", ""]));
    assert_eq!(begin["prompt_tokens"], json!([10]));
    assert_eq!(text(&objects(path, &more, "")[0]), text(&begin));
    std::fs::write(path.join("latin1"), b"caf\xe9").expect("writable");
    let refused = kiln(path, ["generate", "--model", "run", "-f", "latin1"]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && message.contains("latin1: byte 4"), "{message}");
}

#[test]
fn a_text_ends_before_a_stop_string() {
    let folder = trained(&[]);
    let path = folder.path();
    let args = ["--prompt", "the", "--max-tokens", "200", "--seed", "3", "--top-k", "40"];
    let whole = object(path, &args);
    let whole = whole["text"].as_str().expect("a text");
    let stop: String = whole.chars().skip(50).take(2).collect();
    assert!(!stop.contains(['\n', '\\', '\t', '\r']), "another seed is needed for {stop:?}");
    let expected = whole.split(&stop).next().expect("a part");
    for option in ["--stop", "-r", "--reverse-prompt"] {
        let args = [&args[..], &[option, &stop]].concat();
        let stopped = object(path, &args);
        assert_eq!(
            (stopped["text"].as_str(), stopped["finish_reason"].as_str()),
            (Some(expected), Some("stop"))
        );
        let shown = kiln(path, ["generate", "--model", "run"].into_iter().chain(args));
        assert_eq!(stdout(&shown), format!("the{expected}\n"));
    }
}

#[test]
fn log_probabilities_are_those_that_score_gives() {
    let folder = trained(&[]);
    let path = folder.path();
    let text = object(path, &["-p", "the", "--max-tokens", "5", "--temperature", "2", "--top-logprobs", "3"]);
    let tokens: Vec<String> = [&text["prompt_tokens"], &text["tokens"]]
        .into_iter()
        .flat_map(|list| list.as_array().expect("tokens"))
        .map(Value::to_string)
        .collect();
    let score = kiln(path, ["score", "--model", "run", "--tokens", &tokens.join(","), "--json"]);
    let score: Value = serde_json::from_str(&stdout(&score)).expect("an object");
    for at in 0..5 {
        let (ours, expected) = (text["logprobs"][at].as_f64(), score["logprobs"][at + 3].as_f64());
        assert!(
            (ours.expect("a number") - expected.expect("a number")).abs() < 1e-5,
            "{text} against {score}"
        );
        let top = text["top_logprobs"][at].as_array().expect("a list");
        assert!(top.len() == 3 && top[0]["logprob"].as_f64() >= top[1]["logprob"].as_f64(), "{text}");
    }
    let shown = kiln(path, ["generate", "--model", "run", "-p", "the", "--max-tokens", "5", "--logprobs"]);
    assert_eq!(stdout(&shown).lines().rev().take_while(|line| !line.contains("logprob")).count(), 5);
}

/// What llama.cpp's and transformers' users type.
#[test]
fn other_programs_names_of_options_work() {
    let folder = trained(&[]);
    let path = folder.path();
    let ours = ["--max-tokens", "20", "--temperature", "1.5", "--repeat-penalty", "1.3", "--min-p", "0.001"];
    let expected = object(path, &[&["-p", "a", "--seed", "1"], &ours[..]].concat());
    for theirs in [
        ["--n-predict", "20", "--temp", "1.5", "--repeat-penalty", "1.3", "--min-p", "0.001"],
        ["--max-new-tokens", "20", "--temperature", "1.5", "--repetition-penalty", "1.3", "--min-p", "0.001"],
        ["--max_new_tokens", "20", "--temperature", "1.5", "--repetition_penalty", "1.3", "--min_p", "0.001"],
    ] {
        let found = object(path, &[&["-p", "a", "-s", "1", "--top-k", "-1"], &theirs[..]].concat());
        assert_eq!(found["text"], expected["text"], "{theirs:?}");
    }
    for (option, value, words) in [
        ("--temperature", "-1", "temperature = -1"),
        ("--top-p", "-0.5", "top_p = -0.5"),
        ("--min-p", "2", "min_p = 2"),
        ("--repeat-penalty", "0", "repeat_penalty = 0"),
        ("--top-k", "-2", "'-2'"),
        ("--seed", "18446744073709551616", "18446744073709551615"),
        ("--seed", "-2", "-1"),
    ] {
        let refused = kiln(path, ["generate", "--model", "run", "-p", "a", option, value]);
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && message.contains(words), "{option} {value}: {message}");
    }
}

#[test]
fn a_model_without_a_tokenizer_takes_one_by_name() {
    let folder = trained(&[]);
    let path = folder.path();
    let expected = object(path, &["-p", "the", "--temperature", "0"]);
    for name in ["tokenizer.json", "tokenizer_config.json"] {
        std::fs::remove_file(path.join("run/model").join(name)).expect("it was there");
    }
    let refused = kiln(path, ["generate", "--model", "run", "-p", "the"]);
    let message = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(2) && message.contains("--tokenizer"), "{message}");
    let named = object(path, &["-p", "the", "--temperature", "0", "--tokenizer", "byte"]);
    assert_eq!(named["text"], expected["text"]);
    let scored = kiln(path, ["score", "--model", "run", "--text", "the", "--tokenizer", "byte"]);
    assert!(stdout(&scored).contains("\"t\""));
}

#[test]
fn rows_that_pad_the_vocabulary_are_never_chosen() {
    let folder = trained(&["--set", "model.vocab_size=500"]);
    let path = folder.path();
    let text = object(path, &["-p", "he", "--max-tokens", "60", "--temperature", "4", "--seed", "1"]);
    let tokens = text["tokens"].as_array().expect("tokens");
    assert!(tokens.len() == 60 && tokens.iter().all(|token| token.as_u64() < Some(256)), "{text}");
}

#[test]
fn the_command_that_a_run_prints_works_in_a_shell() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    let corpus = "it's a $HOME, \\n and a <tag>; \"quoted\" & more!\n".repeat(60);
    std::fs::write(path.join("text.txt"), corpus).expect("writable");
    std::fs::write(path.join("one-line.txt"), "abc ".repeat(600)).expect("writable");
    let bin = Path::new(env!("CARGO_BIN_EXE_kiln")).parent().expect("a folder");
    for (run, data, prompt) in [
        ("run", "text.txt", "\\n"),
        ("my $run", "text.txt", "it's a $HOME"),
        ("a'b", "text.txt", "\\\\n \\\"quoted\\\""),
        // Its characters lack the line break.
        ("c", "one-line.txt", "\\n"),
    ] {
        let (data, prompt) = (format!("data.path={data}"), format!("generation.prompt=\"{prompt}\""));
        let args = ["--run-dir", run, "--set", "training.steps=1", "--set", "tokenizer.kind=char", "--set"];
        let printed = stdout(&train(path, args.into_iter().chain([&data[..], "--set", &prompt])));
        let command = printed.lines().find_map(|line| line.strip_prefix("more:  ")).expect("it says how");
        let shell = Command::new("bash")
            .args(["-c", command])
            .env("PATH", format!("{}:/usr/bin:/bin", bin.display()))
            .current_dir(path)
            .output();
        let shell = shell.expect("bash is there");
        assert!(shell.status.success(), "{command}: {}", String::from_utf8_lossy(&shell.stderr));
    }
}

#[test]
fn the_ending_says_what_export_writes() {
    let folder = trained(&[]);
    let path = folder.path();
    let export =
        |args: &[&str]| kiln(path, ["export", "--model", "run"].into_iter().chain(args.iter().copied()));
    let written = export(&["--to", "x.gguf"]);
    assert_eq!(stdout(&written), "x.gguf\n");
    assert!(String::from_utf8_lossy(&written.stderr).contains("llama-cli -m x.gguf"));
    assert_eq!(std::fs::read(path.join("x.gguf")).expect("a file")[..4], *b"GGUF");
    assert_eq!(stdout(&export(&["--to", "v1.5"])), "v1.5\n");
    assert!(path.join("v1.5/config.json").is_file());
    for (args, words) in [
        (&["--to", "y.gguf", "--format", "hf"][..], "y.gguf"),
        (&["--to", "model.safetensors"], ".safetensors"),
        (&["--to", "x.gguf"], "already there"),
        (&["--to", "v1.5"], "already there"),
    ] {
        let refused = export(args);
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(refused.status.code() == Some(2) && message.contains(words), "{args:?}: {message}");
    }
    assert!(!path.join("y.gguf").exists() && !path.join("model.safetensors").exists());
}

#[test]
fn an_export_keeps_what_the_files_say_of_tokens_and_generation() {
    let folder = trained(&["--set", "tokenizer.kind=bpe", "--set", "tokenizer.vocab_size=270"]);
    let model = folder.path().join("run/model");
    change(&model.join("config.json"), &[("eos_token_id", json!(5)), ("pad_token_id", json!(6))]);
    change(
        &model.join("generation_config.json"),
        &[("eos_token_id", json!([5, 7])), ("temperature", json!(0.5))],
    );
    change(
        &model.join("tokenizer_config.json"),
        &[("pad_token", json!("<|endoftext|>")), ("note", json!("mine"))],
    );
    std::fs::write(model.join("chat_template.jinja"), "{{ messages }}").expect("writable");
    stdout(&kiln(folder.path(), ["export", "--model", "run", "--to", "out"]));
    let read = |folder: &Path, name: &str| std::fs::read_to_string(folder.join(name)).expect("readable");
    let out = folder.path().join("out");
    for name in ["generation_config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"] {
        assert_eq!(read(&out, name), read(&model, name), "{name}");
    }
    let config: Value = serde_json::from_str(&read(&out, "config.json")).expect("JSON");
    assert_eq!((&config["eos_token_id"], &config["pad_token_id"]), (&json!(5), &json!(6)));
}

#[test]
fn a_damaged_model_is_refused_by_every_command_that_reads_it() {
    let folder = trained(&[]);
    let path = folder.path();
    let weights = path.join("run/model/model.safetensors");
    let mut bytes = std::fs::read(&weights).expect("readable");
    let last = bytes.len() - 1;
    bytes[last] ^= 4;
    std::fs::write(&weights, bytes).expect("writable");
    for args in [
        &["score", "--model", "run", "--text", "the"][..],
        &["generate", "--model", "run", "--prompt", "the"],
        &["eval", "--model", "run", "--data", "run/data"],
        &["export", "--model", "run", "--to", "out"],
    ] {
        let refused = kiln(path, args.iter().copied());
        let message = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(2), "{message}");
        assert!(message.contains("model.safetensors") && message.contains("damaged"), "{message}");
    }
    assert!(!path.join("out").exists());
}

#[test]
fn heads_that_are_not_used_are_named_once() {
    let folder = trained(&[]);
    let path = folder.path();
    let weights = path.join("run/model/model.safetensors");
    let bytes = std::fs::read(&weights).expect("readable");
    let file = safetensors::SafeTensors::deserialize(&bytes).expect("whole");
    let score = [0; 64];
    let score = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![2, 8], &score);
    let tensors = file.tensors().into_iter().chain([("score.weight".to_owned(), score.expect("it fits"))]);
    let bytes = safetensors::serialize(tensors, None).expect("tensors");
    std::fs::write(&weights, bytes).expect("writable");
    let written = kiln(path, ["generate", "--model", "run", "-p", "the", "--max-tokens", "2"]);
    let message = String::from_utf8_lossy(&written.stderr).into_owned();
    stdout(&written);
    assert_eq!(message.matches("score.weight").count(), 1, "{message}");
}

#[test]
fn a_bias_and_penalties_decide_what_is_chosen() {
    let folder = trained(&[]);
    let greedy = ["--prompt", "the", "--temperature", "0", "--max-tokens", "8"];
    let often = |id: u64, more: &[&str]| {
        let object = object(folder.path(), &[&greedy, more].concat());
        object["tokens"].as_array().expect("a list").iter().filter(|token| **token == id).count()
    };
    let biased = ["--logit-bias", "65=10000", "--logit-bias", "66=10200"];
    // Once it was chosen, 66 loses its lead, until 65 was chosen as often: with a penalty for each time, again and again.
    for (penalty, expected) in [("--presence-penalty", 1), ("--frequency-penalty", 4)] {
        assert_eq!(often(65, &[&biased[..], &[penalty, "300"]].concat()), expected, "{penalty}");
    }
}
