//! `kiln eval`: loss, perplexity and bits per byte on a corpus.

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use kiln_datasets::{Dataset, PrepareOptions, Source, TokenShard, Tokenizer, encode_corpus};
use kiln_inference::Evaluation;
use kiln_model::{Backend, Precision};

use crate::backend::{Job, dispatch};
use crate::cli::Eval;
use crate::commands::data::Preparing;
use crate::files::model_directory;

pub fn run(args: Eval) -> Result<()> {
    let directory = model_directory(&args.model);
    kiln_model::load_config(&directory)?;
    if args.batch_size == 0 {
        bail!("--batch-size 0: must be at least 1");
    }
    let shard = open(&args, &Tokenizer::from_directory(&directory)?)?;
    if shard.len() < 2 {
        bail!("{}: {} token is too few to predict any", args.data.display(), shard.len());
    }
    let backend = args.common.backend.clone();
    dispatch(&backend, Evaluating { args, shard })
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
    let source = Source::new(&args.data);
    let shard = encode_corpus(&[source], tokenizer, &PrepareOptions::default(), &mut |progress| {
        preparing.show(&progress);
    });
    preparing.finish();
    Ok(shard?)
}

struct Evaluating {
    args: Eval,
    shard: TokenShard,
}

impl Job for Evaluating {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args, shard } = self;
        let precision = args.common.dtype;
        let evaluation = evaluate::<B>(&args, &shard, precision, &device)?;
        // What the fewer bits cost, beside what the model was made with.
        let wide = (precision != Precision::F32)
            .then(|| evaluate::<B>(&args, &shard, Precision::F32, &device))
            .transpose()?;
        if args.common.json {
            let mut report = serde_json::to_value(&evaluation)?;
            report["dtype"] = precision.name().into();
            if let Some(wide) = &wide {
                report["loss_f32"] = wide.loss.into();
                report["perplexity_f32"] = wide.perplexity.into();
            }
            println!("{report}");
            return Ok(());
        }
        println!("loss           {:.4} nats per token", evaluation.loss);
        println!("perplexity     {:.4}", evaluation.perplexity);
        println!("bits per byte  {:.4}", evaluation.bits_per_byte);
        println!("tokens         {}", evaluation.tokens);
        println!("protocol       {}", evaluation.protocol);
        if let Some(wide) = wide {
            let cost = (evaluation.perplexity / wide.perplexity - 1.0) * 100.0;
            println!(
                "in {:<11} perplexity {cost:+.3} % of that in f32, {:.4}",
                precision.name(),
                wide.perplexity
            );
        }
        Ok(())
    }
}

fn evaluate<B: Backend>(
    args: &Eval,
    shard: &TokenShard,
    precision: Precision,
    device: &B::Device,
) -> Result<Evaluation> {
    let directory = model_directory(&args.model);
    let model = kiln_model::load_with_precision::<B>(&directory, device, precision)?;
    // Hidden where standard error is no terminal.
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{bar:40} {pos}/{len} batches, {eta} left")?);
    let evaluation = kiln_inference::evaluate(&model, shard, args.batch_size, |done, total| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    });
    bar.finish_and_clear();
    Ok(evaluation)
}
