//! Models that `transformers` saved, and what PyTorch computes with them: `tests/reference/make_fixtures.py` wrote both.

use std::collections::BTreeMap;
use std::path::PathBuf;

use burn::tensor::{Int, Tensor, TensorData};
use kiln_model::Backend;
use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

/// What one case expects.
pub struct Case {
    pub name: String,
    pub directory: PathBuf,
    pub numbers: Value,
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

/// All of them, by name.
pub fn cases() -> Vec<Case> {
    let fixtures = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/reference/fixtures");
    let mut cases: Vec<Case> = std::fs::read_dir(&fixtures)
        .expect("the fixtures are committed")
        .map(|entry| {
            let directory = entry.expect("readable").path();
            let read = |name: &str| std::fs::read(directory.join(name)).expect("the fixtures are whole");
            let file = read("expected.safetensors");
            let file = SafeTensors::deserialize(&file).expect("the fixtures are whole");
            let tensors = file.tensors().into_iter().map(|(name, view)| {
                let values: Vec<f64> = match view.dtype() {
                    Dtype::F32 => {
                        view.data().as_chunks().0.iter().map(|b| f64::from(f32::from_le_bytes(*b))).collect()
                    }
                    Dtype::I64 => {
                        view.data().as_chunks().0.iter().map(|b| i64::from_le_bytes(*b) as f64).collect()
                    }
                    other => panic!("{name} is {other:?}"),
                };
                (name, (view.shape().to_vec(), values))
            });
            Case {
                name: directory.file_name().expect("a name").to_string_lossy().into_owned(),
                numbers: serde_json::from_slice(&read("expected.json")).expect("the fixtures are whole"),
                tensors: tensors.collect(),
                directory,
            }
        })
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(cases.len() >= 17, "there are {} cases", cases.len());
    cases
}

impl Case {
    pub fn tokens<B: Backend>(&self, name: &str, device: &B::Device) -> Tensor<B, 2, Int> {
        let (shape, values) = &self.tensors[name];
        let values: Vec<i64> = values.iter().map(|value| *value as i64).collect();
        Tensor::from_data(TensorData::new(values, shape.clone()), device)
    }

    pub fn number(&self, path: &str) -> f64 {
        let value = path.split('.').fold(&self.numbers, |value, key| &value[key]);
        value.as_f64().unwrap_or_else(|| panic!("{path} is a number"))
    }

    pub fn is_full(&self) -> bool {
        self.numbers.get("recipe").is_some()
    }
}

/// Largest difference of two lists.
pub fn distance(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f64::max)
}
