//! `kiln generate`: continue a prompt, streaming, or several side by side.

mod prompts;
mod report;

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::Result;
use kiln_datasets::Tokenizer;
use kiln_inference::{GenerateOptions, ModelFiles, Request, TextModel, encode_prompt};
use kiln_model::Backend;

use self::report::Report;
use crate::backend::{Job, dispatch};
use crate::cli::inference::Generate;
use crate::commands::shell::quoted;
use crate::commands::{newest, steering};
use crate::failure::{self, Reading};

/// Texts that are generated side by side, at most.
const SIDE_BY_SIDE: usize = 16;

pub fn run(args: Generate) -> Result<()> {
    let options = GenerateOptions {
        max_tokens: args.max_tokens,
        logprobs: (args.logprobs || args.top_logprobs > 0).then_some(args.top_logprobs),
        sampling: args.sampling.sampling(),
        seed: args.sampling.seed(),
        kv_cache: !args.no_kv_cache,
        ..GenerateOptions::default()
    };
    // All mistakes before the weights are read.
    options.sampling.validate()?;
    let directory = model(&args)?;
    let files = crate::files::with_adapter(crate::files::open_model(&directory)?, &args.common.adapter)?;
    let tokenizer = crate::files::tokenizer_of(&files, args.tokenizer.as_deref())?;
    let encode = |prompt: String| -> Result<Text> {
        let tokens = match args.chat {
            true => prompts::said(&prompt, &tokenizer, files.config().context_length)?,
            false => encode_prompt(&prompt, &tokenizer, files.special_tokens())?,
        };
        Ok(Text { prompt, index: 0, request: Request { prompt: tokens, options: options.clone() } })
    };
    let firsts = prompts::read(&args)?.into_iter().map(encode).collect::<Result<_>>()?;
    let backend = args.common.backend.clone();
    dispatch(&backend, Generating { args, files, tokenizer, firsts })
}

/// The model that was named, in whose place a prompt is easily typed.
fn model(args: &Generate) -> Result<PathBuf> {
    let named = args.model.as_deref().or(args.target.as_deref());
    newest::model_directory(named).map_err(|error| match &args.target {
        Some(target) if args.prompt.is_none() && !target.exists() => {
            let prompt = quoted(&target.to_string_lossy());
            let message = failure::message(&error, Reading::Fixed);
            error.context(format!("{message}\nhint: a prompt goes after -p: `kiln generate -p {prompt}`"))
        }
        _ => error,
    })
}

/// A text to be generated.
#[derive(Clone)]
struct Text {
    prompt: String,
    /// Which of the texts for this prompt it is.
    index: u32,
    request: Request,
}

impl Text {
    /// Another one for the same prompt.
    fn again(&self, index: u32) -> Self {
        let mut text = Self { index, ..self.clone() };
        text.request.options.seed = self.request.options.seed.wrapping_add(u64::from(index));
        text
    }
}

struct Generating {
    args: Generate,
    files: ModelFiles,
    tokenizer: Tokenizer,
    /// The first text for each prompt.
    firsts: Vec<Text>,
}

impl Job for Generating {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args, files, tokenizer, mut firsts } = self;
        let steering = steering::steering::<B>(&args.steering, files.config(), &device)?;
        firsts.iter_mut().for_each(|first| first.request.options.steering = steering.clone());
        let model = files.load_with_precision::<B>(&device, args.common.dtype)?;
        let model = TextModel::new(model, tokenizer).with_special_tokens(files.special_tokens());
        let mut report = Report::new(&args, model.tokenizer());
        if let ([text], 1) = (&firsts[..], args.num_samples) {
            return alone(&model, text, &args.stop, &mut report);
        }
        // Made as they are needed: there may be more than memory holds.
        let mut all = firsts.iter().flat_map(|first| (0..args.num_samples).map(|index| first.again(index)));
        loop {
            let texts: Vec<Text> = all.by_ref().take(SIDE_BY_SIDE).collect();
            if texts.is_empty() {
                return Ok(());
            }
            let requests: Vec<Request> = texts.iter().map(|text| text.request.clone()).collect();
            let start = Instant::now();
            let generated = model.generate_batch(&requests, &args.stop)?;
            let seconds = start.elapsed().as_secs_f64();
            let tokens: usize = generated.iter().map(|(_, completion)| completion.tokens.len()).sum();
            for (text, (written, completion)) in texts.iter().zip(&generated) {
                report.start(text)?;
                report.piece(written)?;
                report.finish(text, written, completion, tokens as f64 / seconds)?;
            }
        }
    }
}

/// One text, shown as it comes.
fn alone<B: Backend>(
    model: &TextModel<B>,
    text: &Text,
    until: &[String],
    report: &mut Report<'_, impl Write>,
) -> Result<()> {
    report.start(text)?;
    let start = Instant::now();
    let mut pieces = model.generate_from(&text.request.prompt, &text.request.options)?.until(until);
    let mut written = String::new();
    for piece in pieces.by_ref() {
        let piece = piece?;
        report.piece(&piece)?;
        written.push_str(&piece);
    }
    let seconds = start.elapsed().as_secs_f64();
    let tokens_per_second = pieces.tokens().len() as f64 / seconds;
    report.finish(text, &written, &pieces.into_completion(), tokens_per_second)
}
