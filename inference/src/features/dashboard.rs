//! Features as Neuronpedia reads them.

use kiln_datasets::Tokenizer;
use kiln_model::{Backend, SparseAutoencoder};
use serde_json::{Value, json};

use super::catalogue::{Catalogue, FeatureRecord, Ranked};

/// Tokens around the place where a feature is most active.
const AROUND: (usize, usize) = (16, 8);

/// All features in the form of SAEDashboard's batches.
pub fn dashboard<B: Backend>(
    catalogue: &Catalogue,
    sae: &SparseAutoencoder<B>,
    tokenizer: &Tokenizer,
) -> Value {
    let config = sae.config();
    let vectors: Vec<f32> = sae.w_dec.val().into_data().iter::<f32>().collect();
    let features: Vec<Value> = catalogue
        .features
        .iter()
        .zip(vectors.chunks_exact(config.d_in))
        .map(|(record, vector)| feature(catalogue, record, vector, tokenizer))
        .collect();
    json!({
        "model_id": config.model_name,
        "layer": config.hook.layer(),
        "sae_set": config.hook.to_string(),
        "features": features,
    })
}

fn feature(catalogue: &Catalogue, record: &FeatureRecord, vector: &[f32], tokenizer: &Tokenizer) -> Value {
    let text = |token: u32| {
        let bytes = tokenizer.token_bytes(token).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    };
    let strings = |ranked: &[Ranked]| -> Vec<String> { ranked.iter().map(|one| text(one.token)).collect() };
    let values = |ranked: &[Ranked]| -> Vec<f32> { ranked.iter().map(|one| one.logit).collect() };
    // A bar is told by its middle.
    let middles = |lowest: f32, highest: f32, bars: &[u32]| -> Vec<f32> {
        let width = (highest - lowest) / bars.len() as f32;
        (0..bars.len()).map(|bar| lowest + (bar as f32 + 0.5) * width).collect()
    };
    let (lowest, highest, logits) = &record.logit_histogram;
    let most = record.max_activation;
    let activations: Vec<Value> = record
        .contexts
        .iter()
        .map(|context| {
            let range = catalogue.around(*context, AROUND.0, AROUND.1);
            let tokens: Vec<String> =
                catalogue.readings.tokens[range.clone()].iter().map(|token| text(*token)).collect();
            json!({
                "tokens": tokens,
                "values": catalogue.values(record.feature, range.clone()),
                "bin_min": 0.0,
                "bin_max": most,
                "bin_contains": 1.0,
                "qualifying_token_index": context.place - range.start,
            })
        })
        .collect();
    json!({
        "feature_index": record.feature,
        "neg_str": strings(&record.bottom),
        "neg_values": values(&record.bottom),
        "pos_str": strings(&record.top),
        "pos_values": values(&record.top),
        "frac_nonzero": record.density,
        "freq_hist_data_bar_values": middles(0.0, most, &record.histogram),
        "freq_hist_data_bar_heights": record.histogram,
        "logits_hist_data_bar_values": middles(*lowest, *highest, logits),
        "logits_hist_data_bar_heights": logits,
        "activations": activations,
        "vector": vector,
        "name": record.name,
    })
}
