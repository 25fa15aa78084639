//! `kiln patch`, driven as users drive it.

mod common;

use common::{kiln, refuse, stdout, train};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a tiny model of bytes in `run`.
fn trained() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let sets = ["--run-dir", "run", "--set", "training.steps=2", "--set", "tokenizer.kind=byte"];
    stdout(&train(folder.path(), sets));
    folder
}

const TASK: [&str; 9] =
    ["patch", "--model", "run", "--clean", "a fox ran", "--corrupt", "a fix ran", "--answers", "e,t"];

#[test]
fn grids_are_told_to_people_and_programs() {
    let folder = trained();
    let path = folder.path();
    let all = ["--heads", "--attribution", "--ablate", "mean"];
    let printed = stdout(&kiln(path, TASK.into_iter().chain(all).chain(["--json"])));
    let object: Value = serde_json::from_str(&printed).expect("one object");
    assert_eq!(object["clean"]["text"], "a fox ran");
    assert_eq!(object["corrupt"]["tokens"][3], json!('i' as u32));
    assert_eq!(object["answers"], json!([{"text": "e", "token": 101}, {"text": "t", "token": 116}]));
    assert_eq!(object["direction"], "denoising");
    let effect = |object: &Value, value: &str| -> Vec<Vec<f64>> {
        serde_json::from_value(object[value]["effect"].clone()).expect("a grid")
    };
    let blocks = effect(&object["grids"], "resid_pre");
    assert_eq!((blocks.len(), blocks[0].len()), (2, 9));
    for (position, effect) in blocks[0].iter().enumerate() {
        let expected = if position == 3 { 1.0 } else { 0.0 };
        assert!((effect - expected).abs() < 1e-2, "position {position}: {effect}");
    }
    for value in ["attn_out", "mlp_out", "z", "q", "k", "v", "pattern"] {
        let (grid, estimate) = (effect(&object["grids"], value), effect(&object["attribution"], value));
        assert_eq!((grid.len(), grid[0].len()), (estimate.len(), estimate[0].len()), "{value}");
        assert!(object["attribution"][value].get("correlation").is_some());
    }
    assert_eq!(object["grids"]["z"]["columns"], "head");
    assert!(object["ablation"]["loss"].as_f64().is_some_and(|loss| loss > 1.0));
    assert_eq!(object["ablation"]["grids"]["mlp_out"]["loss_change"][1].as_array().map(Vec::len), Some(1));

    // Without a terminal: the same numbers, and nothing but numbers.
    let printed =
        stdout(&kiln(path, TASK.into_iter().chain(all).chain(["--noising", "--html", "page.html"])));
    assert!(!printed.contains('\u{1b}'), "{printed}");
    for words in [
        "resid_pre: the residual",
        "  3 \"o\" / \"i\"",
        "head  0",
        "strongest",
        "Pearson's r",
        "feed-forward",
    ] {
        assert!(printed.contains(words), "no {words:?} in:\n{printed}");
    }
    let page = std::fs::read_to_string(path.join("page.html")).expect("written");
    assert_eq!(page.matches("<table>").count(), 9);
    for word in ["http", "//", "@import", "<script", "src="] {
        assert!(!page.contains(word), "{word} in the page");
    }
}

#[test]
fn what_cannot_be_patched_is_refused() {
    let folder = trained();
    let path = folder.path();
    let with = |option: &'static str, value: &'static str, words: &[&str]| {
        let mut command = TASK.to_vec();
        match command.iter().position(|word| *word == option) {
            Some(place) => command[place + 1] = value,
            None => command.extend([option, value]),
        }
        refuse(path, command, words);
    };
    with(
        "--corrupt",
        "a fixed",
        &["--clean has 9 tokens and --corrupt 7", "\"f\" \"i\" \"x\" \"e\" \"d\"", "hint: "],
    );
    with("--corrupt", "a fox ran", &["the same text", "hint: "]);
    with("--clean", "", &["--clean", "no tokens", "hint: "]);
    with("--answers", "e", &["1 answers", "hint: "]);
    with("--answers", "e,t,a", &["3 answers"]);
    with(
        "--answers",
        "e, t",
        &["\" t\" is 2 tokens, \" \" \"t\"", "without the space before it, \"t\" is one"],
    );
    with("--answers", "the,a", &["\"the\" is 3 tokens", "one token each"]);
    with("--answers", "e,", &["one of them is empty"]);
    with("--answers", "e,e", &["the same token"]);
    let long = "a fox ran, and ran, and ran";
    refuse(
        path,
        [
            "patch",
            "--model",
            "run",
            "--clean",
            long,
            "--corrupt",
            &long.replace('x', "g"),
            "--answers",
            "e,t",
        ],
        &["27 tokens exceed the model's context of 16"],
    );
    let narrow = TASK.into_iter().chain(["--attribution", "--dtype", "bf16"]);
    refuse(path, narrow, &["--attribution", "bf16", "hint: leave --dtype out"]);
}
