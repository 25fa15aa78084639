//! `kiln bench decode|prefill`: tokens in a second of generating, and of reading a prompt.

use std::io::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use kiln_inference::{GenerateOptions, Request, Sampling, generate_batch};
use kiln_model::{Backend, GptModel, KvCache, Precision, token_tensor};
use serde_json::json;

use super::model::{megabytes, open, peak_memory};
use super::spread::Spread;
use crate::backend::{Job, dispatch};
use crate::cli::bench::{BenchDecode, BenchPrefill, ModelSource};
use crate::output;

pub fn decode(args: BenchDecode) -> Result<()> {
    let backend = args.backend.clone();
    dispatch(&backend, Decode(args))
}

pub fn prefill(args: BenchPrefill) -> Result<()> {
    let backend = args.backend.clone();
    dispatch(&backend, Prefill(args))
}

struct Decode(BenchDecode);

impl Job for Decode {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, name: &'static str) -> Result<()> {
        let Self(args) = self;
        let (timed, batch) = (args.tokens as usize, args.batch);
        // One prompt, which is read once; each text starts a step after the one before.
        let until_all_run = batch + usize::from(batch > 1);
        let model = open::<B>(&args.source, args.context + timed + until_all_run - 1, &device)?;
        let sampling = Sampling { temperature: args.temperature, ..Sampling::GREEDY };
        let options = GenerateOptions { max_tokens: timed + until_all_run, sampling, ..Default::default() };
        let request = Request { prompt: prompt(&model, args.context), options };
        let (mut running, mut moments) = (0, Vec::new());
        generate_batch(&model, &vec![request; batch], |row, _| {
            running = running.max(row + 1);
            if row == 0 && running == batch {
                moments.push(Instant::now());
            }
            true
        })?;
        let times: Vec<Duration> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let speed = Spread::per_second(batch, &times);
        report(&model, &args.source, [batch, args.context], name, speed, args.json)
    }
}

struct Prefill(BenchPrefill);

impl Job for Prefill {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, name: &'static str) -> Result<()> {
        let Self(args) = self;
        let model = open::<B>(&args.source, args.context, &device)?;
        let tokens = token_tensor(prompt(&model, args.context), [1, args.context], &device);
        let read = || {
            let start = Instant::now();
            let mut cache = KvCache::new(model.config(), 1, &device);
            let logits = model.forward_cached(tokens.clone(), &mut cache);
            // Fetching them waits for the device.
            std::hint::black_box(logits.into_data());
            start.elapsed()
        };
        read();
        let times: Vec<Duration> = (0..args.repetitions).map(|_| read()).collect();
        let speed = Spread::per_second(args.context, &times);
        report(&model, &args.source, [1, args.context], name, speed, args.json)
    }
}

/// Tokens without a pattern.
fn prompt<B: Backend>(model: &GptModel<B>, length: usize) -> Vec<u32> {
    let vocab_size = model.config().vocab_size as u64;
    (0..length as u64).map(|index| (kiln_datasets::mix(1337, index) % vocab_size) as u32).collect()
}

fn report<B: Backend>(
    model: &GptModel<B>,
    source: &ModelSource,
    [batch, context]: [usize; 2],
    backend: &str,
    speed: Spread,
    as_json: bool,
) -> Result<()> {
    let parameters = model.config().num_parameters();
    let dtype = source.dtype.name();
    let memory = peak_memory();
    let mut out = output::stdout();
    if as_json {
        let report = json!({
            "backend": backend, "parameters": parameters, "dtype": dtype, "batch": batch, "context": context,
            "tokens_per_second": speed.median, "tokens_per_second_min": speed.least,
            "tokens_per_second_max": speed.most, "peak_memory_bytes": memory,
        });
        writeln!(out, "{report}")?;
        return Ok(());
    }
    let texts = if batch == 1 { String::new() } else { format!("{batch} texts with ") };
    writeln!(
        out,
        "{:.1} M parameters in {dtype} on {backend}, {texts}{context} tokens of context",
        parameters as f64 / 1e6
    )?;
    writeln!(out, "tokens/s     {speed}")?;
    // Random weights are made in f32.
    let note = if source.model.is_none() && source.dtype != Precision::F32 {
        ", most of it to make the weights"
    } else {
        ""
    };
    writeln!(out, "peak memory  {}{note}", megabytes(memory))?;
    Ok(())
}
