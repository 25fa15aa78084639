//! `kiln data prepare`: text to token shards.

use std::io::Write;

use anyhow::{Result, bail};
use kiln_datasets::{Manifest, PrepareOptions, Source, SplitSummary, character_tokenizer};

use super::Preparing;
use crate::cli::data::Prepare;
use crate::files::tokenizer;
use crate::output;

/// How many times a source is taken at most: more would fill any disk.
const MOST_TIMES: f64 = 10_000.0;

pub fn run(args: Prepare) -> Result<()> {
    let options = options(&args)?;
    let weights = weights(&args)?;
    let sources =
        args.data.iter().zip(weights).map(|(path, weight)| Ok(Source { weight, ..args.source.at(path)? }));
    let sources: Vec<Source> = sources.collect::<Result<_>>()?;
    let tokenizer = match args.tokenizer.as_str() {
        "char" => character_tokenizer(&sources, &options)?,
        name => tokenizer(name)?,
    };
    let mut preparing = Preparing::new();
    let prepared = kiln_datasets::prepare(&sources, &tokenizer, &args.out, &options, &mut |progress| {
        preparing.show(&progress);
    });
    preparing.finish();
    let manifest = prepared?;
    let mut out = output::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&manifest)?)?;
        return Ok(());
    }
    print(&manifest, &mut out)?;
    writeln!(out, "train on it: kiln train --set data.path={}", args.out.display())?;
    Ok(())
}

fn options(args: &Prepare) -> Result<PrepareOptions> {
    let fraction = args.valid_fraction;
    if !(fraction > 0.0 && fraction < 1.0) {
        bail!("--valid-fraction {fraction}: must be more than 0 and less than 1");
    }
    let defaults = PrepareOptions::default();
    Ok(PrepareOptions {
        valid_fraction: fraction,
        seed: args.seed,
        dedup: args.dedup,
        lossy: args.source.lossy,
        skip_bad: args.skip_bad,
        threads: args.threads.map_or(defaults.threads, usize::from),
    })
}

/// What came of it, split by split, and what was left out.
fn print(manifest: &Manifest, out: &mut impl Write) -> Result<()> {
    for (name, split) in [("training", &manifest.train), ("validation", &manifest.valid)] {
        let SplitSummary { tokens, documents, text_bytes, .. } = split;
        let ratio = *text_bytes as f64 / (*tokens).max(1) as f64;
        writeln!(
            out,
            "{name:<11} {tokens:>14} tokens  {documents:>10} documents  {ratio:.3} bytes per token"
        )?;
    }
    if manifest.duplicates > 0 {
        writeln!(out, "duplicates  {:>14} documents dropped", manifest.duplicates)?;
    }
    if manifest.empty > 0 {
        writeln!(out, "empty       {:>14} documents without text left out", manifest.empty)?;
    }
    if manifest.skipped > 0 {
        writeln!(out, "bad         {:>14} documents skipped:", manifest.skipped)?;
        for skipped in &manifest.skipped_documents {
            writeln!(out, "  {}", skipped.reason)?;
        }
        if manifest.skipped > manifest.skipped_documents.len() as u64 {
            writeln!(out, "  …")?;
        }
    }
    Ok(())
}

/// How many times to take each source.
fn weights(args: &Prepare) -> Result<Vec<f64>> {
    let weights = match args.weights.as_slice() {
        [] => vec![1.0; args.data.len()],
        weights if weights.len() == args.data.len() => weights.to_vec(),
        weights => bail!("--weights: {} of them for {} --data", weights.len(), args.data.len()),
    };
    if let Some(weight) = weights.iter().find(|weight| !(**weight > 0.0 && **weight <= MOST_TIMES)) {
        bail!("--weights {weight:?}: must be more than 0 and at most {MOST_TIMES}");
    }
    Ok(weights)
}
