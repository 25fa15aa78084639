//! `kiln eval`: loss, perplexity and bits per byte on a corpus.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use kiln_datasets::{Dataset, Order, PrepareOptions, TokenShard, Tokenizer, Windows, encode_corpus};
use kiln_inference::{CorpusLoss, ModelFiles, SteeringTap};
use kiln_model::{Backend, Precision};

use crate::backend::{Job, dispatch};
use crate::cli::inference::{Eval, WindowStarts};
use crate::commands::data::Preparing;
use crate::commands::{newest, steering};
use crate::output::{self, print_message};
use crate::settings;

pub fn run(args: Eval) -> Result<()> {
    let directory = newest::model_directory(args.target.as_deref().or(args.model.as_deref()))?;
    let files = crate::files::with_adapter(crate::files::open_model(&directory)?, &args.common.adapter)?;
    if args.batch_size == 0 {
        bail!("--batch-size 0: must be at least 1");
    }
    let data = match &args.data {
        Some(data) => data.clone(),
        None => own_data(&directory)?,
    };
    let shard = open(&args, &data, &files.tokenizer()?)?;
    if shard.len() < 2 {
        bail!("{}: {} tokens: evaluating needs at least 2", data.display(), shard.len());
    }
    let end_of_text = files.tokenizer()?.end_of_text();
    if args.windows == Some(WindowStarts::Documents) && end_of_text.is_none() {
        bail!("--windows documents: the tokenizer has no token that ends a document");
    }
    let how = args.windows.unwrap_or_else(|| own_windows(&directory));
    let end_of_text = end_of_text.filter(|_| how == WindowStarts::Documents);
    let backend = args.common.backend.clone();
    dispatch(&backend, Evaluating { args, files, shard, end_of_text })
}

/// How a run was evaluated while it trained.
fn own_windows(directory: &Path) -> WindowStarts {
    let config = directory.join("config.toml");
    match settings::load(Some(&config), &[]) {
        Ok((settings, _)) if config.is_file() && settings.data.order == Order::Documents => {
            WindowStarts::Documents
        }
        _ => WindowStarts::Consecutive,
    }
}

/// The corpus that was encoded for a run.
fn own_data(run: &Path) -> Result<PathBuf> {
    let data = run.join("data");
    if !Dataset::is_in(&data) {
        bail!("{}: no corpus of its own here\nhint: name one, `--data PATH`", run.display());
    }
    print_message(format_args!("{}: the validation split", data.display()));
    Ok(data)
}

/// Shards as they are; text is encoded as `kiln data prepare` does it.
fn open(args: &Eval, data: &Path, tokenizer: &Tokenizer) -> Result<TokenShard> {
    if Dataset::is_in(data) {
        return Ok(Dataset::open(data, tokenizer)?.valid);
    }
    if data.extension().is_some_and(|ending| ending == "tokens" || ending == "bin") {
        return Ok(TokenShard::open(data)?.made_with(tokenizer)?);
    }
    let mut preparing = Preparing::new();
    let options = PrepareOptions { lossy: args.source.lossy, ..PrepareOptions::default() };
    let shard = encode_corpus(&[args.source.at(data)?], tokenizer, &options, &mut |progress| {
        preparing.show(&progress);
    });
    preparing.finish();
    Ok(shard?)
}

struct Evaluating {
    args: Eval,
    files: ModelFiles,
    shard: TokenShard,
    /// Where windows start at documents: the token that ends one.
    end_of_text: Option<u32>,
}

impl Job for Evaluating {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let precision = self.args.common.dtype;
        let loss = self.evaluate::<B>(precision, &device)?;
        // What the fewer bits cost, beside what the model was made with.
        let wide =
            (precision != Precision::F32).then(|| self.evaluate::<B>(Precision::F32, &device)).transpose()?;
        if self.args.common.json {
            return print_json(&loss, precision, wide.as_ref());
        }
        let mut out = output::stdout();
        writeln!(out, "loss           {:.4} nats per token", loss.loss)?;
        writeln!(out, "perplexity     {:.4}", loss.perplexity)?;
        writeln!(out, "bits per byte  {:.4}", loss.bits_per_byte)?;
        writeln!(out, "tokens         {}", loss.tokens)?;
        writeln!(out, "protocol       {}", loss.protocol)?;
        if let Some(CorpusLoss { perplexity, .. }) = wide {
            let cost = (loss.perplexity / perplexity - 1.0) * 100.0;
            writeln!(
                out,
                "in {:<11} perplexity {cost:+.3} % of that in f32, {perplexity:.4}",
                precision.name()
            )?;
        }
        Ok(())
    }
}

impl Evaluating {
    fn evaluate<B: Backend>(&self, precision: Precision, device: &B::Device) -> Result<CorpusLoss> {
        let steering = steering::steering::<B>(&self.args.steering, self.files.config(), device)?;
        let model = self.files.load_with_precision::<B>(device, precision)?;
        // Hidden where standard error is no terminal.
        let bar = ProgressBar::new(0);
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} batches, {eta} left")?);
        let mut windows = Windows::new(&self.shard, self.args.batch_size, model.config().context_length);
        if let Some(end_of_text) = self.end_of_text {
            windows = windows.at_documents(end_of_text);
        }
        let mut tap = SteeringTap::new(&steering, device);
        let loss = kiln_inference::evaluate_tapped(&model, windows, &mut tap, |done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        });
        bar.finish_and_clear();
        Ok(loss?)
    }
}

fn print_json(loss: &CorpusLoss, precision: Precision, wide: Option<&CorpusLoss>) -> Result<()> {
    let mut report = serde_json::to_value(loss)?;
    report["dtype"] = precision.name().into();
    if let Some(wide) = wide {
        report["loss_f32"] = wide.loss.into();
        report["perplexity_f32"] = wide.perplexity.into();
    }
    writeln!(output::stdout(), "{report}")?;
    Ok(())
}
