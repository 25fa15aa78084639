//! `kiln generate`: continue a prompt, streaming.

use std::io::Write;
use std::time::Instant;

use anyhow::Result;
use kiln_datasets::{StreamDecoder, Tokenizer};
use kiln_inference::{Generation, Sampler, Sampling};
use kiln_model::Backend;
use serde_json::json;

use crate::backend::{Job, dispatch};
use crate::cli::Generate;
use crate::files::model_directory;

pub fn run(args: Generate) -> Result<()> {
    let Generate { temperature, top_k, top_p, .. } = args;
    let sampling = Sampling { temperature, top_k, top_p };
    sampling.validate()?;
    let directory = model_directory(&args.model);
    kiln_model::load_config(&directory)?;
    let tokenizer = Tokenizer::from_directory(&directory)?;
    let prompt = tokenizer.encode_with_special_tokens(&args.prompt)?;
    let backend = args.common.backend.clone();
    dispatch(&backend, Generating { args, sampling, tokenizer, prompt })
}

struct Generating {
    args: Generate,
    sampling: Sampling,
    tokenizer: Tokenizer,
    prompt: Vec<u32>,
}

impl Job for Generating {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args, sampling, tokenizer, prompt } = self;
        let directory = model_directory(&args.model);
        let model = kiln_model::load_with_precision::<B>(&directory, &device, args.common.dtype)?;
        let request = Generation {
            prompt: prompt.clone(),
            max_tokens: args.max_tokens,
            stop: tokenizer.end_of_text(),
            kv_cache: !args.no_kv_cache,
        };
        let mut sampler = Sampler::new(sampling, args.seed.unwrap_or_else(clock_seed));
        let mut output = std::io::stdout().lock();
        if !args.common.json {
            write!(output, "{}", args.prompt)?;
            output.flush()?;
        }
        let mut stream = StreamDecoder::default();
        let mut written = Ok(());
        let began = Instant::now();
        let tokens = kiln_inference::generate(&model, &request, &mut sampler, |token| {
            if args.common.json {
                return true;
            }
            let bytes = tokenizer.decode_bytes(&[token]).unwrap_or_default();
            written = write!(output, "{}", stream.push(&bytes)).and_then(|()| output.flush());
            written.is_ok()
        })?;
        let seconds = began.elapsed().as_secs_f64();
        written?;
        if args.common.json {
            let object = json!({
                "prompt_tokens": prompt,
                "tokens": tokens,
                "text": tokenizer.decode(&tokens)?,
                "tokens_per_second": tokens.len() as f64 / seconds,
            });
            writeln!(output, "{object}")?;
        } else {
            writeln!(output, "{}", stream.finish())?;
        }
        Ok(())
    }
}

/// Another text each time nobody asks for a particular one.
fn clock_seed() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}
