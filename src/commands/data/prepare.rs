//! `kiln data prepare`: text to token shards.

use std::fs::File;

use anyhow::{Context, Result, bail};
use kiln_datasets::{PrepareOptions, Source, SplitSummary, characters};
use tempfile::TempDir;

use super::Preparing;
use crate::cli::Prepare;
use crate::files::tokenizer;

/// What stands for standard input.
const STANDARD_INPUT: &str = "-";

pub fn run(args: Prepare) -> Result<()> {
    let fraction = args.valid_fraction;
    if !(fraction > 0.0 && fraction < 1.0) {
        bail!("--valid-fraction {fraction}: must be more than 0 and less than 1");
    }
    if args.threads == Some(0) {
        bail!("--threads 0: must be at least 1");
    }
    let spooled = tempfile::tempdir()?;
    let sources = sources(&args, &spooled)?;
    let defaults = PrepareOptions::default();
    let options = PrepareOptions {
        valid_fraction: fraction,
        seed: args.seed,
        dedup: args.dedup,
        lossy: args.lossy,
        skip_bad: args.skip_bad,
        threads: args.threads.unwrap_or(defaults.threads),
    };
    let tokenizer = match args.tokenizer.as_str() {
        "char" => characters(&sources, &options)?,
        name => tokenizer(name)?,
    };
    let mut preparing = Preparing::new();
    let prepared = kiln_datasets::prepare(&sources, &tokenizer, &args.out, &options, &mut |progress| {
        preparing.show(&progress);
    });
    preparing.finish();
    let manifest = prepared?;
    if args.json {
        println!("{}", serde_json::to_string(&manifest)?);
        return Ok(());
    }
    for (name, split) in [("training", &manifest.train), ("validation", &manifest.valid)] {
        let SplitSummary { tokens, documents, text_bytes, .. } = split;
        let ratio = *text_bytes as f64 / (*tokens).max(1) as f64;
        println!("{name:<11} {tokens:>14} tokens  {documents:>10} documents  {ratio:.3} bytes per token");
    }
    if manifest.duplicates > 0 {
        println!("duplicates  {:>14} documents dropped", manifest.duplicates);
    }
    if manifest.skipped > 0 {
        println!("bad         {:>14} documents skipped:", manifest.skipped);
        manifest.skipped_documents.iter().for_each(|skipped| println!("  {}", skipped.reason));
        if manifest.skipped > manifest.skipped_documents.len() as u64 {
            println!("  …");
        }
    }
    println!("train on it: kiln train --set data.path={}", args.out.display());
    Ok(())
}

/// The sources as given; standard input goes to a file first, because its text may be read more than once.
fn sources(args: &Prepare, spooled: &TempDir) -> Result<Vec<Source>> {
    let weights = match args.weights.as_slice() {
        [] => vec![1.0; args.data.len()],
        weights if weights.len() == args.data.len() => weights.to_vec(),
        weights => bail!("--weights: {} of them for {} --data", weights.len(), args.data.len()),
    };
    if let Some(weight) = weights.iter().find(|weight| !(**weight > 0.0 && weight.is_finite())) {
        bail!("--weights {weight}: must be more than 0");
    }
    let source = |(location, weight): (&String, f64)| {
        let source = if location == STANDARD_INPUT {
            let path = spooled.path().join("stdin.txt");
            let copied = File::create(&path)
                .and_then(|mut file| std::io::copy(&mut std::io::stdin().lock(), &mut file));
            copied.context("standard input")?;
            args.source.at(path)
        } else {
            args.source.at(location)
        };
        Ok(Source { weight, ..source })
    };
    args.data.iter().zip(weights).map(source).collect()
}
