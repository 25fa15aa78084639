//! `kiln doctor`: what of this machine the program can use, and how fast it is.

use std::io::Write as _;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use kiln_model::{AutodiffBackend, ComputePrecision, GptConfig};
use kiln_training::{OptimizerConfig, time_steps};
use rayon::prelude::*;
use serde_json::{Value, json};

use crate::backend::{BACKENDS, TrainingJob, dispatch_training};
use crate::cli::common::Doctor;
use crate::output;

/// How long the training steps are timed.
const SECONDS: u64 = 5;
/// Bytes that are read to measure the memory, far more than any cache holds.
const LARGE: usize = 256 << 20;
/// The model that README.md's first row of figures is about, and what others made of it, in tokens a second.
const KNOWN: [(&str, f64); 2] = [("Kiln on two cores of an AMD EPYC", 22_337.0), ("PyTorch there", 14_909.0)];

pub fn run(args: Doctor) -> Result<()> {
    let mut out = output::stdout();
    let backends: Vec<(&str, String)> =
        BACKENDS.iter().map(|(name, built, _)| (*name, state(name, *built))).collect();
    if !args.json {
        for (index, (name, state)) in backends.iter().enumerate() {
            let title = if index == 0 { "backends" } else { "" };
            writeln!(out, "{title:<17}{name:<8} {state}")?;
        }
    }
    let threads = rayon::current_num_threads();
    let (instructions, pages, bandwidth) = (instructions(), huge_pages(), memory_bandwidth());
    if !args.json {
        writeln!(out, "threads          {threads}")?;
        writeln!(out, "instructions     {instructions}")?;
        writeln!(out, "huge pages       {pages}")?;
        writeln!(out, "memory           {bandwidth:.1} GB/s read")?;
    }
    let Speed { backend, tokens_per_second, matmul_gflops } = dispatch_training(&args.backend, Timing)?;
    if args.json {
        let backends: Value =
            backends.iter().map(|(name, state)| json!({ "name": name, "state": state })).collect();
        let report = json!({ "backends": backends, "threads": threads, "instructions": instructions,
            "huge_pages": pages, "memory_gigabytes_per_second": bandwidth, "backend": backend,
            "tokens_per_second": tokens_per_second, "matmul_gflops_per_second": matmul_gflops });
        writeln!(out, "{report}")?;
        return Ok(());
    }
    writeln!(out, "matrix product   {matmul_gflops:.0} GFLOP/s on {backend}")?;
    writeln!(out, "training         {tokens_per_second:.0} tokens/s, 4 layers of width 128, on {backend}")?;
    for (machine, known) in KNOWN {
        writeln!(out, "{:<17}{known:.0} tokens/s: {machine}", "")?;
    }
    Ok(())
}

/// Whether a backend computes here. Tried in a process of its own: a driver may end it.
fn state(name: &str, built: bool) -> String {
    if !built {
        return "not built in".to_owned();
    }
    let small = ["--layers=1", "--heads=1", "--width=16", "--context=8", "--batch=1", "--steps=1", "--json"];
    let tried =
        std::env::current_exe().context("the path of this program is not known").and_then(|program| {
            Ok(Command::new(program).args(["bench", "train", "--backend", name]).args(small).output()?)
        });
    match tried {
        Ok(output) if output.status.success() => "works".to_owned(),
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr);
            let line = text.lines().find(|line| line.starts_with("error: ")).or(text.lines().next());
            format!("does not work here: {}", line.unwrap_or_default().trim_start_matches("error: "))
        }
        Err(error) => format!("not tried: {error:#}"),
    }
}

/// Vector instructions that the kernels ask for.
fn instructions() -> String {
    #[cfg(target_arch = "x86_64")]
    let found = [
        ("AVX2", std::arch::is_x86_feature_detected!("avx2")),
        ("FMA", std::arch::is_x86_feature_detected!("fma")),
        ("AVX-512", std::arch::is_x86_feature_detected!("avx512f")),
        ("AVX-512 VNNI", std::arch::is_x86_feature_detected!("avx512vnni")),
    ];
    #[cfg(target_arch = "aarch64")]
    let found = [("NEON", true)];
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let found: [(&str, bool); 0] = [];
    let found: Vec<&str> = found.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect();
    if found.is_empty() { "none that the kernels know".to_owned() } else { found.join(", ") }
}

/// Whether large tensors get huge pages, where the system tells.
fn huge_pages() -> String {
    let setting = std::fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").unwrap_or_default();
    match setting.split(['[', ']']).nth(1) {
        Some("always" | "madvise") => "yes".to_owned(),
        Some("never") => "no: the system never gives them (transparent_hugepage is `never`)".to_owned(),
        _ => "not known".to_owned(),
    }
}

/// Gigabytes a second that all threads together read, the best of a few times.
fn memory_bandwidth() -> f64 {
    let memory = vec![1u64; LARGE / size_of::<u64>()];
    let piece = memory.len().div_ceil(rayon::current_num_threads());
    let read = || {
        let started = Instant::now();
        let sum: u64 = memory.par_chunks(piece).map(|piece| piece.iter().sum::<u64>()).sum();
        std::hint::black_box(sum);
        started.elapsed()
    };
    let fastest = (0..5).map(|_| read()).min().unwrap_or(Duration::MAX);
    LARGE as f64 / 1e9 / fastest.as_secs_f64()
}

/// What the training steps came to.
struct Speed {
    backend: &'static str,
    tokens_per_second: f64,
    matmul_gflops: f64,
}

/// Times the training of README.md's first row.
struct Timing;

impl TrainingJob for Timing {
    type Output = Speed;

    fn run<B: AutodiffBackend>(self, device: B::Device, name: &'static str) -> Result<Speed> {
        let config = GptConfig { vocab_size: 65, context_length: 64, ..GptConfig::new(4, 4, 128) };
        let enough = |steps: &[Duration]| steps.iter().sum::<Duration>() >= Duration::from_secs(SECONDS);
        let times = time_steps::<B>(
            &config,
            &OptimizerConfig::default(),
            12,
            ComputePrecision::F32,
            &device,
            enough,
        )?;
        let mut steps = times.steps;
        steps.sort_unstable();
        Ok(Speed {
            backend: name,
            tokens_per_second: times.tokens as f64 / steps[steps.len() / 2].as_secs_f64(),
            matmul_gflops: times.matmul_flops_per_second / 1e9,
        })
    }
}
