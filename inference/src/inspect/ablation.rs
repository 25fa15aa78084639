//! Ablation: how much worse the model does without a head, an attention layer or a feed-forward network.

use burn::tensor::{ElementConversion, Tensor};
use kiln_model::{Backend, GptModel, NoTap, Site, Tap, cross_entropy, token_tensor};
use serde::Serialize;

use super::Recorder;
use super::patching::{Answer, PatchedValue};
use super::replacement::{Part, Replacement, run_replaced};
use crate::error::{Error, Result};
use crate::tokens::{check_tokens, upload};

/// What takes the place of a value that is taken away.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Ablation<'a> {
    /// Zeros.
    Zero,
    /// Its mean over all positions of these texts.
    Mean(&'a [Vec<u32>]),
    /// What it is in another text of as many tokens, position for position.
    Resample(&'a [u32]),
}

/// What a model loses without each of its parts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Ablated {
    /// Mean loss of the whole model on the text, in nats per token.
    pub loss: f64,
    /// How the whole model answers, if answers were given.
    pub answer: Option<Answer>,
    /// Without each head, without each block's attention, and without each block's feed-forward network.
    pub grids: Vec<AblationGrid>,
}

/// What it loses without a part of each block.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AblationGrid {
    /// What was replaced: `z`, `attn_out` or `mlp_out`.
    pub value: &'static str,
    /// By how much the loss grows, `[n_layers][n_heads]`, or `[n_layers][1]`.
    pub loss_change: Vec<Vec<f64>>,
    /// By how much the logit difference of the answers grows, if answers were given; of the same shape.
    pub logit_difference_change: Option<Vec<Vec<f64>>>,
}

/// Takes away, one at a time and at all positions, each head, each attention layer and each feed-forward network.
///
/// `progress` hears how many runs are done, and of how many.
///
/// # Errors
///
/// [`Error::TooShort`], [`Error::TooLong`] or [`Error::UnknownToken`] for the tokens, [`Error::UnequalLengths`] for those of
/// [`Ablation::Resample`], [`Error::NotFinite`] for the model.
pub fn ablate<B: Backend>(
    model: &GptModel<B>,
    tokens: &[u32],
    answers: Option<[u32; 2]>,
    ablation: Ablation<'_>,
    mut progress: impl FnMut(usize, usize),
) -> Result<Ablated> {
    let config = model.config();
    check_text(model, tokens)?;
    check_tokens(model, &answers.unwrap_or_default())?;
    let stream = model.stream(upload(model, tokens), None, &mut NoTap);
    let whole = Outcome::of(model, stream, tokens, answers)?;
    let parts =
        [(PatchedValue::Mixed, config.n_heads), (PatchedValue::AttnOut, 1), (PatchedValue::MlpOut, 1)];
    let total = parts.iter().map(|(_, columns)| config.n_layers * columns).sum();
    let mut done = 0;
    let mut grids = Vec::new();
    for (value, columns) in parts {
        let sites: Vec<Site> = (0..config.n_layers).map(|layer| value.site(layer)).collect();
        let source = replacing(model, tokens, &sites, ablation)?;
        let part = |column| if columns > 1 { Part::Head(column) } else { Part::Whole };
        let of_layer = |site: Site| (0..columns).map(move |column| Replacement { site, part: part(column) });
        let replacements: Vec<Replacement> = sites.into_iter().flat_map(of_layer).collect();
        let mut outcomes = Vec::new();
        run_replaced(model, tokens, &replacements, &source, |rows, stream| {
            for row in 0..rows.len() {
                let stream = stream.clone().narrow(0, row, 1); // [1, seq, d_model]
                outcomes.push(Outcome::of(model, stream, tokens, answers)?);
                progress(done + rows.start + row + 1, total);
            }
            Ok::<_, Error>(())
        })?;
        done += replacements.len();
        grids.push(AblationGrid::of(value, columns, &whole, &outcomes));
    }
    Ok(Ablated { loss: whole.loss, answer: whole.answer, grids })
}

fn check_text<B: Backend>(model: &GptModel<B>, tokens: &[u32]) -> Result<()> {
    check_tokens(model, tokens)?;
    let context_length = model.config().context_length;
    match tokens.len() {
        tokens @ 0..2 => Err(Error::TooShort { tokens }),
        tokens if tokens > context_length => Err(Error::TooLong { tokens, context_length }),
        _ => Ok(()),
    }
}

/// How a run does.
struct Outcome {
    loss: f64,
    answer: Option<Answer>,
}

impl Outcome {
    /// By the stream behind the last block, `[1, seq, d_model]`.
    fn of<B: Backend>(
        model: &GptModel<B>,
        stream: Tensor<B, 3>,
        tokens: &[u32],
        answers: Option<[u32; 2]>,
    ) -> Result<Self> {
        let predicted = tokens.len() - 1;
        let logits = model.logits(stream.clone().narrow(1, 0, predicted), &mut NoTap); // [1, predicted, vocab]
        let targets = token_tensor(tokens[1..].to_vec(), [1, predicted], &model.device());
        let loss: f64 = cross_entropy(logits, targets).into_scalar().elem();
        if !loss.is_finite() {
            return Err(Error::LossNotFinite { first: 1, last: predicted, loss });
        }
        let answer = answers.map(|answers| Answer::of_rows(model, stream, answers)).transpose()?;
        Ok(Self { loss, answer: answer.map(|answers| answers[0]) })
    }
}

/// What takes the place of the values at these sites, as a recording.
fn replacing<B: Backend>(
    model: &GptModel<B>,
    tokens: &[u32],
    sites: &[Site],
    ablation: Ablation<'_>,
) -> Result<Recorder<B>> {
    let record = |tokens: &[u32]| {
        let mut recorder = Recorder::of(sites.to_vec());
        model.stream(upload(model, tokens), None, &mut recorder);
        recorder
    };
    let references = match ablation {
        Ablation::Resample(other) if other.len() != tokens.len() => {
            return Err(Error::UnequalLengths { clean: tokens.len(), corrupt: other.len() });
        }
        Ablation::Resample(other) => {
            check_text(model, other)?;
            return Ok(record(other));
        }
        // Any text will do.
        Ablation::Zero => vec![tokens.to_vec()],
        Ablation::Mean(references) => references.to_vec(),
    };
    let mut sums: Vec<Option<Tensor<B, 4>>> = vec![None; sites.len()]; // [1, n_heads or 1, 1, features]
    for reference in &references {
        check_text(model, reference)?;
        let recorder = record(reference);
        for (sum, site) in sums.iter_mut().zip(sites) {
            let value = by_head(&recorder, *site).sum_dim(2);
            *sum = Some(match sum.take() {
                Some(sum) => sum + value,
                None => value,
            });
        }
    }
    let positions: usize = references.iter().map(Vec::len).sum();
    let factor = if ablation == Ablation::Zero { 0.0 } else { 1.0 / positions as f64 };
    let mut recorder = Recorder::of(sites.to_vec());
    for (sum, site) in sums.into_iter().zip(sites) {
        let mean = sum.ok_or(Error::TooShort { tokens: 0 })? * factor;
        let [_, n_heads, _, features] = mean.dims();
        let everywhere = mean.expand([1, n_heads, tokens.len(), features]);
        match site {
            Site::Mixed(_) => drop(recorder.at(*site, everywhere)),
            _ => drop(recorder.at(*site, everywhere.squeeze_dim::<3>(1))),
        }
    }
    Ok(recorder)
}

/// The value of heads as it is, and of the stream as one head: `[1, n_heads or 1, seq, features]`.
fn by_head<B: Backend>(recorder: &Recorder<B>, site: Site) -> Tensor<B, 4> {
    let value = recorder.get(site).expect("it was asked for");
    match site {
        Site::Mixed(_) => value.tensor(),
        _ => value.tensor::<3>().unsqueeze_dim(1),
    }
}

impl AblationGrid {
    fn of(value: PatchedValue, columns: usize, whole: &Outcome, outcomes: &[Outcome]) -> Self {
        let grid = |change: &dyn Fn(&Outcome) -> f64| -> Vec<Vec<f64>> {
            outcomes.chunks(columns).map(|row| row.iter().map(change).collect()).collect()
        };
        let difference = |outcome: &Outcome| outcome.answer.map_or(0.0, |answer| answer.logit_difference);
        Self {
            value: value.name(),
            loss_change: grid(&|outcome| outcome.loss - whole.loss),
            logit_difference_change: whole
                .answer
                .map(|answer| grid(&|outcome| difference(outcome) - answer.logit_difference)),
        }
    }
}
