//! `kiln explain`, driven as users drive it.

mod common;

use std::path::Path;
use std::process::Command;

use burn_ndarray::NdArray;
use common::fixtures::cases;
use common::{kiln, refuse, stdout};
use kiln_datasets::Tokenizer;
use kiln_model::{Dtype, GptConfig, SparseAutoencoder, SpecialTokens, save};
use serde_json::Value;

const VIEWS: [&str; 12] = [
    "tokens",
    "shapes",
    "norm",
    "head",
    "heads",
    "dropout",
    "mlp",
    "residual",
    "gradients",
    "lens",
    "sampling",
    "attribution",
];

/// A model that reads bytes, in `folder/model`.
fn write_model(folder: &Path) {
    let config =
        GptConfig { vocab_size: 257, context_length: 160, init_std: 0.3, ..GptConfig::new(2, 2, 16) };
    let model = config.init::<NdArray>(3, &Default::default()).expect("valid");
    save(&model, &folder.join("model"), Dtype::F32, &SpecialTokens::default()).expect("writable");
    Tokenizer::open("byte").expect("built in").save(&folder.join("model")).expect("writable");
}

fn json(folder: &Path, args: &[&str]) -> Value {
    let args = ["explain", "--model", "model", "--json"].iter().chain(args).copied();
    serde_json::from_str(&stdout(&kiln(folder, args))).expect("one object")
}

/// Logits of `transformers` in every family are those that sampling shows, and the head's own steps end at the pattern.
#[test]
fn every_family_is_explained_as_transformers_computes_it() {
    let mut seen = 0;
    for case in cases() {
        let (shape, logits) = &case.tensors["logits"];
        let [_, seq, vocab] = shape[..] else { panic!("logits of a batch") };
        // Of the first text of the batch.
        let tokens = case.tensors["tokens"].1[..seq].iter().map(|token| token.to_string());
        let tokens = tokens.collect::<Vec<String>>().join(",");
        let path = case.directory.display().to_string();
        let output = kiln(Path::new("."), ["explain", "--model", &path, "--tokens", &tokens, "--json"]);
        let found: Value = serde_json::from_str(&stdout(&output)).expect("one object");
        for view in VIEWS {
            assert!(found[view].is_object(), "{}: {view}", case.name);
        }
        let last = &logits[(seq - 1) * vocab..seq * vocab];
        for token in found["sampling"]["logits"].as_array().expect("a list") {
            let (id, value) =
                (token["id"].as_u64().expect("an id"), token["value"].as_f64().expect("a logit"));
            let expected = last[id as usize];
            assert!(
                (value - expected).abs() < 2e-3 * expected.abs().max(1.0),
                "{}: {value}, {expected}",
                case.name
            );
        }
        let (ours, theirs) = (&found["head"]["pattern"], &found["heads"]["heads"][0]["pattern"]);
        for (ours, theirs) in ours.as_array().expect("rows").iter().zip(theirs.as_array().expect("rows")) {
            for (ours, theirs) in
                ours.as_array().expect("numbers").iter().zip(theirs.as_array().expect("numbers"))
            {
                let off = ours.as_f64().expect("a number") - theirs.as_f64().expect("a number");
                assert!(off.abs() < 1e-4, "{}", case.name);
            }
        }
        seen += 1;
    }
    assert!(seen >= 10, "{seen} models");
}

#[test]
fn views_are_printed_and_agree_with_json() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    write_model(path);
    let show = |more: &[&str]| {
        let args = ["explain", "--model", "model", "--text", "so it goes, so"].iter().chain(more).copied();
        stdout(&kiln(path, args))
    };
    for view in VIEWS {
        let shown = show(&["--view", view]);
        assert!(shown.lines().count() > 3 && !shown.contains('\u{1b}'), "{view}: {shown}");
        let object = json(path, &["--text", "so it goes, so", "--view", view]);
        assert!(object[view].is_object() && object.as_object().expect("an object").len() == 6, "{view}");
    }
    let overview = show(&[]);
    assert!(overview.contains("14 tokens") && overview.contains("[2, 14, 257]"), "{overview}");

    // Of a text whose end repeats its beginning, heads can look at the earlier copy.
    let all = json(path, &["--text", "so it goes, so", "--layer", "1", "--head", "1", "--pos", "5"]);
    assert_eq!(all["at"], serde_json::json!({ "layer": 1, "head": 1, "position": 5 }));
    assert!(all["heads"]["heads"][3]["duplicate"].is_number(), "{}", all["heads"]);
    assert!(all["patching"].is_null() && all["features"].is_null());
    let sum: f64 = all["attribution"]["parts"]["components"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|component| component["value"].as_f64().expect("a number"))
        .sum();
    let number = |pointer: &str| all.pointer(pointer).and_then(Value::as_f64).expect("a number");
    let sum = sum + number("/attribution/parts/constant");
    let difference = number("/attribution/target/value") - number("/attribution/against/value");
    assert!((sum - difference).abs() < 1e-3, "{sum} against {difference}");

    let patched =
        json(path, &["--text", "abc", "--corrupt", "abx", "--answers", "x,y", "--view", "patching"]);
    let restored = patched["patching"]["restored"][0].as_array().expect("a row");
    let restored: Vec<f64> = restored.iter().map(|share| share.as_f64().expect("a number")).collect();
    assert!(restored[..2].iter().all(|share| share.abs() < 1e-3) && (restored[2] - 1.0).abs() < 1e-3);
}

#[test]
fn a_cache_and_an_autoencoder_are_written_and_read() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    write_model(path);
    let object = json(path, &["--text", "abc", "--view", "tokens", "--cache", "cache.safetensors"]);
    assert!(object["tokens"].is_object());
    let file = std::fs::read(path.join("cache.safetensors")).expect("written");
    let file = safetensors::SafeTensors::deserialize(&file).expect("whole");
    assert_eq!(file.tensor("blocks.1.attn.hook_pattern").expect("recorded").shape(), [1, 2, 3, 3]);
    assert_eq!(file.tensor("blocks.0.attn.hook_q").expect("recorded").shape(), [1, 3, 2, 8]);

    let site = "blocks.1.hook_resid_post".parse().expect("a place");
    let write = |d_in: usize, name: &str| {
        let config = kiln_model::SaeConfig::new(d_in, 2 * d_in, site);
        // One feature for each direction of an axis: they give the vector back whole.
        let axis = |feature: usize, sign: f32| {
            (0..d_in).map(move |at| if at == feature % d_in { sign } else { 0.0 }).collect::<Vec<f32>>()
        };
        let sign = |feature: usize| if feature < d_in { 1.0 } else { -1.0 };
        let decoder: Vec<f32> = (0..2 * d_in).flat_map(|feature| axis(feature, sign(feature))).collect();
        let encoder = (0..d_in).flat_map(|at| (0..2 * d_in).map(move |feature| (at, feature)));
        let encoder = encoder.map(|(at, feature)| if at == feature % d_in { sign(feature) } else { 0.0 });
        let weights = kiln_model::SaeWeights {
            w_enc: encoder.collect(),
            b_enc: vec![0.0; 2 * d_in],
            w_dec: decoder,
            b_dec: vec![0.0; d_in],
            threshold: vec![0.0; 2 * d_in],
        };
        let sae = SparseAutoencoder::<NdArray>::new(config, weights, &Default::default());
        sae.save(&path.join(name)).expect("writable");
    };
    write(16, "sae");
    let found = json(path, &["--text", "abc", "--view", "features", "--sae", "sae"]);
    let features = &found["features"];
    assert_eq!((&features["l0"], &features["d_sae"]), (&16.0.into(), &32.into()), "{features}");
    assert!((features["explained_variance"].as_f64().expect("a share") - 1.0).abs() < 1e-4);
    write(8, "other");
    refuse(
        path,
        ["explain", "--model", "model", "--text", "abc", "--sae", "other", "--view", "features"],
        &["16", "8"],
    );
}

/// A page asks nobody for anything, whatever the text is.
#[test]
fn the_page_is_one_file_that_holds_any_text() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    write_model(path);
    let text = "</script><img src=http://x onerror=alert(1)> \"'\\ \u{7} é 🦀 {{script}}";
    stdout(&kiln(path, ["explain", "--model", "model", "--text", text, "--html", "page.html"]));
    let page = std::fs::read_to_string(path.join("page.html")).expect("UTF-8");
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
    for word in ["http", "//", "<img"] {
        assert!(!page.contains(word), "{word}");
    }
    assert_eq!(page.matches("</script>").count(), 2);
    let data =
        page.split_once("id=\"data\">").expect("the data").1.split_once("</script>").expect("its end").0;
    for word in ["@import", "fetch(", "XMLHttpRequest", "url(", " src="] {
        assert!(!page.replace(data, "").contains(word), "{word}");
    }
    let data: Value = serde_json::from_str(data).expect("JSON");
    let texts = data["texts"].as_array().expect("a list").iter().map(|text| text.as_str().expect("a text"));
    let shown: String = texts.collect();
    assert!(shown.starts_with("</script><img src=http://x") && shown.ends_with("{{script}}"), "{shown}");
    assert_eq!(data["text"], text);
    // Bytes that are parts of characters.
    assert!(shown.contains("\\xF0\\x9F"), "{shown}");
    assert_eq!(data["heads"]["heads"].as_array().expect("a list").len(), 4);
    assert!(data["head"]["vectors"][0]["query"].is_string());
}

#[test]
fn what_cannot_be_explained_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let path = folder.path();
    write_model(path);
    let long = "a".repeat(129);
    let refused = |args: &[&str], words: &[&str]| {
        refuse(path, ["explain", "--model", "model"].iter().chain(args).copied(), words);
    };
    refused(&["--text", ""], &["empty", "hint"]);
    refused(&["--text", &long], &["129", "128", "--layer"]);
    refused(&["--text", &"a".repeat(161), "--layer", "0"], &["161", "160"]);
    refused(&["--text", "ab", "--layer", "2"], &["layer 2", "2 blocks"]);
    refused(&["--text", "ab", "--head", "2"], &["head 2"]);
    refused(&["--text", "ab", "--pos", "2"], &["pos 2"]);
    refused(&["--text", "ab", "--view", "magic"], &["magic", "attribution"]);
    refused(&["--text", "ab", "--view", "patching"], &["--corrupt", "--answers"]);
    refused(&["--text", "ab", "--view", "features"], &["--sae"]);
    refused(&["--text", "a", "--view", "gradients"], &["one token"]);
    refused(&["--text", "ab", "--corrupt", "abc", "--answers", "x,y"], &["2", "3"]);
    refused(&["--text", "ab", "--answers", "x"], &["--answers", "two"]);
    refused(&["--text", "ab", "--answers", "xy,z"], &["xy", "2 tokens"]);
    refused(&["--tokens", "257"], &["257"]);
    refused(&["--text", "ab", "--sae", "nowhere"], &["nowhere"]);
    let output =
        kiln(path, ["explain", "--model", "model", "--text", &long, "--layer", "1", "--html", "page.html"]);
    stdout(&output);
}

/// Colours where they are asked for, none where `NO_COLOR` is set.
#[test]
fn colours_are_for_terminals() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    write_model(folder.path());
    let run = |variable: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kiln"));
        command.args(["explain", "--model", "model", "--text", "abcabc", "--view", "head"]);
        command.env_remove("NO_COLOR").env(variable, "1").current_dir(folder.path());
        stdout(&command.output().expect("the binary runs"))
    };
    assert!(run("CLICOLOR_FORCE").contains("\u{1b}[48;5;"));
    assert!(!run("NO_COLOR").contains('\u{1b}'));
}
