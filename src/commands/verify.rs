//! `kiln verify gpt2`: whether a model computes and learns what GPT-2 does, by llm.c's published losses.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use kiln_datasets::{FetchOptions, Tokenizer};
use kiln_inference::ModelFiles;
use kiln_model::AutodiffBackend;
use kiln_training::{LLM_C_BATCH, LLM_C_CONTEXT, LLM_C_LOSSES, LLM_C_TOLERANCE, llm_c_losses};
use serde_json::json;

use crate::backend::{TrainingJob, dispatch_training};
use crate::cli::models::{Verify, VerifyGpt2};
use crate::files::read_text;
use crate::output::{self, print_message};

pub fn run(command: Verify) -> Result<ExitCode> {
    let Verify::Gpt2(args) = command;
    let files = crate::files::named_model(&args.model)?;
    let config = files.config();
    let gpt2 = Tokenizer::open("gpt2")?;
    if config.vocab_size < gpt2.vocab_size() || config.context_length < LLM_C_CONTEXT {
        bail!(
            "{}: a vocabulary of {} and a context of {}; the check needs GPT-2's {} tokens and a context of {}",
            files.path().display(),
            config.vocab_size,
            config.context_length,
            gpt2.vocab_size(),
            LLM_C_CONTEXT
        );
    }
    let data = match &args.data {
        Some(data) => data.clone(),
        None => tinyshakespeare()?,
    };
    let tokens = tokens(&read_text(&data)?, &gpt2).with_context(|| data.display().to_string())?;
    let backend = args.backend.clone();
    dispatch_training(&backend, Verifying { args, files, tokens })
}

/// The text, where `kiln data fetch` puts it.
fn tinyshakespeare() -> Result<PathBuf> {
    let options = FetchOptions { offline: true, ..FetchOptions::from_env() };
    match kiln_datasets::fetch("tinyshakespeare", None, &options, &mut |_| {}) {
        Ok(fetched) => Ok(fetched.path),
        Err(_) => bail!(
            "the check reads the beginning of tinyshakespeare, which is not part of Kiln\nhint: `kiln data fetch \
             tinyshakespeare`, or name the file, `--data tinyshakespeare.txt`"
        ),
    }
}

/// The first tokens of the text as llm.c prepares it: end-of-text before every paragraph, the blank line
/// after it kept.
fn tokens(text: &str, gpt2: &Tokenizer) -> Result<Vec<u32>> {
    let wanted = LLM_C_BATCH * LLM_C_CONTEXT + 1;
    let mut tokens = Vec::new();
    for section in text.split_inclusive("\n\n") {
        tokens.extend(gpt2.end_of_text());
        tokens.extend(gpt2.encode(section)?);
        if tokens.len() >= wanted {
            tokens.truncate(wanted);
            return Ok(tokens);
        }
    }
    bail!("{} tokens, and the check needs {wanted}", tokens.len())
}

struct Verifying {
    args: VerifyGpt2,
    files: ModelFiles,
    tokens: Vec<u32>,
}

impl TrainingJob for Verifying {
    type Output = ExitCode;

    fn run<B: AutodiffBackend>(self, device: B::Device, name: &'static str) -> Result<ExitCode> {
        let Self { args, files, tokens } = self;
        print_message(format_args!("ten training steps of {} on {name}", files.path().display()));
        let model = files.load::<B>(&device)?;
        let losses = llm_c_losses(model, &tokens);
        let differences = losses.iter().zip(LLM_C_LOSSES).map(|(ours, published)| (ours - published).abs());
        let largest = differences.fold(0.0, f64::max);
        let agrees = largest <= LLM_C_TOLERANCE;
        let mut out = output::stdout();
        if args.json {
            let expected = LLM_C_LOSSES;
            writeln!(
                out,
                "{}",
                json!({"expected": expected, "losses": losses, "tolerance": LLM_C_TOLERANCE, "agrees": agrees})
            )?;
        } else {
            writeln!(out, "step  published  measured  difference")?;
            for (step, (ours, published)) in losses.iter().zip(LLM_C_LOSSES).enumerate() {
                writeln!(
                    out,
                    "{step:>4}  {published:>9.6}  {ours:>8.6}  {:>10.1e}",
                    (ours - published).abs()
                )?;
            }
            let verdict = if agrees { "this is GPT-2 124M" } else { "this is not GPT-2 124M, or a defect" };
            writeln!(out, "largest difference {largest:.1e}, allowed {LLM_C_TOLERANCE}: {verdict}")?;
        }
        Ok(ExitCode::from(u8::from(!agrees)))
    }
}
