//! `kiln bench train`: tokens in a second of whole training steps.

use std::io::Write as _;
use std::time::Duration;

use anyhow::Result;
use kiln_model::{AutodiffBackend, GptConfig};
use kiln_training::{OptimizerConfig, time_steps};
use serde_json::json;

use super::model::{config, megabytes, peak_memory};
use super::spread::Spread;
use crate::backend::{TrainingJob, dispatch_training};
use crate::cli::bench::BenchTrain;
use crate::output;

/// Without --steps: as many as take this long, and not fewer than that.
const LONG_ENOUGH: Duration = Duration::from_secs(5);
const FEWEST: usize = 5;

pub fn run(args: BenchTrain) -> Result<()> {
    let config = config(&args.shape, args.context)?;
    let backend = args.backend.clone();
    dispatch_training(&backend, Training { args, config })
}

struct Training {
    args: BenchTrain,
    config: GptConfig,
}

impl TrainingJob for Training {
    type Output = ();

    fn run<B: AutodiffBackend>(self, device: B::Device, name: &'static str) -> Result<()> {
        let Self { args, config } = self;
        let enough = |steps: &[Duration]| match args.steps {
            Some(count) => steps.len() >= count as usize,
            None => steps.len() >= FEWEST && steps.iter().sum::<Duration>() >= LONG_ENOUGH,
        };
        let times = time_steps::<B>(
            &config,
            &OptimizerConfig::default(),
            args.batch,
            args.precision,
            &device,
            enough,
        )?;
        let speed = Spread::per_second(times.tokens, &times.steps);
        let flops_per_second = speed.median * times.flops_per_token;
        let share = flops_per_second / times.matmul_flops_per_second;
        let memory = peak_memory();
        let mut out = output::stdout();
        if args.json {
            let report = json!({
                "backend": name, "precision": args.precision.name(), "parameters": config.num_parameters(), "batch": args.batch,
                "context": config.context_length, "steps": times.steps.len(),
                "tokens_per_second": speed.median, "tokens_per_second_min": speed.least,
                "tokens_per_second_max": speed.most, "peak_memory_bytes": memory,
                "gflops_per_second": flops_per_second / 1e9,
                "matmul_gflops_per_second": times.matmul_flops_per_second / 1e9, "share_of_matmul": share,
            });
            writeln!(out, "{report}")?;
            return Ok(());
        }
        writeln!(
            out,
            "{:.1} M parameters on {name} in {}, {} steps",
            config.num_parameters() as f64 / 1e6,
            args.precision.name(),
            times.steps.len()
        )?;
        writeln!(out, "tokens/s     {speed}")?;
        writeln!(
            out,
            "GFLOP/s      {:.1}, {:.0} % of a large matrix product",
            flops_per_second / 1e9,
            share * 100.0
        )?;
        writeln!(out, "peak memory  {}", megabytes(memory))?;
        Ok(())
    }
}
