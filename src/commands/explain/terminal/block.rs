//! Inside one block: its norm, its heads, its feed-forward network; and dropout.

use std::io::Write;

use anyhow::Result;
use kiln_inference::explain::{
    DropoutPanel, Explanation, HeadPanel, HeadSummary, HeadsPanel, Matrix, MlpPanel, NormPanel, NormRow,
};

use super::Names;
use super::cells::{HeatMap, bar, fit, heading, number, remark, visible};

/// Products of a sum that are written out.
const PRODUCTS: usize = 6;

pub fn norm(panel: &NormPanel, names: &Names, out: &mut impl Write) -> Result<()> {
    let centred = panel.kind == "LayerNorm";
    heading(out, &format!("{} ({}), ε = {:e}", panel.site, panel.kind, panel.epsilon))?;
    writeln!(
        out,
        "{}",
        if centred {
            "y = (x - μ) / √(σ² + ε) · γ + β"
        } else {
            "y = x / √(mean(x²) + ε) · γ"
        }
    )?;
    let variance = if centred { "σ²" } else { "mean(x²)" };
    writeln!(
        out,
        "\n{:<18} {:>10} {variance:>10} {:>10}   after: {:>9} {:>9}",
        "", "μ", "divisor", "mean", "variance"
    )?;
    for (name, row) in names.positions.iter().zip(&panel.positions) {
        let NormRow { mean, variance, divisor, normalized_mean, normalized_variance } = *row;
        let after = [normalized_mean, normalized_variance].map(|value| format!("{value:>9.4}"));
        let before = [mean, variance, divisor].map(|value| format!("{:>10}", number(value)));
        writeln!(out, "{} {}         {}", fit(name, 18), before.join(" "), after.join(" "))?;
    }
    writeln!(out, "\n{}: the first features", names.place(panel.position))?;
    let line = |out: &mut dyn Write, name: &str, values: &[f32]| {
        let values: String = values.iter().take(8).map(|value| format!("{:>10}", number(*value))).collect();
        writeln!(out, "{name:<12} {values}")
    };
    line(out, "x", &panel.before)?;
    line(out, "normalised", &panel.normalized)?;
    line(out, "γ", &panel.weight)?;
    if let Some(bias) = &panel.bias {
        line(out, "β", bias)?;
    }
    line(out, "y", &panel.after)?;
    Ok(())
}

pub fn head(panel: &HeadPanel, names: &Names, explanation: &Explanation, out: &mut impl Write) -> Result<()> {
    let HeadPanel { layer, head, kv_head, head_dim, scale, .. } = *panel;
    heading(
        out,
        &format!("block {layer}, head {head}: softmax(mask(Q Kᵀ · {scale:.4})) V, head_dim {head_dim}"),
    )?;
    if kv_head != head {
        writeln!(out, "it reads keys and values of head {kv_head}, which neighbouring heads share")?;
    }
    if panel.rotary {
        writeln!(out, "queries and keys are turned by their positions")?;
    }
    let query = explanation.at.position;
    let row = panel.pattern.row(query);
    let key = (0..=query).max_by(|left, right| row[*left].total_cmp(&row[*right])).unwrap_or(0);
    writeln!(out, "\n{} looks most at {}:", names.place(query), names.place(key))?;
    let products = panel.query.row(query).iter().zip(panel.key.row(key)).take(PRODUCTS);
    let products: Vec<String> = products.map(|(q, k)| format!("{}·{}", number(*q), number(*k))).collect();
    let more = if head_dim > PRODUCTS { " + …" } else { "" };
    writeln!(out, "  q · k     {}{more} = {}", products.join(" + "), number(panel.scores.row(query)[key]))?;
    writeln!(out, "  · scale   {}", number(panel.scaled.row(query)[key]))?;
    writeln!(out, "  softmax   {}", number(row[key]))?;
    let context = panel.context.row(query).iter().take(PRODUCTS);
    let context: Vec<String> = context.map(|value| number(*value)).collect();
    writeln!(out, "  · V       {} …", context.join(" "))?;

    for (title, matrix) in [("scores: Q Kᵀ", &panel.scores), ("scaled and masked", &panel.masked)] {
        writeln!(out, "\n{title}, row {query}")?;
        let finite = |value: &f32| if value.is_finite() { number(*value) } else { "-∞".to_owned() };
        let values: Vec<String> = matrix.row(query).iter().map(finite).collect();
        writeln!(out, "  {}", values.join("  "))?;
    }
    writeln!(out, "\nweights in percent: who (row) looks at whom (column)")?;
    map(&panel.pattern, names).print(out, |i, j| (j <= i).then(|| panel.pattern.row(i)[j]))
}

fn map<'a>(_: &Matrix, names: &'a Names) -> HeatMap<'a> {
    HeatMap { columns: &names.numbers, rows: &names.positions }
}

/// A figure of a head.
type Figure = fn(&HeadSummary) -> Option<f32>;

pub fn heads(panel: &HeadsPanel, out: &mut impl Write) -> Result<()> {
    let figures: [Figure; 5] = [
        |head| Some(head.entropy),
        |head| Some(head.previous),
        |head| Some(head.first),
        |head| head.duplicate,
        |head| head.induction,
    ];
    let width = panel.heads.iter().map(|head| head.head + 1).max().unwrap_or(0);
    let columns: Vec<String> = (0..width).map(|head| head.to_string()).collect();
    let blocks: Vec<&[HeadSummary]> = panel.heads.chunks(width.max(1)).collect();
    let rows: Vec<String> = blocks.iter().map(|block| format!("block {}", block[0].layer)).collect();
    for ((name, meaning), figure) in panel.meaning.iter().zip(figures) {
        heading(out, name)?;
        remark(out, meaning)?;
        if panel.heads.iter().all(|head| figure(head).is_none()) {
            writeln!(out, "no token of this text comes twice\n")?;
            continue;
        }
        let map = HeatMap { columns: &columns, rows: &rows };
        map.print(out, |row, column| figure(&blocks[row][column]))?;
        writeln!(out)?;
    }
    remark(out, "columns are heads, numbers percent")
}

pub fn dropout(panel: &DropoutPanel, names: &Names, out: &mut impl Write) -> Result<()> {
    let DropoutPanel { configured, probability, factor, kept, layer, head, seed, .. } = panel;
    heading(out, &format!("dropout of attention weights, block {layer}, head {head}, p = {probability}"))?;
    if configured != probability {
        writeln!(out, "this model trains without dropout; p = {probability} is GPT-2's")?;
    }
    writeln!(
        out,
        "{:.1} % are kept (seed {seed}) and multiplied by 1/(1 - p) = {factor:.4}; only while training",
        kept * 100.0
    )?;
    writeln!(out, "\nweights after dropout, in percent; the sum of each row was 100")?;
    for (i, (name, row)) in names.positions.iter().zip(panel.after.rows()).enumerate() {
        let cells: Vec<String> = row[..=i]
            .iter()
            .zip(panel.keep.row(i))
            .map(
                |(value, keep)| {
                    if *keep == 0.0 { "  ×".to_owned() } else { format!("{:>3.0}", value * 100.0) }
                },
            )
            .collect();
        writeln!(out, "{} {}  = {:.0}", fit(name, 14), cells.concat(), panel.row_sums[i] * 100.0)?;
    }
    Ok(())
}

pub fn mlp(panel: &MlpPanel, names: &Names, out: &mut impl Write) -> Result<()> {
    let activation = serde_json::to_value(panel.activation)?;
    let activation = activation.as_str().unwrap_or_default().to_owned();
    let gate = if panel.gated { ", with a gate" } else { "" };
    heading(out, &format!("block {}: {} hidden features, {activation}{gate}", panel.layer, panel.d_ff))?;
    writeln!(out, "{:.1} % are larger than 0 after the activation\n", panel.positive * 100.0)?;
    writeln!(out, "pre-activations of this text, and the curve")?;
    let (bars, points) = (panel.histogram.len(), panel.curve.len());
    let most = panel.histogram.iter().copied().max().unwrap_or(1).max(1) as f32;
    for part in 0..bars / 3 {
        let count: usize = panel.histogram[part * 3..part * 3 + 3].iter().sum();
        let (x, y) = panel.curve[((part * 3 + 1) * points / bars).min(points - 1)];
        writeln!(out, "{x:>8.2} → {y:>7.3}  {}", bar((count as f32).sqrt(), (3.0 * most).sqrt(), 40))?;
    }
    remark(out, "bars are as long as the root of the count")?;
    writeln!(out, "\nneurons that write most at {}", names.place(panel.position))?;
    writeln!(out, "{:>7} {:>9} {:>9} {:>9}  {:<44} lowers", "neuron", "before", "after", "writes", "raises")?;
    for neuron in &panel.neurons {
        let list = |tokens: &[kiln_inference::explain::TokenValue]| {
            let token =
                |t: &kiln_inference::explain::TokenValue| format!("{} {:+.2}", visible(&t.text), t.value);
            tokens.iter().take(3).map(token).collect::<Vec<String>>().join("  ")
        };
        let numbers = [neuron.pre, neuron.post, neuron.writes].map(|value| format!("{:>9}", number(value)));
        let raises = fit(&list(&neuron.raises), 44);
        writeln!(out, "{:>7} {}  {raises} {}", neuron.index, numbers.join(" "), list(&neuron.lowers))?;
    }
    remark(out, panel.meaning)
}
