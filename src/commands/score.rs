//! `kiln score`: how probable a model finds a given text.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use kiln_inference::{ModelFiles, SteeringTap, TextScore};
use kiln_model::Backend;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::json;

use crate::backend::{Job, dispatch};
use crate::cli::inference::Score;
use crate::commands::{steering, token_table};
use crate::output;

pub fn run(args: Score) -> Result<()> {
    let files = crate::files::with_adapter(crate::files::named_model(&args.model)?, &args.common.adapter)?;
    let tokens = match (&args.input.text, &args.input.tokens) {
        (Some(text), _) => {
            crate::files::tokenizer_of(&files, args.tokenizer.as_deref())?.encode_with_special_tokens(text)?
        }
        (None, tokens) => tokens.clone().unwrap_or_default(),
    };
    let backend = args.common.backend.clone();
    dispatch(&backend, Scoring { args, files, tokens })
}

struct Scoring {
    args: Score,
    files: ModelFiles,
    tokens: Vec<u32>,
}

impl Job for Scoring {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args, files, tokens } = self;
        let steering = steering::steering::<B>(&args.steering, files.config(), &device)?;
        let model = files.load_with_precision::<B>(&device, args.common.dtype)?;
        let mut tap = SteeringTap::new(&steering, &device);
        let score = kiln_inference::score_tapped(&model, &tokens, &mut tap)?;
        if let Some(path) = &args.logits {
            write_logits(path, &score, tokens.len())?;
        }
        let mut out = output::stdout();
        if args.common.json {
            writeln!(out, "{}", json!({ "tokens": tokens, "logprobs": score.logprobs, "loss": score.loss }))?;
            return Ok(());
        }
        // A model scored by token ids needs no tokenizer; its tokens are then shown as numbers.
        let tokenizer = crate::files::tokenizer_of(&files, args.tokenizer.as_deref()).ok();
        let rows = tokens.into_iter().zip(score.logprobs);
        token_table::print(&mut out, rows, tokenizer.as_ref())?;
        writeln!(out, "loss {:.6} nats per token, perplexity {:.4}", score.loss, score.loss.exp())?;
        Ok(())
    }
}

fn write_logits(path: &Path, score: &TextScore, tokens: usize) -> Result<()> {
    let bytes: Vec<u8> = score.logits.iter().flat_map(|logit| logit.to_le_bytes()).collect();
    let view = TensorView::new(Dtype::F32, vec![tokens, score.logits.len() / tokens], &bytes)?;
    let file = safetensors::serialize([("logits", view)], None)?;
    Ok(kiln_model::write_file(path, file)?)
}
