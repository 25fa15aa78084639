//! The answer: how the next token is drawn, and where it comes from.

use std::io::Write;

use anyhow::Result;
use kiln_inference::explain::{AttributionPanel, FeaturesPanel, PatchingPanel, SamplingPanel};

use super::Names;
use super::cells::{HeatMap, bar, fit, fitted, heading, number, remark, visible};

/// Heads that attribution shows one by one.
const HEADS: usize = 12;

/// The most probable next tokens.
pub fn candidates(panel: &SamplingPanel, count: usize, out: &mut impl Write) -> Result<()> {
    for candidate in panel.candidates.iter().take(count) {
        let share = candidate.probability;
        let bar = bar(share, 1.0, 30);
        writeln!(out, "  {} {:>6.2} %  {bar}", fitted(&candidate.text, 14), share * 100.0)?;
    }
    Ok(())
}

pub fn sampling(panel: &SamplingPanel, names: &Names, out: &mut impl Write) -> Result<()> {
    heading(
        out,
        &format!(
            "what follows {}: {} logits, and what each setting makes of them",
            names.place(panel.position),
            panel.vocab
        ),
    )?;
    writeln!(
        out,
        "{:<14} {:>8} {:>8} {:>8} {:>8} {:>8} {:>10}",
        "", "logit", "T = 1", "T = 0.5", "T = 1.5", "top-k 5", "top-p 0.9"
    )?;
    for candidate in &panel.candidates {
        let shares = [
            candidate.probability,
            candidate.temperature_0_5,
            candidate.temperature_1_5,
            candidate.top_k_5,
            candidate.top_p_0_9,
        ];
        let shares: String = shares.iter().map(|share| format!(" {:>7.2}%", share * 100.0)).collect();
        writeln!(out, "{} {:>8.3}{shares}", fitted(&candidate.text, 14), candidate.logit)?;
    }
    Ok(())
}

pub fn attribution(panel: &AttributionPanel, names: &Names, out: &mut impl Write) -> Result<()> {
    let (target, against, parts) = (&panel.target, &panel.against, &panel.parts);
    heading(
        out,
        &format!(
            "why {} rather than {} after {}",
            visible(&target.text),
            visible(&against.text),
            names.place(parts.position)
        ),
    )?;
    writeln!(
        out,
        "logit({}) - logit({}) = {:.3} - {:.3} = {:.3}, the sum of:\n",
        visible(&target.text),
        visible(&against.text),
        target.value,
        against.value,
        parts.logit
    )?;
    // Of heads, which are many, those that matter.
    let mut heads: Vec<f64> =
        parts.components.iter().filter(|part| part.head.is_some()).map(|part| part.value.abs()).collect();
    heads.sort_by(|left, right| right.total_cmp(left));
    let least = heads.get(HEADS).copied().unwrap_or(0.0);
    let (mut others, mut count) = (0.0, 0);
    let most = parts.components.iter().map(|part| part.value.abs()).fold(0.0, f64::max);
    for part in &parts.components {
        if part.head.is_some() && part.value.abs() < least {
            (others, count) = (others + part.value, count + 1);
        } else {
            component(out, &part.name, part.value, most)?;
        }
    }
    if count > 0 {
        component(out, &format!("{count} other heads"), others, most)?;
    }
    if parts.constant != 0.0 {
        component(out, "bias of the final norm", parts.constant, most)?;
    }
    remark(
        out,
        "what each part wrote, through the final norm of this pass, times the difference of the two rows of the head",
    )
}

/// A line with a bar to the left or to the right.
fn component(out: &mut impl Write, name: &str, value: f64, most: f64) -> Result<()> {
    let size = bar(value.abs() as f32, most as f32, 20);
    let (left, right) = if value < 0.0 { (size, String::new()) } else { (String::new(), size) };
    let left = format!("{}{left}", " ".repeat(20usize.saturating_sub(left.chars().count())));
    writeln!(out, "{name:<24} {value:>9.4} {left}│{right}")?;
    Ok(())
}

pub fn patching(panel: &PatchingPanel, names: &Names, out: &mut impl Write) -> Result<()> {
    let [first, second] = &panel.answers;
    heading(
        out,
        &format!("where the difference between {} and {} is carried", visible(first), visible(second)),
    )?;
    writeln!(
        out,
        "difference of their logits: {} on the text, {} on the other",
        number(panel.clean_difference as f32),
        number(panel.corrupt_difference as f32)
    )?;
    writeln!(
        out,
        "\nwhat one value of the stream brings back when it is put into the other text, in percent"
    )?;
    let rows: Vec<String> = (0..panel.restored.len()).map(|layer| format!("into block {layer}")).collect();
    HeatMap { columns: &names.numbers, rows: &rows }
        .print(out, |row, column| Some(panel.restored.row(row)[column]))
}

pub fn features(panel: &FeaturesPanel, names: &Names, out: &mut impl Write) -> Result<()> {
    heading(out, &format!("{}: the strongest of {} features", panel.hook, panel.d_sae))?;
    let variance = panel.explained_variance;
    let variance = variance.map(|share| format!("; they give back {:.1} % of the variance", share * 100.0));
    writeln!(out, "{:.1} are on at a position{}\n", panel.l0, variance.unwrap_or_default())?;
    for (name, features) in names.positions.iter().zip(&panel.positions) {
        let feature =
            |f: &kiln_inference::explain::Feature| format!("{} ({})", f.index, number(f.activation));
        let features: Vec<String> = features.iter().map(feature).collect();
        writeln!(out, "{} {}", fit(name, 14), features.join("  "))?;
    }
    Ok(())
}
