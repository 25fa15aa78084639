//! `kiln info`: what a model, a run or this build is.

use std::io::Write as _;
use std::path::Path;

use anyhow::Result;
use kiln_training::RunDir;

use crate::backend::BACKENDS;
use crate::cli::models::Info;
use crate::commands::newest;
use crate::output;

pub fn run(args: Info) -> Result<()> {
    match (&args.model, &args.run, args.backends) {
        (_, _, true) => backends(),
        (Some(path), ..) => model(&newest::model_directory(Some(path))?),
        (_, Some(path), _) => run_directory(&newest::run_directory(Some(path))?),
        _ => anything(&newest::run_directory(args.target.as_deref())?),
    }
}

/// A run and its best model, or a model.
fn anything(path: &Path) -> Result<()> {
    if RunDir::look(path).is_err() {
        return model(&newest::model_directory(Some(path))?);
    }
    run_directory(path)?;
    if path.join("model").join("config.json").is_file() {
        writeln!(output::stdout())?;
        model(path)?;
    }
    Ok(())
}

fn model(path: &Path) -> Result<()> {
    let files = crate::files::open_model(path)?;
    let config = files.config();
    let mut out = output::stdout();
    writeln!(out, "model            {}", files.directory().display())?;
    writeln!(out, "parameters       {}", config.num_parameters())?;
    writeln!(out, "layers           {}", config.n_layers)?;
    writeln!(out, "heads            {} of width {}", config.n_heads, config.head_dim())?;
    writeln!(out, "width            {}", config.d_model)?;
    writeln!(out, "feed-forward     {}, {:?}", config.d_ff, config.activation)?;
    writeln!(out, "context length   {}", config.context_length)?;
    writeln!(out, "vocabulary       {}", config.vocab_size)?;
    writeln!(
        out,
        "head             {}",
        if config.tied_head { "tied to the token embedding" } else { "its own" }
    )?;
    writeln!(out, "biases           {}", if config.bias { "yes" } else { "no" })?;
    let tokenizer = match files.tokenizer() {
        Ok(tokenizer) => tokenizer,
        Err(error) => {
            writeln!(out, "tokenizer        none ({error})")?;
            return Ok(());
        }
    };
    writeln!(out, "tokenizer        {}", tokenizer.name())?;
    if let Some(characters) = tokenizer.characters() {
        writeln!(out, "characters       {:?}", characters.iter().collect::<String>())?;
    }
    Ok(())
}

fn run_directory(path: &Path) -> Result<()> {
    let run = newest::look(path)?;
    let history = run.history()?;
    let mut out = output::stdout();
    writeln!(out, "run              {}", path.display())?;
    let Some(last) = history.steps.last() else {
        writeln!(out, "steps            none yet")?;
        return Ok(());
    };
    writeln!(out, "steps            {}", last.step)?;
    writeln!(out, "tokens           {}", last.tokens)?;
    writeln!(out, "time             {:.0} s", last.seconds)?;
    match last.loss {
        loss if loss.is_finite() => writeln!(out, "training loss    {loss:.4}")?,
        _ => writeln!(out, "training loss    not finite")?,
    }
    match history.best() {
        Some(best) => writeln!(out, "best validation  {:.4} at step {}", best.loss, best.step)?,
        None => writeln!(out, "best validation  none yet")?,
    }
    if run.model().join("config.json").is_file() {
        writeln!(out, "best model       {}", run.model().display())?;
    }
    Ok(())
}

fn backends() -> Result<()> {
    let mut out = output::stdout();
    for (name, built, what) in BACKENDS {
        writeln!(out, "{name:<8} {:<12} {what}", if built { "built in" } else { "not built" })?;
    }
    Ok(())
}
