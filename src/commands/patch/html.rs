//! The grids as a page of its own: no scripts, nothing from elsewhere.

use std::fmt::Write;

use kiln_inference::{PatchGrid, Patching};

use super::heat_map::shown;
use super::report::{row_names, title, unpatched};
use super::task::Texts;

const STYLE: &str = "
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif }
body { margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums }
.wide { overflow-x: auto; margin-bottom: 2rem }
th { font-weight: normal; text-align: right; padding: 2px 8px; white-space: pre }
tbody th { text-align: left; font-family: ui-monospace, monospace }
td { text-align: right; padding: 2px 6px; min-width: 2.6em }
";

/// The whole page.
pub fn page(texts: &Texts, patching: &Patching) -> String {
    let [first, second] = texts.task.answers.map(|token| escaped(&texts.token(token)));
    let mut body = String::new();
    for (name, answer) in [("clean", patching.clean), ("corrupt", patching.corrupt)] {
        let (difference, probability) = (answer.logit_difference, answer.logprob.exp() * 100.0);
        body += &format!("<tr><th>{name}<td>{difference:.3}<td>{probability:.3} %<td>{}</tr>\n", answer.rank);
    }
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" \
         content=\"width=device-width\">\n<title>Activation patching</title>\n<style>{STYLE}</style>\n\
         <h1>Activation patching</h1>\n<p>A is {first}, B is {second}. Effect: 1 answers as the clean text, 0 as the corrupt \
         one.</p>\n<div class=\"wide\"><table><thead><tr><th><th>logit of A − B<th>P(A)<th>rank of A</tr></thead>\
         <tbody>\n{body}</tbody></table></div>\n"
    );
    for grid in &patching.grids {
        write_grid(&mut html, grid, texts, unpatched(patching.direction));
    }
    html
}

fn write_grid(html: &mut String, grid: &PatchGrid, texts: &Texts, neutral: f64) {
    let mut table = String::from("<tr><th>layer");
    for layer in 0..grid.effect.len() {
        let _ = write!(table, "<th>{layer}");
    }
    table += "</tr></thead>\n<tbody>\n";
    for (row, name) in row_names(grid, texts).iter().enumerate() {
        let _ = write!(table, "<tr><th>{}", escaped(name.trim_end()));
        for (layer, effects) in grid.effect.iter().enumerate() {
            let (effect, difference) = (effects[row], grid.logit_difference[layer][row]);
            let _ = write!(
                table,
                "<td{} title=\"layer {layer}: logit of A − B {difference:.3}, rank {}\">{}",
                background(effect - neutral),
                grid.rank[layer][row],
                shown(effect)
            );
        }
        table += "</tr>\n";
    }
    let title = title(grid.value);
    let _ =
        write!(html, "<h2>{title}</h2>\n<div class=\"wide\"><table><thead>{table}</tbody></table></div>\n");
}

/// Orange for what raises the effect, blue for what lowers it, the stronger the deeper.
fn background(strength: f64) -> String {
    let share = (strength.abs().min(1.0) * 100.0).round();
    if !strength.is_finite() || share < 5.0 {
        return String::new();
    }
    let colour = if strength > 0.0 { "#f28e2b" } else { "#4e79a7" };
    format!(" style=\"background: color-mix(in srgb, {colour} {share}%, transparent)\"")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
