//! `kiln steer measure`: one word, every way to it.

use std::io::Write as _;

use anyhow::{Result, bail};
use indicatif::{ProgressBar, ProgressStyle};
use kiln_datasets::tales::{Verdict, corpus, judge};
use kiln_inference::{
    Catalogue, Readings, SteeringKit, SteeringStudy, StudyOptions, StudyResult, TextModel, candidates,
};
use kiln_model::{Backend, write_file};
use serde_json::json;

use super::{curve, table};
use crate::backend::{Job, dispatch};
use crate::cli::steer::SteerMeasure;
use crate::commands::sae::Opened;
use crate::output::{self, print_message};

/// Tokens that the features are looked at on, where nobody says how many.
const TOKENS: usize = 65_536;

/// Features that are tried by each criterion.
const TRIED: usize = 10;

/// Stories over which the model is watched, and whose nats are counted.
const WATCHED: usize = 100;

/// Bytes of tales that tell how often a word is in one: some 40,000 stories.
const TOLD: usize = 20_000_000;

pub fn run(args: SteerMeasure) -> Result<()> {
    if let Some(strength) = args.strengths.iter().find(|strength| !strength.is_finite()) {
        bail!("--strengths: {strength} is not a finite number");
    }
    let opened = Opened::of(&args.common)?;
    let backend = args.common.backend.clone();
    dispatch(&backend, Measuring { args, opened })
}

struct Measuring {
    args: SteerMeasure,
    opened: Opened,
}

impl Job for Measuring {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args, opened } = self;
        let (gpt, sae) = opened.load::<B>(&device)?;
        let tokenizer = &opened.tokenizer;
        let reads_tales = opened.texts.are_tales();
        let bar = bar()?;
        let batches: Vec<_> = opened.batches(args.common.tokens.unwrap_or(TOKENS)).collect();
        let readings = Readings::of(&gpt, &sae, tokenizer.end_of_text(), batches.into_iter());
        let catalogue =
            Catalogue::of(&gpt, &sae, tokenizer, readings, |done, total| show(&bar, "features", done, total));
        let tried: Vec<usize> = match args.feature {
            Some(feature) => vec![feature],
            None => {
                let found = candidates(&catalogue, &gpt, &sae, tokenizer, &args.word, TRIED);
                let mut features: Vec<usize> = found.iter().map(|candidate| candidate.feature).collect();
                features.sort_unstable();
                features.dedup();
                features
            }
        };
        if tried.is_empty() {
            bail!("--word {}: no feature is active where it is, or before it", args.word);
        }
        let densities: Vec<f64> = catalogue.features.iter().map(|record| record.density).collect();
        let kit = SteeringKit::new(gpt.config()).with_autoencoder(&sae)?;
        let longest = gpt.config().context_length;
        let options = StudyOptions {
            stories: args.stories as usize,
            strengths: args.strengths.clone(),
            max_tokens: args.max_tokens.map_or(longest, |tokens| tokens as usize).min(longest),
            seed: args.common.seed,
            watched: WATCHED.min(args.stories as usize),
            prompt: args.prompt.clone().unwrap_or_else(|| format!("Leo and the hungry {}", args.word)),
            base: reads_tales.then(|| share_of_tales(&args.word)),
        };
        let model = TextModel::new(gpt, tokenizer.clone()).with_special_tokens(opened.files.special_tokens());
        let sound = |text: &str| reads_tales.then(|| judge(text.trim()) == Verdict::Whole);
        let base = options.base;
        let study = SteeringStudy::new(&model, &kit, sae.config().hook, &args.word, options, &sound)?;
        let result = study.run(&tried, &densities, &mut |what, done, total| show(&bar, what, done, total))?;
        bar.finish_and_clear();
        report(&args, &catalogue, &result, base)
    }
}

/// How many of the tales that the grammar tells have the word.
fn share_of_tales(word: &str) -> f64 {
    let told = corpus(7, TOLD).stories;
    let has = |text: &str| kiln_inference::has_word(text, word);
    told.iter().filter(|story| has(&story.text)).count() as f64 / told.len() as f64
}

fn bar() -> Result<ProgressBar> {
    let bar = ProgressBar::new(0);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}, {elapsed}")?);
    Ok(bar)
}

fn show(bar: &ProgressBar, what: &str, done: usize, total: usize) {
    bar.set_length(total as u64);
    bar.set_position(done as u64);
    bar.set_message(what.to_owned());
}

fn report(args: &SteerMeasure, catalogue: &Catalogue, result: &StudyResult, base: Option<f64>) -> Result<()> {
    if let Some(path) = &args.svg {
        write_file(path, curve::svg(result)?)?;
        print_message(format_args!("wrote {}", path.display()));
    }
    let mut out = output::stdout();
    let record = &catalogue.features[result.tried[0].feature];
    if args.json {
        let mut object = serde_json::to_value(result)?;
        object["feature"] = json!(record);
        object["base"] = json!(base);
        object["stories"] = json!(args.stories);
        object["seed"] = json!(args.common.seed);
        writeln!(out, "{object}")?;
        return Ok(());
    }
    table::print(&mut out, result, record, base)
}
