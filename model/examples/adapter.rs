//! An adapter through Kiln, for `tests/reference/lora.py`: attaches it to its model, and writes it again, the gradients of a
//! fixed batch in the same layout, and what the model computes.
//!
//! `adapter MODEL ADAPTER OUT` writes `OUT/adapter` and `OUT/gradients`, and prints the loss, or a classifier's scores.

#![allow(clippy::print_stdout, reason = "what it is for")]

use std::path::PathBuf;

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use kiln_model::{Adapter, GptModel, load, save_adapter, save_classifier_adapter, token_tensor};

type B = Autodiff<NdArray>;
type Inner = <B as burn::tensor::backend::AutodiffBackend>::InnerBackend;

const ROWS: usize = 2;
const SEQ: usize = 12;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let paths: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let [model, adapter, out] = &paths[..] else { return Err("usage: adapter MODEL ADAPTER OUT".into()) };
    let (device, adapter) = (Default::default(), Adapter::open(adapter)?);
    let base = model.to_string_lossy();
    let model: GptModel<B> = load(model, &device)?;
    // The same numbers as in the script.
    let vocab = model.config().vocab_size;
    let ids = |shift: usize| -> Vec<i32> {
        let places = (0..ROWS).flat_map(|row| (0..SEQ).map(move |place| row * 31 + (place + shift) * 7 + 3));
        places.map(|number| (number % vocab) as i32).collect()
    };
    let [tokens, targets] = [0, 1].map(|shift| token_tensor::<B, _>(ids(shift), [ROWS, SEQ], &device));
    if adapter.is_classifier() {
        let (classifier, labels) = adapter.attach_classifier(model, &base)?;
        save_classifier_adapter(&classifier, &labels, &out.join("adapter"), &base)?;
        let hidden = classifier.last_hidden(tokens.reshape([1, ROWS * SEQ]), &[SEQ; ROWS]);
        println!("{:?}", classifier.logits(hidden).into_data().to_vec::<f32>().unwrap_or_default());
        return Ok(());
    }
    let model = adapter.attach(model, &base)?;
    save_adapter(&model, &out.join("adapter"), &base)?;
    let loss = model.loss(tokens, targets);
    println!("{:?}", loss.to_data().to_vec::<f32>().unwrap_or_default());
    let gradients = GradientsParams::from_grads(loss.backward(), &model);
    save_adapter(&model.map(&mut Gradients(gradients)), &out.join("gradients"), &base)?;
    Ok(())
}

/// Puts its gradient in the place of each parameter that has one.
struct Gradients(GradientsParams);

impl ModuleMapper<B> for Gradients {
    fn map_float<const D: usize>(&mut self, parameter: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        match self.0.remove::<Inner, D>(parameter.id) {
            Some(gradient) => Param::initialized(parameter.id, Tensor::from_inner(gradient)),
            None => parameter,
        }
    }
}
