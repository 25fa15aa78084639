//! `kiln generate`: continue a prompt, streaming, or several side by side.

mod prompts;
mod report;

use std::io::Write;
use std::time::{Instant, SystemTime};

use anyhow::Result;
use kiln_datasets::Tokenizer;
use kiln_inference::{GenerateOptions, ModelFiles, Request, Sampling, TextModel, encode_prompt};
use kiln_model::Backend;

use self::report::Report;
use crate::backend::{Job, dispatch};
use crate::cli::inference::{Generate, SamplingArgs};
use crate::commands::newest;

/// Texts that are generated side by side, at most.
const SIDE_BY_SIDE: usize = 16;

pub fn run(args: Generate) -> Result<()> {
    let SamplingArgs { temperature, top_k, top_p, min_p, repeat_penalty, repeat_last_n } = args.sampling;
    let options = GenerateOptions {
        max_tokens: args.max_tokens,
        logprobs: (args.logprobs || args.top_logprobs > 0).then_some(args.top_logprobs),
        sampling: Sampling { temperature, top_k, top_p, min_p, repeat_penalty, repeat_last_n },
        seed: args.seed.and_then(|seed| u64::try_from(seed).ok()).unwrap_or_else(clock_seed),
        kv_cache: !args.no_kv_cache,
        ..GenerateOptions::default()
    };
    // All mistakes before the weights are read.
    options.sampling.validate()?;
    let directory = newest::model_directory(args.model.as_deref().or(args.target.as_deref()))?;
    let files = crate::files::open_model(&directory)?;
    let tokenizer = crate::files::tokenizer_of(&files, args.tokenizer.as_deref())?;
    let mut texts = Vec::new();
    for prompt in prompts::read(&args)? {
        let tokens = encode_prompt(&prompt, &tokenizer, files.special_tokens())?;
        for index in 0..args.num_samples {
            let options =
                GenerateOptions { seed: options.seed.wrapping_add(u64::from(index)), ..options.clone() };
            let request = Request { prompt: tokens.clone(), options };
            texts.push(Text { prompt: prompt.clone(), index, request });
        }
    }
    let until = args.stop.iter().map(|stop| prompts::unescape(stop)).collect();
    let backend = args.common.backend.clone();
    dispatch(&backend, Generating { args, files, tokenizer, texts, until })
}

/// A text to be generated.
struct Text {
    prompt: String,
    /// Which of the texts for this prompt it is.
    index: u32,
    request: Request,
}

struct Generating {
    args: Generate,
    files: ModelFiles,
    tokenizer: Tokenizer,
    texts: Vec<Text>,
    until: Vec<String>,
}

impl Job for Generating {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args, files, tokenizer, texts, until } = self;
        let model = files.load_with_precision::<B>(&device, args.common.dtype)?;
        let model = TextModel::new(model, tokenizer).with_special_tokens(files.special_tokens());
        let mut report = Report::new(&args, model.tokenizer());
        if let [text] = &texts[..] {
            return alone(&model, text, &until, &mut report);
        }
        for texts in texts.chunks(SIDE_BY_SIDE) {
            let requests: Vec<Request> = texts.iter().map(|text| text.request.clone()).collect();
            let start = Instant::now();
            let generated = model.generate_batch(&requests, &until)?;
            let seconds = start.elapsed().as_secs_f64();
            let tokens: usize = generated.iter().map(|(_, completion)| completion.tokens.len()).sum();
            for (text, (written, completion)) in texts.iter().zip(&generated) {
                report.start(text)?;
                report.piece(written)?;
                report.finish(text, written, completion, tokens as f64 / seconds)?;
            }
        }
        Ok(())
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

/// Another text each time nobody asks for a particular one.
fn clock_seed() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    now.map_or(0, |now| now.as_nanos() as u64)
}
