//! `kiln generate`: continue a prompt, streaming.

use std::io::Write;
use std::time::{Instant, SystemTime};

use anyhow::Result;
use kiln_datasets::Tokenizer;
use kiln_inference::{GenerateOptions, ModelFiles, Sampling, TextModel};
use kiln_model::Backend;
use serde_json::json;

use crate::backend::{Job, dispatch};
use crate::cli::inference::Generate;
use crate::output;

pub fn run(args: Generate) -> Result<()> {
    let Generate { temperature, top_k, top_p, .. } = args;
    let options = GenerateOptions {
        max_tokens: args.max_tokens,
        sampling: Sampling { temperature, top_k, top_p },
        seed: args.seed.unwrap_or_else(clock_seed),
        kv_cache: !args.no_kv_cache,
        ..GenerateOptions::default()
    };
    // All mistakes before the weights are read.
    options.sampling.validate()?;
    let files = ModelFiles::open(&args.model)?;
    let tokenizer = files.tokenizer()?;
    let prompt = tokenizer.encode_with_special_tokens(&args.prompt)?;
    let backend = args.common.backend.clone();
    dispatch(&backend, Generating { args, options, files, tokenizer, prompt })
}

struct Generating {
    args: Generate,
    options: GenerateOptions,
    files: ModelFiles,
    tokenizer: Tokenizer,
    prompt: Vec<u32>,
}

impl Job for Generating {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args, options, files, tokenizer, prompt } = self;
        let model =
            TextModel::new(files.load_with_precision::<B>(&device, args.common.dtype)?, tokenizer.clone());
        let mut output = output::stdout();
        let mut text = model.generate_from(&prompt, &options)?;
        if !args.common.json {
            write!(output, "{}", args.prompt)?;
            output.flush()?;
            for piece in text {
                write!(output, "{piece}")?;
                output.flush()?;
            }
            writeln!(output)?;
            return Ok(());
        }
        let start = Instant::now();
        text.by_ref().for_each(drop);
        let seconds = start.elapsed().as_secs_f64();
        let tokens = text.tokens();
        let object = json!({
            "prompt_tokens": prompt,
            "tokens": tokens,
            "text": tokenizer.decode(tokens)?,
            "tokens_per_second": tokens.len() as f64 / seconds,
        });
        writeln!(output, "{object}")?;
        Ok(())
    }
}

/// Another text each time nobody asks for a particular one.
fn clock_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}
