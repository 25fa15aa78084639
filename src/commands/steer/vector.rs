//! `kiln steer vector`: a control vector of two lists of texts.

use std::path::Path;

use anyhow::{Result, bail};
use kiln_datasets::Tokenizer;
use kiln_inference::{ModelFiles, encode_prompt, mean_difference};
use kiln_model::{Backend, ControlVector, Site};

use crate::backend::{Job, dispatch};
use crate::cli::steer::SteerVector;
use crate::output::print_message;

pub fn run(args: SteerVector) -> Result<()> {
    let files = crate::files::named_model(&args.model)?;
    let tokenizer = files.tokenizer()?;
    let (with, without) = (texts(&args.with, &tokenizer, &files)?, texts(&args.without, &tokenizer, &files)?);
    let layers = files.config().n_layers;
    if let Some(layer) = args.layer.iter().find(|layer| **layer >= layers) {
        bail!("--layer {layer}: the model has blocks 0 to {}", layers - 1);
    }
    let backend = args.backend.clone();
    dispatch(&backend, Making { args, files, with, without })
}

/// The lines of a file that are not empty, as tokens.
fn texts(path: &Path, tokenizer: &Tokenizer, files: &ModelFiles) -> Result<Vec<Vec<u32>>> {
    let text = crate::files::read_utf8(path)?;
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let texts: Vec<Vec<u32>> = lines
        .map(|line| Ok(encode_prompt(line, tokenizer, files.special_tokens())?))
        .collect::<Result<_>>()?;
    if texts.is_empty() {
        bail!("{}: no text in it", path.display());
    }
    Ok(texts)
}

struct Making {
    args: SteerVector,
    files: ModelFiles,
    with: Vec<Vec<u32>>,
    without: Vec<Vec<u32>>,
}

impl Job for Making {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args, files, with, without } = self;
        let model = files.load::<B>(&device)?;
        let mut vector = ControlVector::default();
        for layer in &args.layer {
            let found = mean_difference(&model, &with, &without, Site::ResidPost(*layer))?;
            let norm = found.direction.iter().map(|number| number * number).sum::<f32>().sqrt();
            print_message(format_args!(
                "block {layer}: the kinds are {norm:.3} apart; vectors are {:.3} long there",
                found.mean_norm
            ));
            vector.mean_norm = Some(found.mean_norm);
            vector.directions.insert(*layer, found.direction);
        }
        vector.save(&args.to)?;
        print_message(format_args!("wrote {}", args.to.display()));
        Ok(())
    }
}
