//! All features on one page that needs nothing else.

use anyhow::Result;
use kiln_datasets::Tokenizer;
use kiln_inference::{Catalogue, FeatureRecord, Ranked};
use kiln_model::SaeConfig;
use serde_json::{Value, json};

/// The page, with a place for the features.
const PAGE: &str = include_str!("page.html");

/// Where they go.
const PLACE: &str = "/*FEATURES*/";

/// Tokens before and behind the one at which a feature is most active.
const AROUND: (usize, usize) = (10, 5);

/// Texts that are shown of each feature, on all pages together.
const CONTEXTS: usize = 6144;

/// Texts that are shown of a feature at most.
const MOST_CONTEXTS: usize = 8;

pub fn of(catalogue: &Catalogue, config: &SaeConfig, tokenizer: &Tokenizer) -> Result<String> {
    let contexts = (CONTEXTS / catalogue.features.len().max(1)).clamp(1, MOST_CONTEXTS);
    let text = |token: u32| {
        let bytes = tokenizer.token_bytes(token).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let features: Vec<Value> =
        catalogue.features.iter().map(|record| feature(catalogue, record, contexts, &text)).collect();
    let data = json!({
        "hook": config.hook.to_string(),
        "model": config.model_name,
        "tokens": catalogue.readings.len(),
        "features": features,
    });
    // A text may hold the end of a script.
    Ok(PAGE.replace(PLACE, &serde_json::to_string(&data)?.replace("</", "<\\/")))
}

fn feature(
    catalogue: &Catalogue,
    record: &FeatureRecord,
    contexts: usize,
    text: &impl Fn(u32) -> String,
) -> Value {
    let rounded = |value: f32| (f64::from(value) * 1000.0).round() / 1000.0;
    let ranked = |ranked: &[Ranked]| -> Vec<Value> {
        ranked.iter().map(|one| json!([text(one.token), rounded(one.logit)])).collect()
    };
    let contexts: Vec<Value> = record
        .contexts
        .iter()
        .take(contexts)
        .map(|context| {
            let range = catalogue.around(*context, AROUND.0, AROUND.1);
            let tokens: Vec<String> =
                catalogue.readings.tokens[range.clone()].iter().map(|token| text(*token)).collect();
            let values: Vec<f64> = catalogue.values(record.feature, range).into_iter().map(rounded).collect();
            json!([tokens, values])
        })
        .collect();
    let name = record.name.as_ref().map(|name| {
        let shown = if name.is_good() { name.to_string() } else { "unnamed".to_owned() };
        json!({ "text": shown, "closest": name.to_string(), "f1": name.f1, "precision": name.precision,
                "recall": name.recall, "kind": name.relation.kind() })
    });
    json!({
        "name": name,
        "density": record.density,
        "max": rounded(record.max_activation),
        "top": ranked(&record.top),
        "bottom": ranked(&record.bottom),
        "histogram": record.histogram,
        "contexts": contexts,
    })
}
