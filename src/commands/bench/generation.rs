//! `kiln bench decode|prefill`: tokens in a second of generating, and of reading a prompt.

use std::time::{Duration, Instant};

use anyhow::Result;
use burn::tensor::{Int, Tensor, TensorData};
use kiln_inference::{Generation, Sampler, Sampling, generate};
use kiln_model::{Backend, GptModel, KvCache, Precision};
use serde_json::json;

use super::model::{megabytes, open, peak_memory};
use super::spread::Spread;
use crate::backend::{Job, dispatch};
use crate::cli::{BenchDecode, BenchPrefill, ModelSource};

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
        let timed = args.tokens as usize;
        let model = open::<B>(&args.source, args.context + timed, &device)?;
        let request = Generation {
            prompt: prompt(&model, args.context).iter().map(|token| *token as u32).collect(),
            // The first one pays for the prompt.
            max_tokens: timed + 1,
            stop: None,
            kv_cache: true,
        };
        let mut moments = Vec::new();
        generate(&model, &request, &mut Sampler::new(Sampling::GREEDY, 0), |_| {
            moments.push(Instant::now());
            true
        })?;
        let times: Vec<Duration> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
        report(&model, &args.source, args.context, name, Spread::per_second(1, &times), args.json);
        Ok(())
    }
}

struct Prefill(BenchPrefill);

impl Job for Prefill {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, name: &'static str) -> Result<()> {
        let Self(args) = self;
        let model = open::<B>(&args.source, args.context, &device)?;
        let tokens = TensorData::new(prompt(&model, args.context), [1, args.context]);
        let tokens = Tensor::<B, 2, Int>::from_data(tokens, &device);
        let read = || {
            let began = Instant::now();
            let mut cache = KvCache::new(model.config(), 1, &device);
            let logits = model.forward_cached(tokens.clone(), &mut cache);
            // Fetching them waits for the device.
            std::hint::black_box(logits.into_data());
            began.elapsed()
        };
        read();
        let times: Vec<Duration> = (0..args.repetitions).map(|_| read()).collect();
        report(&model, &args.source, args.context, name, Spread::per_second(args.context, &times), args.json);
        Ok(())
    }
}

/// Tokens without a pattern.
fn prompt<B: Backend>(model: &GptModel<B>, length: usize) -> Vec<i64> {
    let vocab_size = model.config().vocab_size as u64;
    (0..length as u64).map(|index| (kiln_datasets::mix(1337, index) % vocab_size) as i64).collect()
}

fn report<B: Backend>(
    model: &GptModel<B>,
    source: &ModelSource,
    context: usize,
    backend: &str,
    speed: Spread,
    as_json: bool,
) {
    let parameters = model.config().num_parameters();
    let dtype = source.dtype.name();
    let memory = peak_memory();
    if as_json {
        let report = json!({
            "backend": backend, "parameters": parameters, "dtype": dtype, "context": context,
            "tokens_per_second": speed.median, "tokens_per_second_min": speed.least,
            "tokens_per_second_max": speed.most, "peak_memory_bytes": memory,
        });
        println!("{report}");
        return;
    }
    println!(
        "{:.1} M parameters in {dtype} on {backend}, {context} tokens of context",
        parameters as f64 / 1e6
    );
    println!("tokens/s     {speed}");
    // Random weights are made in f32.
    let note = if source.model.is_none() && source.dtype != Precision::F32 {
        ", most of it to make the weights"
    } else {
        ""
    };
    println!("peak memory  {}{note}", megabytes(memory));
}
