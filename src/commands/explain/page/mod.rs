//! The page: everything in one HTML file, which asks nobody for anything.

use anyhow::Result;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kiln_inference::explain::{Explanation, Matrix};
use serde_json::{Map, Value, json};

const HTML: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const CHARTS: &str = include_str!("charts.js");

/// Bytes that the patterns of all heads may take.
const PATTERNS: usize = 450_000;

/// Numbers of queries, keys and values that a page has room for.
pub const VECTORS: usize = 90_000;

/// The page of an explanation. `title` says what model it is of.
pub fn html(explanation: &Explanation, title: &str) -> Result<String> {
    let mut data = data(explanation)?;
    data["title"] = title.into();
    let parts =
        [("{{style}}", STYLE), ("{{data}}", &inert(&data)), ("{{charts}}", CHARTS), ("{{script}}", SCRIPT)];
    // What was put in is not searched again, so a text may hold anything.
    let mut page =
        String::with_capacity(HTML.len() + parts.iter().map(|(_, part)| part.len()).sum::<usize>());
    let mut rest = HTML;
    for (mark, part) in parts {
        let (before, after) = rest.split_once(mark).expect("the page has a place for each part");
        page.push_str(before);
        page.push_str(part);
        rest = after;
    }
    page.push_str(rest);
    Ok(page)
}

/// JSON in which nothing ends a script, begins a comment or is an address.
fn inert(data: &Value) -> String {
    let text = data.to_string();
    let escaped =
        [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("http", "\\u0068ttp"), ("//", "/\\u002f")];
    escaped.into_iter().fold(text, |text, (from, to)| text.replace(from, to))
}

/// The explanation with its large tables packed.
fn data(explanation: &Explanation) -> Result<Value> {
    // Through text, in which an f32 has as many digits as it needs and no more.
    let mut data: Value = serde_json::from_str(&serde_json::to_string(explanation)?)?;
    let panels = &explanation.panels;
    if let Some(heads) = &panels.heads {
        let seq = explanation.ids.len();
        let mut pool = 1;
        while heads.heads.len() * triangle(seq.div_ceil(pool)) > PATTERNS {
            pool += 1;
        }
        data["heads"]["pool"] = pool.into();
        for (head, packed) in heads.heads.iter().zip(list(&mut data["heads"]["heads"])) {
            packed["pattern"] = pattern(&head.pattern, pool).into();
        }
    }
    if let Some(head) = &panels.head {
        let vectors = |matrix: &Matrix| floats(matrix.values());
        let details = panels.vectors.iter().map(|of| {
            json!({ "layer": of.layer, "head": of.head, "kv_head": of.kv_head, "scale": of.scale,
                    "query": vectors(&of.query), "key": vectors(&of.key), "value": vectors(&of.value) })
        });
        data["head"] = json!({ "head_dim": head.head_dim, "rotary": head.rotary,
                               "vectors": details.collect::<Vec<Value>>() });
    }
    if let Some(dropout) = &panels.dropout {
        let keep = dropout.keep.values().iter().map(|keep| if *keep == 0.0 { '0' } else { '1' });
        data["dropout"]["keep"] = keep.collect::<String>().into();
        data["dropout"]["after"].take();
    }
    if let Some(lens) = &panels.lens {
        let mut texts = Map::new();
        for (row, packed) in lens.rows.iter().zip(list(&mut data["lens"]["rows"])) {
            let cell = |top: &Vec<kiln_inference::explain::TokenValue>| {
                let pairs =
                    top.iter().map(|token| json!([token.id, (f64::from(token.value) * 1e4).round() / 1e4]));
                pairs.collect::<Vec<Value>>()
            };
            for token in row.top.iter().flatten() {
                texts.entry(token.id.to_string()).or_insert_with(|| token.text.as_str().into());
            }
            packed["top"] = json!(row.top.iter().map(cell).collect::<Vec<_>>());
        }
        data["lens"]["texts"] = texts.into();
    }
    Ok(data)
}

fn list(value: &mut Value) -> impl Iterator<Item = &mut Value> {
    value.as_array_mut().into_iter().flatten()
}

/// Numbers of a triangle of so many rows.
fn triangle(rows: usize) -> usize {
    rows * (rows + 1) / 2
}

/// Weights as bytes, 255 for 1, of the triangle that is not masked; of `pool` by `pool` weights, the largest.
fn pattern(weights: &Matrix, pool: usize) -> String {
    let blocks = weights.len().div_ceil(pool);
    let mut bytes = Vec::with_capacity(triangle(blocks));
    for i in 0..blocks {
        for j in 0..=i {
            let rows = (i * pool..weights.len().min((i + 1) * pool)).map(|row| weights.row(row));
            let values = rows.flat_map(|row| &row[j * pool..row.len().min((j + 1) * pool)]);
            let most = values.copied().fold(0.0, f32::max);
            bytes.push((most * 255.0).round() as u8);
        }
    }
    STANDARD.encode(&bytes)
}

fn floats(values: &[f32]) -> String {
    STANDARD.encode(values.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_string() {
        let text = "</script><!--\u{2028}'\"\\ http://x & {{data}}";
        let inert = inert(&json!({ "text": text }));
        for sign in ["<", ">", "&", "http", "//"] {
            assert!(!inert.contains(sign), "{sign} in {inert}");
        }
        let back: Value = serde_json::from_str(&inert).expect("still JSON");
        assert_eq!(back["text"], text);
    }

    #[test]
    fn our_part_of_the_page_asks_nobody() {
        for part in [HTML, STYLE, SCRIPT, CHARTS] {
            for word in ["http", "//", "@import", "fetch(", "XMLHttpRequest", "src=", "url("] {
                assert!(!part.contains(word), "{word}");
            }
        }
    }

    #[test]
    fn patterns_are_bytes_of_a_triangle() {
        let weights = Matrix::new(3, vec![1.0, 0.0, 0.0, 0.25, 0.75, 0.0, 0.2, 0.3, 0.5]);
        assert_eq!(pattern(&weights, 1), STANDARD.encode([255, 64, 191, 51, 77, 128]));
        assert_eq!(pattern(&weights, 2), STANDARD.encode([255, 77, 128]));
    }
}
