//! The views in a terminal.

mod answer;
mod block;
mod cells;
mod depth;
mod embedding;

use std::io::Write;
use std::path::Path;

use anyhow::Result;
use kiln_inference::explain::{Explanation, View};

use self::cells::{fit, heading, remark, visible};
use crate::commands::shell::quoted;

/// What the overview needs, and the views that were given what only they need.
pub fn overview_views(patching: bool, features: bool) -> Vec<View> {
    let mut views = vec![View::Shapes, View::Heads, View::Residual, View::Sampling];
    views.extend(patching.then_some(View::Patching));
    views.extend(features.then_some(View::Features));
    views
}

/// Prints one view, if it was computed.
pub fn print(view: View, explanation: &Explanation, out: &mut impl Write) -> Result<()> {
    let (panels, names) = (&explanation.panels, Names::of(explanation));
    match view {
        View::Tokens => panels.tokens.iter().try_for_each(|panel| embedding::tokens(panel, out)),
        View::Shapes => panels.shapes.iter().try_for_each(|panel| embedding::shapes(panel, out)),
        View::Norm => panels.norm.iter().try_for_each(|panel| block::norm(panel, &names, out)),
        View::Head => panels.head.iter().try_for_each(|panel| block::head(panel, &names, explanation, out)),
        View::Heads => panels.heads.iter().try_for_each(|panel| block::heads(panel, out)),
        View::Dropout => panels.dropout.iter().try_for_each(|panel| block::dropout(panel, &names, out)),
        View::Mlp => panels.mlp.iter().try_for_each(|panel| block::mlp(panel, &names, out)),
        View::Residual => panels.residual.iter().try_for_each(|panel| depth::residual(panel, &names, out)),
        View::Gradients => panels.gradients.iter().try_for_each(|panel| depth::gradients(panel, out)),
        View::Lens => panels.lens.iter().try_for_each(|panel| depth::lens(panel, &names, out)),
        View::Sampling => panels.sampling.iter().try_for_each(|panel| answer::sampling(panel, &names, out)),
        View::Attribution => {
            panels.attribution.iter().try_for_each(|panel| answer::attribution(panel, &names, out))
        }
        View::Patching => panels.patching.iter().try_for_each(|panel| answer::patching(panel, &names, out)),
        View::Features => panels.features.iter().try_for_each(|panel| answer::features(panel, &names, out)),
    }
}

/// What positions are called.
pub struct Names {
    /// Number and text of each token.
    pub positions: Vec<String>,
    /// The number of each.
    pub numbers: Vec<String>,
}

impl Names {
    fn of(explanation: &Explanation) -> Self {
        let numbers = (0..explanation.texts.len()).map(|position| position.to_string());
        let positions = explanation
            .texts
            .iter()
            .enumerate()
            .map(|(position, text)| format!("{position:>3} {}", visible(text)));
        Self { positions: positions.collect(), numbers: numbers.collect() }
    }

    /// One position, as a sentence names it.
    pub fn place(&self, position: usize) -> String {
        format!("position {}", self.positions[position].trim_start())
    }
}

/// A short look at everything: tokens, shapes, what comes next, and where to look further.
pub fn overview(explanation: &Explanation, model: &Path, out: &mut impl Write) -> Result<()> {
    let (summary, panels) = (&explanation.model, &explanation.panels);
    heading(out, &format!("{}: {} parameters", model.display(), grouped(summary.parameters)))?;
    writeln!(
        out,
        "{} blocks, {} heads of {} ({} of keys and values), d_model {}, d_ff {}{}, {}, {} positions\n",
        summary.n_layers,
        summary.n_heads,
        summary.head_dim,
        summary.n_kv_heads,
        summary.d_model,
        summary.d_ff,
        if summary.gated { " with a gate" } else { "" },
        summary.norm,
        summary.positions
    )?;
    let tokens = explanation.ids.len();
    heading(out, &format!("{tokens} {}", if tokens == 1 { "token" } else { "tokens" }))?;
    let shown = explanation.texts.iter().zip(&explanation.ids);
    let shown: Vec<String> =
        shown.map(|(text, id)| format!("{} {}", visible(text), console::style(id).dim())).collect();
    writeln!(out, "{}\n", shown.join("  "))?;
    if let Some(shapes) = &panels.shapes {
        heading(out, "Shapes, of a batch of two")?;
        embedding::shapes(shapes, out)?;
        writeln!(out)?;
    }
    if let Some(sampling) = &panels.sampling {
        heading(out, "What comes next")?;
        answer::candidates(sampling, 5, out)?;
        writeln!(out)?;
    }
    let asked = [(View::Patching, panels.patching.is_some()), (View::Features, panels.features.is_some())];
    for (view, _) in asked.into_iter().filter(|(_, there)| *there) {
        print(view, explanation, out)?;
        writeln!(out)?;
    }
    heading(out, "Where to look next")?;
    for (options, why) in suggestions(explanation) {
        writeln!(out, "  --view {}  {why}", fit(&options, 28))?;
    }
    remark(
        out,
        &format!(
            "after `kiln explain --model {} --text …`; --html FILE shows all on one page",
            quoted(&model.display().to_string())
        ),
    )
}

/// Views that say something about this text, and why.
fn suggestions(explanation: &Explanation) -> Vec<(String, String)> {
    let mut rows = vec![("lens".to_owned(), "what each block would predict".to_owned())];
    if let Some(panel) = &explanation.panels.heads {
        type Score = fn(&kiln_inference::explain::HeadSummary) -> Option<f32>;
        let scores: [(Score, &str); 3] = [
            (|head| Some(head.previous), "on the token before"),
            (|head| head.duplicate, "on earlier copies of the token"),
            (|head| head.induction, "on what followed earlier copies"),
        ];
        for (score, what) in scores {
            let scored = panel.heads.iter().filter_map(|head| score(head).map(|score| (head, score)));
            if let Some((head, score)) = scored.max_by(|(_, left), (_, right)| left.total_cmp(right)) {
                let options = format!("head --layer {} --head {}", head.layer, head.head);
                rows.push((options, format!("{:.0} % of its weight {what}", score * 100.0)));
            }
        }
    }
    if let Some(panel) = &explanation.panels.residual {
        let writes = |row: &kiln_inference::explain::ResidualRow| row.mlp_share.max(row.attention_share);
        if let Some(row) = panel.layers.iter().max_by(|left, right| writes(left).total_cmp(&writes(right))) {
            let options = format!("mlp --layer {}", row.layer);
            let share = writes(row) * 100.0;
            rows.push((options, format!("one of its layers writes {share:.0} % of the last vector")));
        }
    }
    rows.push(("attribution".to_owned(), "which layers chose the most probable token".to_owned()));
    rows
}

/// 1,234,567
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}
