//! What looking inside finds in a model, for `tests/reference/look.py`.
//!
//! `look MODEL TOKENS CORRUPT ANSWERS OUT` writes every recorded value to `OUT/cache.safetensors` and the lens to
//! `OUT/lens.safetensors`, and prints one object with the rest. Tokens are ids with commas between them.

#![allow(clippy::print_stdout, reason = "what it is for")]

use std::path::Path;

use burn_autodiff::Autodiff;
use burn_ndarray::NdArray;
use kiln_inference::{
    Ablation, Direction, PatchTask, PatchedValue, Recorder, ablate, activation_patching,
    attribution_patching, correlation, direct_logit_attribution, head_scores, lens_logits, lens_sites,
    logit_lens, repeated_token_scores, write_cache,
};
use kiln_model::{GptModel, Site, load, token_tensor, write_file};
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [directory, tokens, corrupt, answers, out] = &words[..] else {
        return Err("usage: look MODEL TOKENS CORRUPT ANSWERS OUT".into());
    };
    let ids = |text: &str| text.split(',').map(str::parse).collect::<Result<Vec<u32>, _>>();
    let (tokens, corrupt, answers) = (ids(tokens)?, ids(corrupt)?, ids(answers)?);
    let answers: [u32; 2] = answers[..].try_into()?;
    let device = Default::default();
    let model: GptModel<NdArray> = load(Path::new(directory), &device)?;
    let (config, out) = (model.config(), Path::new(out));

    let mut recorder = Recorder::of(Site::all(config));
    let shape = [1, tokens.len()];
    model.forward_tapped(token_tensor(tokens.clone(), shape, &device), None, &mut recorder);
    write_cache(&model, &recorder, &out.join("cache.safetensors"))?;
    let lens: Vec<(String, Vec<u8>)> = lens_sites(config.n_layers)
        .into_iter()
        .map(|site| {
            let logits = lens_logits(&model, &recorder, site);
            (site.to_string(), logits.iter().flat_map(|logit| logit.to_le_bytes()).collect())
        })
        .collect();
    let shape = vec![tokens.len(), config.vocab_size];
    let views =
        lens.iter().map(|(name, bytes)| Ok((name, TensorView::new(Dtype::F32, shape.clone(), bytes)?)));
    let views = views.collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    write_file(&out.join("lens.safetensors"), safetensors::serialize(views, None)?)?;

    let [right, wrong] = answers;
    let last = tokens.len() - 1;
    let mut task = PatchTask { clean: tokens.clone(), corrupt, answers, direction: Direction::Denoising };
    let values = [&PatchedValue::BLOCKS[..], &PatchedValue::HEADS].concat();
    let differentiable: GptModel<Autodiff<NdArray>> = load(Path::new(directory), &device)?;
    let mut directions = Vec::new();
    for direction in [Direction::Denoising, Direction::Noising] {
        task.direction = direction;
        let patching = activation_patching(&model, &task, &values, |_, _| {})?;
        let attribution = attribution_patching(&differentiable, &task, &values)?;
        let correlations: Vec<f64> = patching
            .grids
            .iter()
            .zip(&attribution)
            .map(|(grid, estimate)| correlation(&grid.effect, &estimate.effect))
            .collect();
        directions.push(json!({
            "patching": patching, "attribution": attribution, "correlations": correlations,
        }));
    }
    let report = json!({
        "lens": logit_lens(&model, &recorder, &tokens, 5)?,
        "attribution": direct_logit_attribution(&model, &recorder, last, right, None)?,
        "attribution_of_difference": direct_logit_attribution(&model, &recorder, last, right, Some(wrong))?,
        "heads": head_scores(&recorder, config.n_layers, &tokens),
        "repeated": repeated_token_scores(&model, 0, 12, 7)?,
        "denoising": directions[0],
        "noising": directions[1],
        "zero": ablate(&model, &tokens, Some(answers), Ablation::Zero, |_, _| {})?,
        "mean": ablate(&model, &tokens, Some(answers), Ablation::Mean(&[tokens.clone(), task.corrupt.clone()]), |_, _| {})?,
        "resample": ablate(&model, &tokens, Some(answers), Ablation::Resample(&task.corrupt), |_, _| {})?,
    });
    println!("{report}");
    Ok(())
}
