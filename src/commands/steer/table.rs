//! The table of a study.

use std::io::Write;

use anyhow::Result;
use kiln_inference::{FeatureRecord, Figures, StudyResult};

/// Prints the whole study.
pub fn print(
    out: &mut impl Write,
    result: &StudyResult,
    record: &FeatureRecord,
    base: Option<f64>,
) -> Result<()> {
    let best = result.tried[0];
    let name = record
        .name
        .as_ref()
        .map_or_else(|| "unnamed".to_owned(), |name| format!("{name}, F1 {:.2}", name.f1));
    writeln!(
        out,
        "feature {} ({name}): active on {:.2} % of tokens, at most {:.2}; of {} tried, it raises \"{}\" most, by {:.2} nats",
        best.feature,
        record.density * 100.0,
        record.max_activation,
        result.tried.len(),
        result.word,
        best.delta_logprob
    )?;
    if let Some(base) = base {
        writeln!(out, "of the tales as they are told, {:.2} % have the word", base * 100.0)?;
    }
    writeln!(
        out,
        "a strength of 1 is the mean norm of the residual stream there, {:.2}\n",
        result.mean_norm
    )?;
    writeln!(
        out,
        "{:<34} {:>8} {:>9} {:>15} {:>7} {:>8} {:>6} {:>7} {:>7} {:>8} {:>8}",
        "way", "strength", "has word", "95 %", "sound", "both", "words", "dist-3", "rep-3", "KL", "÷ floor"
    )?;
    row(out, &result.unsteered)?;
    let mut last = "";
    for figures in &result.arms {
        if figures.arm != last {
            writeln!(out)?;
        }
        last = figures.arm;
        row(out, figures)?;
    }
    if let Some([before, after]) = &result.example {
        writeln!(out, "\nwithout steering:\n{}\n\nsteered:\n{}", before.trim(), after.trim())?;
    }
    Ok(())
}

fn row(out: &mut impl Write, figures: &Figures) -> Result<()> {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let known = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
    let [low, high] = figures.with_word_interval;
    let ratio =
        figures.kl.zip(figures.kl_floor).filter(|(_, floor)| *floor > 0.05).map(|(kl, floor)| kl / floor);
    let number = |number: Option<f64>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.2}"));
    writeln!(
        out,
        "{:<34} {:>8} {:>9} {:>15} {:>7} {:>8} {:>6.0} {:>7.3} {:>7.3} {:>8} {:>8}",
        figures.arm,
        figures.strength,
        percent(figures.with_word),
        format!("{:.1}–{:.1}", low * 100.0, high * 100.0),
        known(figures.sound),
        known(figures.sound_with_word),
        figures.words,
        figures.distinct_3,
        figures.repeated_3,
        number(figures.kl),
        number(ratio)
    )?;
    Ok(())
}
