//! `kiln sae features`: what each feature stands for.

use std::io::Write;

use anyhow::Result;
use kiln_inference::{Candidate, Catalogue, Criterion, FeatureRecord, Readings, candidates, dashboard};
use kiln_model::{Backend, write_file};

use super::learn::{bar, show};
use super::opened::Opened;
use super::page;
use crate::backend::{Job, dispatch};
use crate::cli::sae::SaeFeatures;
use crate::output::{self, print_message};

/// Tokens that are read where nobody says how many.
const TOKENS: usize = 131_072;

/// Features that are listed by each criterion for a word.
const FOUND: usize = 10;

pub(super) fn run(args: SaeFeatures) -> Result<()> {
    let opened = Opened::of(&args.common)?;
    let backend = args.common.backend.clone();
    dispatch(&backend, Looking { args, opened })
}

struct Looking {
    args: SaeFeatures,
    opened: Opened,
}

impl Job for Looking {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let Self { args, opened } = self;
        let (gpt, sae) = opened.load::<B>(&device)?;
        let tokenizer = &opened.tokenizer;
        let progress = bar("read")?;
        let batches: Vec<_> = opened.batches(args.common.tokens.unwrap_or(TOKENS)).collect();
        let total = batches.len();
        let batches = batches.into_iter().enumerate().map(|(done, batch)| {
            show(&progress, done, total);
            batch
        });
        let readings = Readings::of(&gpt, &sae, tokenizer.end_of_text(), batches);
        progress.finish_and_clear();
        let progress = bar("features")?;
        let catalogue =
            Catalogue::of(&gpt, &sae, tokenizer, readings, |done, total| show(&progress, done, total));
        progress.finish_and_clear();
        if let Some(path) = &args.json {
            write_file(path, format!("{}\n", dashboard(&catalogue, &sae, tokenizer)))?;
            print_message(format_args!("wrote {}", path.display()));
        }
        if let Some(path) = &args.html {
            write_file(path, page::of(&catalogue, sae.config(), tokenizer)?)?;
            print_message(format_args!("wrote {}", path.display()));
        }
        let mut out = output::stdout();
        let token = |token: u32| {
            let bytes = tokenizer.token_bytes(token).unwrap_or_default();
            String::from_utf8_lossy(&bytes).escape_debug().to_string()
        };
        match &args.find {
            Some(word) => {
                let found = candidates(&catalogue, &gpt, &sae, tokenizer, word, FOUND);
                found_word(&mut out, word, &found)
            }
            None => list(&mut out, &catalogue, args.top, &token),
        }
    }
}

/// The features with the best names, and how many there are of each kind.
fn list(
    out: &mut impl Write,
    catalogue: &Catalogue,
    top: usize,
    token: &impl Fn(u32) -> String,
) -> Result<()> {
    let features = &catalogue.features;
    let name = |record: &FeatureRecord| record.name.as_ref().filter(|name| name.is_good()).cloned();
    let named: Vec<_> = features.iter().filter_map(|record| Some((record, name(record)?))).collect();
    let share = |count: usize| 100.0 * count as f64 / features.len().max(1) as f64;
    let dead = features.iter().filter(|record| record.density == 0.0).count();
    let dense = features.iter().filter(|record| record.density > 0.1).count();
    let slots = named.iter().filter(|(_, name)| name.relation.is_slot()).count();
    let output = named.iter().filter(|(_, name)| name.relation.kind() == "output").count();
    writeln!(out, "{} features on {} tokens", features.len(), catalogue.readings.len())?;
    writeln!(
        out,
        "named {} ({:.1} %): {} by what comes next, {slots} by a slot of the tale; never active {dead}, active on more than one \
         token in ten {dense}\n",
        named.len(),
        share(named.len()),
        output
    )?;
    let mut best = named;
    best.sort_by(|(a, x), (b, y)| y.f1.total_cmp(&x.f1).then(a.feature.cmp(&b.feature)));
    writeln!(
        out,
        "{:>7}  {:<24} {:>5} {:<7} {:>8} {:>7}  raises",
        "feature", "name", "F1", "kind", "density", "max"
    )?;
    for (record, name) in best.iter().take(top) {
        let raised: Vec<String> = record.top.iter().take(4).map(|one| token(one.token)).collect();
        writeln!(
            out,
            "{:>7}  {:<24} {:>5.2} {:<7} {:>6.2} % {:>7.2}  {}",
            record.feature,
            name.to_string(),
            name.f1,
            name.relation.kind(),
            record.density * 100.0,
            record.max_activation,
            raised.join("|")
        )?;
    }
    Ok(())
}

/// The features that may say a word.
fn found_word(out: &mut impl Write, word: &str, found: &[Candidate]) -> Result<()> {
    for (criterion, title) in [
        (Criterion::Next, "active before"),
        (Criterion::Current, "active in"),
        (Criterion::Cosine, "pointing at"),
    ] {
        writeln!(out, "{title} “{word}”")?;
        let of_criterion = found.iter().filter(|candidate| candidate.criterion == criterion);
        let mut any = false;
        for candidate in of_criterion {
            any = true;
            let told = candidate.name.as_ref().map_or_else(String::new, |name| {
                format!("F1 {:.2}  precision {:.2}  recall {:.2}  ", name.f1, name.precision, name.recall)
            });
            writeln!(
                out,
                "{:>7}  {told}cosine {:+.2}  density {:.2} %  max {:.2}",
                candidate.feature,
                candidate.cosine,
                candidate.density * 100.0,
                candidate.max_activation
            )?;
        }
        if !any {
            writeln!(out, "  none: the word is too rare in these texts")?;
        }
    }
    Ok(())
}
