//! Features that may say a word: those to try when a model is steered.

use burn::tensor::Tensor;
use kiln_datasets::Tokenizer;
use kiln_model::{Backend, GptModel, SparseAutoencoder};
use serde::Serialize;

use super::catalogue::Catalogue;
use super::names::{Name, Relation, best_name};

/// Why a feature may say a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Criterion {
    /// It is active where the next token begins the word.
    Next,
    /// It is active in the word.
    Current,
    /// Its direction is like the embedding of the word's first token.
    Cosine,
}

/// A feature that may say a word.
#[derive(Clone, Debug, Serialize)]
pub struct Candidate {
    /// Its number.
    pub feature: usize,
    /// Why it is here.
    pub criterion: Criterion,
    /// How it ranks by that, from 0 on.
    pub rank: usize,
    /// How well it tells the word, next or current; `None` by cosine.
    pub name: Option<Name>,
    /// The cosine of its direction with the embedding.
    pub cosine: f64,
    /// Share of the positions at which it is active.
    pub density: f64,
    /// Its largest value.
    pub max_activation: f32,
}

/// The best `count` features for `word` by each criterion. Those that are never active are left out.
pub fn candidates<B: Backend>(
    catalogue: &Catalogue,
    model: &GptModel<B>,
    sae: &SparseAutoencoder<B>,
    tokenizer: &Tokenizer,
    word: &str,
    count: usize,
) -> Vec<Candidate> {
    let cosines = cosines(model, sae, tokenizer, word);
    let mut found = Vec::new();
    for (criterion, relation) in [(Criterion::Next, Relation::Next), (Criterion::Current, Relation::Current)]
    {
        let kinds = catalogue.labels.iter().zip(&catalogue.supports);
        let Some((labels, supports)) = kinds.into_iter().find(|(labels, _)| labels.relation == relation)
        else {
            continue;
        };
        let number = labels.names.iter().skip(1).position(|name| name == word);
        let Some(number) = number.map(|number| number as u32 + 1) else { continue };
        let name = |feature: usize| {
            let active = &catalogue.readings.active[feature];
            best_name(&catalogue.readings, labels, supports, active, Some(number))
        };
        let mut ranked: Vec<(f64, usize, Option<Name>)> = (0..catalogue.features.len())
            .filter_map(|feature| name(feature).map(|name| (name.f1, feature, Some(name))))
            .collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        found.extend(take(catalogue, &cosines, criterion, ranked, count));
    }
    let alive = |feature: &usize| catalogue.features[*feature].density > 0.0;
    let mut ranked: Vec<(f64, usize, Option<Name>)> =
        (0..cosines.len()).filter(alive).map(|feature| (cosines[feature], feature, None)).collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    found.extend(take(catalogue, &cosines, Criterion::Cosine, ranked, count));
    found
}

fn take(
    catalogue: &Catalogue,
    cosines: &[f64],
    criterion: Criterion,
    ranked: Vec<(f64, usize, Option<Name>)>,
    count: usize,
) -> impl Iterator<Item = Candidate> {
    ranked.into_iter().take(count).enumerate().map(move |(rank, (_, feature, name))| {
        let record = &catalogue.features[feature];
        Candidate {
            feature,
            criterion,
            rank,
            name,
            cosine: cosines[feature],
            density: record.density,
            max_activation: record.max_activation,
        }
    })
}

/// The cosine of each direction with the embedding of the first token of ` word`, as it stands within a text.
fn cosines<B: Backend>(
    model: &GptModel<B>,
    sae: &SparseAutoencoder<B>,
    tokenizer: &Tokenizer,
    word: &str,
) -> Vec<f64> {
    let token = [format!(" {word}"), word.to_owned()]
        .iter()
        .find_map(|text| tokenizer.encode(text).ok()?.first().copied())
        .unwrap_or_default();
    let embedding = model.wte.weight.val().narrow(0, token as usize, 1); // [1, d_model]
    let directions = sae.w_dec.val(); // [d_sae, d_model]
    let length = |rows: Tensor<B, 2>| rows.powi_scalar(2).sum_dim(1).sqrt(); // [rows, 1]
    let lengths = length(directions.clone()) * length(embedding.clone());
    let cosines = (directions * embedding).sum_dim(1) / lengths; // [d_sae, 1]
    cosines.into_data().iter::<f64>().collect()
}
