//! From text to vectors: tokens, and shapes.

use std::io::Write;

use anyhow::Result;
use kiln_inference::explain::{ShapesPanel, TokensPanel};

use super::cells::{fitted, number, remark, visible};

pub fn tokens(panel: &TokensPanel, out: &mut impl Write) -> Result<()> {
    let numbers =
        |values: &[f32]| values.iter().map(|value| format!("{:>9}", number(*value))).collect::<String>();
    for row in &panel.tokens {
        writeln!(out, "{:>3} {} id {}", row.position, fitted(&row.text, 14), row.id)?;
        if let Some(position) = &row.position_embedding {
            writeln!(out, "      wte{} …", numbers(&row.token_embedding))?;
            writeln!(out, "    + wpe{} …", numbers(position))?;
            writeln!(out, "    = x  {} …   ‖x‖ {}", numbers(&row.sum), number(row.norm))?;
        } else {
            writeln!(out, "      x  {} …   ‖x‖ {}", numbers(&row.sum), number(row.norm))?;
        }
        let neighbour =
            |n: &kiln_inference::explain::Neighbour| format!("{} {:.2}", visible(&n.text), n.cosine);
        let neighbours: Vec<String> = row.neighbours.iter().map(neighbour).collect();
        writeln!(out, "      like {}", neighbours.join("  "))?;
    }
    remark(out, &format!("\nthe first numbers of {}; like: cosine {}", panel.d_model, panel.cosine))?;
    if !panel.learned_positions {
        remark(out, "this model has no position embedding: queries and keys turn with their place instead")?;
    }
    Ok(())
}

pub fn shapes(panel: &ShapesPanel, out: &mut impl Write) -> Result<()> {
    for row in &panel.rows {
        let shape: Vec<String> = row.shape.iter().map(usize::to_string).collect();
        let shape = format!("[{}]", shape.join(", "));
        writeln!(out, "  {shape:<22} {:<31} {}", row.dimensions, row.step)?;
    }
    Ok(())
}
