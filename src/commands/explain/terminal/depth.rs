//! Along the depth of the model: the residual stream, gradients, and the logit lens.

use std::io::Write;

use anyhow::Result;
use kiln_inference::explain::{GradientsPanel, LensPanel, ResidualPanel};

use super::Names;
use super::cells::{HeatMap, bar, fit, fitted, heading, number, remark};

pub fn residual(panel: &ResidualPanel, names: &Names, out: &mut impl Write) -> Result<()> {
    heading(out, "lengths of the residual stream and of what is added to it")?;
    writeln!(out, "{:<10} {:>9} {:>9} {:>9}  {:>7} {:>7}", "", "attention", "mlp", "‖x‖", "share", "share")?;
    let longest = panel.layers.iter().map(|row| row.after).fold(panel.embedding, f32::max);
    let embedding = number(panel.embedding);
    writeln!(
        out,
        "{:<10} {:>9} {:>9} {embedding:>9}  {:>6.1}% {:>7}  {}",
        "embedding",
        "",
        "",
        panel.embedding_share * 100.0,
        "",
        bar(panel.embedding, longest, 24)
    )?;
    for row in &panel.layers {
        let lengths = [row.attention, row.mlp, row.after].map(|value| format!("{:>9}", number(value)));
        writeln!(
            out,
            "{:<10} {}  {:>6.1}% {:>6.1}%  {}",
            format!("block {}", row.layer),
            lengths.join(" "),
            row.attention_share * 100.0,
            row.mlp_share * 100.0,
            bar(row.after, longest, 24)
        )?;
    }
    remark(out, panel.meaning)?;
    if panel.first_position > 0 {
        remark(out, "means over all positions but the first, which is often far longer:")?;
        let first: Vec<String> = panel.norms.rows().map(|row| number(row[0])).collect();
        writeln!(out, "{} {}", fit(&names.positions[0], 14), first.join("  "))?;
    }
    Ok(())
}

pub fn gradients(panel: &GradientsPanel, out: &mut impl Write) -> Result<()> {
    heading(out, "mean |gradient| of the weights of each block")?;
    writeln!(out, "loss {:.4}; without shortcuts {:.4}\n", panel.loss, panel.loss_without)?;
    writeln!(out, "{:<10} {:>12} {:>12} {:>10}", "", "as it is", "no shortcuts", "ratio")?;
    for row in &panel.layers {
        let ratio = row.with_shortcuts / row.without_shortcuts;
        writeln!(
            out,
            "{:<10} {:>12.3e} {:>12.3e} {:>10}",
            format!("block {}", row.layer),
            row.with_shortcuts,
            row.without_shortcuts,
            number(ratio)
        )?;
    }
    remark(out, "without shortcuts, a block gives on f(x) instead of x + f(x)")
}

pub fn lens(panel: &LensPanel, names: &Names, out: &mut impl Write) -> Result<()> {
    heading(out, "what the model would predict if it ended here")?;
    remark(out, "most probable next token at each position, and its probability in percent")?;
    const SHOWN: usize = 6;
    let from = names.positions.len().saturating_sub(SHOWN);
    let heads: String = names.positions[from..].iter().map(|name| format!("{} ", fit(name, 13))).collect();
    writeln!(out, "{:<12} {}", "after", heads.trim_end())?;
    for row in &panel.rows {
        let cells = row.top[from..].iter().map(|top| {
            let best = &top[0];
            format!("{} {:>3.0} ", fitted(&best.text, 9), best.value * 100.0)
        });
        writeln!(out, "{:<12} {}", depth(&row.site), cells.collect::<String>().trim_end())?;
    }
    if from > 0 {
        remark(out, "the last positions; --json and --html have all")?;
    }
    writeln!(out, "\nprobability, in percent, of the token that does come next")?;
    let rows: Vec<String> = panel.rows.iter().map(|row| depth(&row.site)).collect();
    let columns = &names.numbers[..names.numbers.len() - 1];
    if columns.is_empty() {
        return Ok(());
    }
    HeatMap { columns, rows: &rows }.print(out, |row, column| panel.rows[row].next_probability[column])
}

/// What a place of the stream is called here.
fn depth(site: &str) -> String {
    match site.strip_prefix("blocks.").and_then(|rest| rest.strip_suffix(".hook_resid_post")) {
        Some(layer) => format!("block {layer}"),
        None => "embedding".to_owned(),
    }
}
