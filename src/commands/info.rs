//! `kiln info`: what a model, a run or this build is.

use std::path::Path;

use anyhow::Result;
use kiln_inference::ModelFiles;
use kiln_training::RunDir;

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
    let run = RunDir::look(path)?;
    let history = run.history()?;
    println!("run              {}", path.display());
    let Some(last) = history.steps.last() else {
        println!("steps            none yet");
        return Ok(());
    };
    println!("steps            {}", last.step);
    println!("tokens           {}", last.tokens);
    println!("time             {:.0} s", last.seconds);
    match last.loss {
        loss if loss.is_finite() => println!("training loss    {loss:.4}"),
        _ => println!("training loss    not finite"),
    }
    match history.best() {
        Some(best) => println!("best validation  {:.4} at step {}", best.loss, best.step),
        None => println!("best validation  none yet"),
    }
    if run.model().join("config.json").is_file() {
        println!("best model       {}", run.model().display());
    }
    Ok(())
}

fn backends() {
    for (name, built, what) in BACKENDS {
        println!("{name:<8} {:<12} {what}", if built { "built in" } else { "not built" });
    }
}
