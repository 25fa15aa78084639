//! What patching found, for people and for programs.

use std::io::Write;

use anyhow::Result;
use kiln_inference::{Ablated, AblationGrid, Answer, Direction, PatchGrid, Patching, correlation};
use serde_json::{Map, Value, json};

use super::Findings;
use super::heat_map::HeatMap;
use super::html;
use super::task::Texts;
use crate::cli::patch::Patch;
use crate::output;

/// Places in the table of the strongest, and of one grid among them: the stream carries one value through many blocks.
const STRONGEST: usize = 12;
const STRONGEST_OF_EACH: usize = 3;

pub fn write(args: &Patch, texts: &Texts, findings: &Findings) -> Result<()> {
    if let Some(path) = &args.html {
        kiln_model::write_file(path, html::page(texts, &findings.patching))?;
    }
    let mut out = output::stdout();
    if args.common.json {
        writeln!(out, "{}", object(args, texts, findings)?)?;
        return Ok(());
    }
    let patching = &findings.patching;
    answers(&mut out, args, texts, patching)?;
    let neutral = unpatched(patching.direction);
    for grid in &patching.grids {
        writeln!(out, "\n{}", title(grid.value))?;
        let rows = row_names(grid, texts);
        HeatMap { columns: "layer", rows: &rows, values: &grid.effect, neutral }.write(&mut out)?;
    }
    strongest(&mut out, texts, patching)?;
    if let Some(attribution) = &findings.attribution {
        writeln!(out, "\nestimated by a gradient, against the above (Pearson's r)")?;
        for (grid, estimate) in patching.grids.iter().zip(attribution) {
            writeln!(out, "{:<10}{:>6.3}", grid.value, correlation(&grid.effect, &estimate.effect))?;
        }
    }
    if let Some(ablated) = &findings.ablated {
        ablation(&mut out, ablated)?;
    }
    Ok(())
}

/// The effect of a patch that changes nothing.
pub fn unpatched(direction: Direction) -> f64 {
    match direction {
        Direction::Denoising => 0.0,
        Direction::Noising => 1.0,
    }
}

/// What a value is, for people.
pub fn title(value: &str) -> String {
    let meaning = match value {
        "resid_pre" => "the residual stream before each block",
        "attn_out" => "what attention adds",
        "mlp_out" => "what the feed-forward network adds",
        "z" => "what each head mixed",
        "q" => "each head's queries",
        "k" => "each head's keys",
        "v" => "each head's values",
        _ => "each head's pattern",
    };
    format!("{value}: {meaning}")
}

/// The names of the positions or of the heads of a grid.
pub fn row_names(grid: &PatchGrid, texts: &Texts) -> Vec<String> {
    let columns = grid.effect.first().map_or(0, Vec::len);
    let name = |column: usize| match grid.columns {
        "position" => format!("{column:>3} {}  ", texts.at(column)),
        _ => format!("head {column:>2}"),
    };
    (0..columns).map(name).collect()
}

fn answers(out: &mut impl Write, args: &Patch, texts: &Texts, patching: &Patching) -> Result<()> {
    let [first, second] = texts.task.answers.map(|token| texts.token(token));
    writeln!(out, "{:>14}  {:>11}  {:>6}  text", "logit of A - B", "P(A)", "rank")?;
    for (text, Answer { logit_difference, logprob, rank, .. }) in
        [(&args.clean, patching.clean), (&args.corrupt, patching.corrupt)]
    {
        let probability = format!("{:.3} %", logprob.exp() * 100.0);
        writeln!(out, "{logit_difference:>14.3}  {probability:>11}  {rank:>6}  {text:?}")?;
    }
    writeln!(
        out,
        "A is {first}, B is {second}. {}",
        match patching.direction {
            Direction::Denoising =>
                "Clean values in the corrupt run: 1 answers as the clean text, 0 as the corrupt one.",
            Direction::Noising =>
                "Corrupt values in the clean run: 0 answers as the corrupt text, 1 as the clean one.",
        }
    )?;
    Ok(())
}

/// The places with the largest effects of all grids.
fn strongest(out: &mut impl Write, texts: &Texts, patching: &Patching) -> Result<()> {
    let neutral = unpatched(patching.direction);
    let strength = |effect: &f64| (effect - neutral).abs();
    let mut places: Vec<(f64, &PatchGrid, usize, usize)> = Vec::new();
    for grid in &patching.grids {
        let rows = grid.effect.iter().enumerate();
        let cells = rows.flat_map(|(layer, row)| {
            row.iter().enumerate().map(move |(column, effect)| (*effect, grid, layer, column))
        });
        let mut cells: Vec<_> = cells.filter(|(effect, ..)| effect.is_finite()).collect();
        cells.sort_by(|(a, ..), (b, ..)| strength(b).total_cmp(&strength(a)));
        places.extend(cells.into_iter().take(STRONGEST_OF_EACH));
    }
    places.sort_by(|(a, ..), (b, ..)| strength(b).total_cmp(&strength(a)));
    writeln!(out, "\nstrongest\n{:>6}  {:>14}  {:>6}  place", "effect", "logit of A - B", "rank")?;
    for (effect, grid, layer, column) in places.into_iter().take(STRONGEST) {
        let place = match grid.columns {
            "position" => format!("position {column} {}", texts.at(column)),
            _ => format!("head {column}"),
        };
        let (difference, rank) = (grid.logit_difference[layer][column], grid.rank[layer][column]);
        writeln!(
            out,
            "{effect:>6.2}  {difference:>14.3}  {rank:>6}  {} of layer {layer}, {place}",
            grid.value
        )?;
    }
    Ok(())
}

fn ablation(out: &mut impl Write, ablated: &Ablated) -> Result<()> {
    let heads = ablated.grids.first().and_then(|grid| grid.loss_change.first()).map_or(0, Vec::len);
    let mut rows: Vec<String> = (0..heads).map(|head| format!("head {head:>2}")).collect();
    rows.extend(["attention", "feed-forward"].map(str::to_owned));
    // Of each layer, its heads, then the whole of its attention, then its feed-forward network.
    let by_layer = |of: &dyn Fn(&AblationGrid) -> Option<Vec<Vec<f64>>>| -> Vec<Vec<f64>> {
        let grids: Vec<Vec<Vec<f64>>> = ablated.grids.iter().filter_map(of).collect();
        let layers = grids.first().map_or(0, Vec::len);
        (0..layers).map(|layer| grids.iter().flat_map(|grid| grid[layer].clone()).collect()).collect()
    };
    writeln!(
        out,
        "\nthe clean text without each part: its loss, {:.4} nats per token, grows by",
        ablated.loss
    )?;
    let values = by_layer(&|grid| Some(grid.loss_change.clone()));
    HeatMap { columns: "layer", rows: &rows, values: &values, neutral: 0.0 }.write(out)?;
    if let Some(answer) = ablated.answer {
        writeln!(out, "\nand the logit of A - B, {:.3}, grows by", answer.logit_difference)?;
        let values = by_layer(&|grid| grid.logit_difference_change.clone());
        HeatMap { columns: "layer", rows: &rows, values: &values, neutral: 0.0 }.write(out)?;
    }
    Ok(())
}

fn object(args: &Patch, texts: &Texts, findings: &Findings) -> Result<Value> {
    let Findings { patching, attribution, ablated } = findings;
    let text = |text: &str, tokens: &[u32], answer: Answer| -> Result<Value> {
        let mut object = serde_json::to_value(answer)?;
        object["text"] = text.into();
        object["tokens"] = tokens.into();
        Ok(object)
    };
    let [first, second] = texts.task.answers;
    let mut report = json!({
        "clean": text(&args.clean, &texts.task.clean, patching.clean)?,
        "corrupt": text(&args.corrupt, &texts.task.corrupt, patching.corrupt)?,
        "answers": [{ "text": texts.answers[0], "token": first }, { "text": texts.answers[1], "token": second }],
        "direction": patching.direction,
        "grids": by_value(&patching.grids)?,
    });
    if let Some(attribution) = attribution {
        report["attribution"] = by_value(attribution)?;
        for (grid, estimate) in patching.grids.iter().zip(attribution) {
            let r = correlation(&grid.effect, &estimate.effect);
            report["attribution"][estimate.value]["correlation"] = json!(r);
        }
    }
    if let Some(ablated) = ablated {
        report["ablation"] = json!({
            "loss": ablated.loss, "answer": ablated.answer, "grids": by_value(&ablated.grids)?,
        });
    }
    Ok(report)
}

/// Grids as an object, by the name of their value.
fn by_value<T: serde::Serialize>(grids: &[T]) -> Result<Value> {
    let mut object = Map::new();
    for grid in grids {
        let mut grid = serde_json::to_value(grid)?;
        if let Some(Value::String(value)) = grid.as_object_mut().and_then(|grid| grid.remove("value")) {
            object.insert(value, grid);
        }
    }
    Ok(Value::Object(object))
}
