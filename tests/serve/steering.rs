//! `steering`, the field by which a request turns features and vectors up or down.

use std::collections::BTreeMap;

use burn_ndarray::NdArray;
use kiln_model::{ControlVector, SaeConfig, SaeWeights, Site, SparseAutoencoder};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::Server;

const PATH: &str = "/v1/completions";

/// Width of the server's model.
const WIDTH: usize = 32;

fn server(folder: &TempDir) -> Server {
    let numbers = |seed: u64, count: usize| {
        (0..count as u64)
            .map(|at| (kiln_datasets::mix(seed, at) % 2001) as f32 / 1000.0 - 1.0)
            .collect::<Vec<f32>>()
    };
    let config = SaeConfig { mean_norm: Some(2.0), ..SaeConfig::new(WIDTH, 4, Site::ResidPost(1)) };
    let weights = SaeWeights {
        w_enc: numbers(1, 4 * WIDTH),
        b_enc: numbers(2, 4),
        w_dec: numbers(3, 4 * WIDTH),
        b_dec: numbers(4, WIDTH),
        threshold: vec![0.1; 4],
    };
    let (sae, vector) = (folder.path().join("sae"), folder.path().join("up.gguf"));
    SparseAutoencoder::<NdArray>::new(config, weights, &Default::default()).save(&sae).expect("writable");
    let directions = BTreeMap::from([(1, numbers(5, WIDTH)), (2, numbers(6, WIDTH))]);
    ControlVector { directions, ..Default::default() }.save(&vector).expect("writable");
    let path = |path: &std::path::Path| path.to_str().expect("UTF-8").to_owned();
    Server::start(&["--sae", &path(&sae), "--control-vector", &path(&vector), "--slots", "3"])
}

fn body(steering: Value) -> Value {
    let prompt = "so it goes, and so it goes on, and on it goes so, ".repeat(4);
    json!({ "prompt": prompt, "max_tokens": 30, "seed": 3, "steering": steering })
}

#[test]
fn requests_are_steered_each_by_itself_and_are_told_how() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = server(&folder);
    let ask = |steering: Value| server.ask(PATH, &body(steering));
    let text = |answer: &Value| answer["choices"][0]["text"].to_string();

    let plain = ask(Value::Null);
    assert_eq!(plain.get("steering"), None);
    let kinds = [
        json!([{ "feature": 2 }]),
        json!([{ "feature": 2, "mode": "add", "strength": 2, "unit": "raw", "positions": "generated" }]),
        json!([{ "vector": "up", "strength": 3, "layer": 2 }]),
        json!([{ "vector": "up", "mode": "ablate" }, { "feature": 1, "strength": -3 }]),
    ];
    // What was read for one is not what another one reads.
    let alone: Vec<String> = kinds.iter().map(|kind| text(&ask(kind.clone()))).collect();
    assert!(alone.iter().all(|steered| *steered != text(&plain)), "{alone:?}");
    for (kind, expected) in kinds.iter().zip(&alone).rev() {
        assert_eq!(&text(&ask(kind.clone())), expected);
        assert_eq!(text(&ask(json!([]))), text(&plain));
    }
    std::thread::scope(|scope| {
        for (kind, expected) in kinds.iter().zip(&alone) {
            let (ask, text) = (&ask, &text);
            scope.spawn(move || assert_eq!(&text(&ask(kind.clone())), expected));
        }
    });

    let told = ask(kinds[0].clone())["steering"].clone();
    let expected =
        json!([{ "feature": 2, "mode": "clamp", "strength": 0.5, "unit": "norm", "positions": "all" }]);
    assert_eq!(told, expected);
    let mut streamed = body(kinds[0].clone());
    streamed["stream"] = json!(true);
    let pieces = server.post(PATH, &streamed).pieces();
    assert!(pieces.iter().all(|piece| piece["steering"] == expected));
}

#[test]
fn what_is_not_there_is_refused() {
    let folder = tempfile::tempdir().expect("a temporary directory");
    let server = server(&folder);
    for (steering, param, told) in [
        (json!("fox"), "steering", "a list of objects"),
        (json!([3]), "steering[0]", "an object"),
        (json!([{ "strength": 1 }]), "steering[0].feature", "feature"),
        (json!([{ "feature": 1, "vector": "up" }]), "steering[0].feature", "feature"),
        (json!([{ "feature": 4 }]), "steering", "0 to 3"),
        (json!([{ "feature": -1 }]), "steering[0].feature", "feature"),
        (json!([{ "vector": "down" }]), "steering", "there is up"),
        (json!([{ "feature": 1, "layer": 2 }]), "steering", "blocks.1.hook_resid_post"),
        (json!([{ "feature": 1, "unit": "max" }]), "steering", "how active"),
        (json!([{ "feature": 1, "mode": "louder" }]), "steering[0].mode", "clamp, add or ablate"),
        (json!([{ "feature": 1, "strength": 1e9 }]), "steering[0].strength", "strength"),
        (json!([{ "feature": 1, "power": 1 }]), "steering[0]", "power"),
        (json!([{ "vector": "up", "mode": "clamp" }]), "steering", "added or ablated"),
        (json!(vec![json!({ "feature": 1 }); 65]), "steering", "65 entries"),
    ] {
        let error = server.post(PATH, &body(steering.clone())).error(400);
        let message = error["message"].as_str().expect("a text");
        assert!(message.contains(told), "{steering}: {message}");
        assert_eq!(error["param"], param, "{steering}");
    }
}
