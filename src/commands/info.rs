//! `kiln info`: what a model, a run or this build is.

use std::path::Path;

use anyhow::{Context, Result, bail};
use kiln_inference::ModelFiles;
use kiln_training::{MetricsLine, Split};

use crate::backend::BACKENDS;
use crate::cli::models::Info;

pub fn run(args: Info) -> Result<()> {
    match (&args.model, &args.run) {
        (Some(path), _) => model(path),
        (None, Some(path)) => run_directory(path),
        (None, None) => {
            backends();
            Ok(())
        }
    }
}

fn model(path: &Path) -> Result<()> {
    let files = ModelFiles::open(path)?;
    let config = files.config();
    println!("model            {}", files.directory().display());
    println!("parameters       {}", config.num_parameters());
    println!("layers           {}", config.n_layers);
    println!("heads            {} of width {}", config.n_heads, config.head_dim());
    println!("width            {}", config.d_model);
    println!("feed-forward     {}, {:?}", config.d_ff, config.activation);
    println!("context length   {}", config.context_length);
    println!("vocabulary       {}", config.vocab_size);
    println!("head             {}", if config.tied_head { "tied to the token embedding" } else { "its own" });
    println!("biases           {}", if config.bias { "yes" } else { "no" });
    let tokenizer = match files.tokenizer() {
        Ok(tokenizer) => tokenizer,
        Err(error) => {
            println!("tokenizer        none ({error})");
            return Ok(());
        }
    };
    println!("tokenizer        {}", tokenizer.name());
    if let Some(characters) = tokenizer.characters() {
        println!("characters       {:?}", characters.iter().collect::<String>());
    }
    Ok(())
}

fn run_directory(path: &Path) -> Result<()> {
    let metrics = path.join("metrics.jsonl");
    if !metrics.is_file() {
        bail!("{}: no run here (there is no `metrics.jsonl`)", path.display());
    }
    let text = std::fs::read_to_string(&metrics).with_context(|| metrics.display().to_string())?;
    // A line that is being written is not an error.
    let lines: Vec<MetricsLine> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    println!("run              {}", path.display());
    let Some(last) = lines.iter().rev().find(|line| line.split == Split::Train) else {
        println!("steps            none yet");
        return Ok(());
    };
    println!("steps            {}", last.step);
    println!("tokens           {}", last.tokens);
    println!("time             {:.0} s", last.seconds);
    println!(
        "training loss    {}",
        last.loss.map_or_else(|| "not finite".to_owned(), |loss| format!("{loss:.4}"))
    );
    let evaluations = lines
        .iter()
        .filter(|line| line.split == Split::Valid)
        .filter_map(|line| Some((line.loss?, line.step)));
    match evaluations.min_by(|a, b| a.0.total_cmp(&b.0)) {
        Some((loss, step)) => println!("best validation  {loss:.4} at step {step}"),
        None => println!("best validation  none yet"),
    }
    if path.join("model").join("config.json").is_file() {
        println!("best model       {}", path.join("model").display());
    }
    Ok(())
}

fn backends() {
    for (name, built, what) in BACKENDS {
        println!("{name:<8} {:<12} {what}", if built { "built in" } else { "not built" });
    }
}
