//! What drawing batches from a shard costs, beside copying tokens that lie in memory: figures for
//! `docs/data.md`.
//!
//! ```sh
//! cargo run --release -p kiln-datasets --example loader -- [MILLION TOKENS] [BATCH] [CONTEXT]
//! ```

use std::hint::black_box;
use std::time::Instant;

use kiln_datasets::{Order, ShardWriter, TokenShard, Vocabulary, WindowSampler, mix};

/// Batches of a series.
const BATCHES: u64 = 2000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let mut next = |default| arguments.next().unwrap_or(Ok(default));
    let (tokens, batch_size, context_length) = (next(200)? * 1_000_000, next(8)?, next(1024)?);

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("train.tokens");
    let all: Vec<u32> = (0..tokens as u64).map(|place| (mix(0, place) % 50_257) as u32).collect();
    let mut writer = ShardWriter::create(&path, Vocabulary { size: 50_257, ..Vocabulary::default() })?;
    writer.write(&all)?;
    writer.finish(1, 0)?;
    let shard = TokenShard::open(&path)?;
    let all: Vec<u16> = all.into_iter().map(|token| token as u16).collect();

    let sampler =
        WindowSampler { order: Order::Random, seed: 1337, batch_size, context_length, end_of_text: None };
    let starts = (tokens - context_length) as u64;
    let from_memory = |index: u64| {
        let room = batch_size * context_length;
        let (mut inputs, mut targets) = (Vec::with_capacity(room), Vec::with_capacity(room));
        for window in index * batch_size as u64..(index + 1) * batch_size as u64 {
            let start = (mix(1337, window) % starts) as usize;
            inputs.extend(all[start..start + context_length].iter().map(|token| i32::from(*token)));
            targets.extend(all[start + 1..start + context_length + 1].iter().map(|token| i32::from(*token)));
        }
        (inputs, targets)
    };
    println!("{batch_size} windows of {context_length} out of {} million tokens", tokens / 1_000_000);
    for series in 0..3 {
        let first = series * BATCHES;
        let report = |name: &str, start: Instant| {
            let seconds = start.elapsed().as_secs_f64() / BATCHES as f64;
            let rate = (batch_size * context_length) as f64 / seconds / 1e6;
            println!("{name:<12} {:>8.1} µs a batch, {rate:>8.1} million tokens a second", seconds * 1e6);
        };
        let start = Instant::now();
        (first..first + BATCHES).for_each(|index| drop(black_box(sampler.batch(&shard, index))));
        report("shard", start);
        let start = Instant::now();
        (first..first + BATCHES).for_each(|index| drop(black_box(from_memory(index))));
        report("memory", start);
    }
    Ok(())
}
