//! `kiln eval`: loss, perplexity and bits per byte on a corpus.

use std::io::Write as _;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use kiln_datasets::{Dataset, PrepareOptions, TokenShard, Tokenizer, encode_corpus};
use kiln_inference::{CorpusLoss, ModelFiles};
use kiln_model::{Backend, Precision};

use crate::backend::{Job, dispatch};
use crate::cli::inference::Eval;
use crate::commands::data::Preparing;
use crate::output;

pub fn run(args: Eval) -> Result<()> {
    let files = ModelFiles::open(&args.model)?;
    if args.batch_size == 0 {
        bail!("--batch-size 0: must be at least 1");
    }
    let shard = open(&args, &files.tokenizer()?)?;
    if shard.len() < 2 {
        bail!("{}: {} tokens: evaluating needs at least 2", args.data.display(), shard.len());
    }
    let backend = args.common.backend.clone();
    dispatch(&backend, Evaluating { args, files, shard })
}

/// Shards as they are; text is encoded as `kiln data prepare` does it.
fn open(args: &Eval, tokenizer: &Tokenizer) -> Result<TokenShard> {
    if Dataset::is_in(&args.data) {
        return Ok(Dataset::open(&args.data, tokenizer)?.valid);
    }
    if args.data.extension().is_some_and(|ending| ending == "tokens" || ending == "bin") {
        return Ok(TokenShard::open(&args.data)?.made_with(tokenizer)?);
    }
    let mut preparing = Preparing::new();
    let options = PrepareOptions { lossy: args.source.lossy, ..PrepareOptions::default() };
    let shard = encode_corpus(&[args.source.at(&args.data)], tokenizer, &options, &mut |progress| {
        preparing.show(&progress);
    });
    preparing.finish();
    Ok(shard?)
}

struct Evaluating {
    args: Eval,
    files: ModelFiles,
    shard: TokenShard,
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
        let model = self.files.load_with_precision::<B>(device, precision)?;
        // Hidden where standard error is no terminal.
        let bar = ProgressBar::new(0);
        bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} batches, {eta} left")?);
        let loss = kiln_inference::evaluate(&model, &self.shard, self.args.batch_size, |done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        });
        bar.finish_and_clear();
        Ok(loss)
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
