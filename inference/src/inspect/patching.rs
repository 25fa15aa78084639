//! Activation patching: which value, moved from one run into another, changes the answer.

use kiln_model::{Backend, GptModel, Heads, NoTap, Site};
use serde::Serialize;

use super::Recorder;
use super::lens::rank;
use super::replacement::{Part, Replacement, run_replaced};
use crate::error::{Error, Result};
use crate::logits::check_finite;
use crate::logprobs::TokenLogprob;
use crate::tokens::{check_tokens, to_vec, upload};

/// Two texts that differ in what matters, and two answers of which each text calls for one.
#[derive(Clone, Debug, PartialEq)]
pub struct PatchTask {
    /// The text after which `answers[0]` is right.
    pub clean: Vec<u32>,
    /// The text after which `answers[1]` is: as many tokens, position for position.
    pub corrupt: Vec<u32>,
    /// One token each, that would follow the texts.
    pub answers: [u32; 2],
    /// Which text's values go into the other's run.
    pub direction: Direction,
}

/// Which text's values go into the other's run (<https://arxiv.org/abs/2404.15255>, §2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// Clean values go into the corrupt run: what brings the answer back is enough for it.
    #[default]
    Denoising,
    /// Corrupt values go into the clean run: what takes the answer away is needed for it.
    Noising,
}

/// How a run answers, at its last position.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Answer {
    /// Logit of the first answer less that of the second.
    pub logit_difference: f64,
    /// Log-probability of the first answer, in nats.
    pub logprob: f64,
    /// How many tokens have a larger logit than the first answer.
    pub rank: usize,
}

/// A value that is patched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PatchedValue {
    /// [`Site::ResidPre`], one position at a time.
    ResidPre,
    /// [`Site::AttnOut`], one position at a time.
    AttnOut,
    /// [`Site::MlpOut`], one position at a time.
    MlpOut,
    /// [`Site::Mixed`], what a head mixed: one head at a time, at all positions.
    Mixed,
    /// [`Site::Query`], one head at a time.
    Query,
    /// [`Site::Key`], one head of keys and values at a time.
    Key,
    /// [`Site::Value`], one head of keys and values at a time.
    Value,
    /// [`Site::Pattern`], one head at a time.
    Pattern,
}

/// The effect of a value in every block, at every position or in every head.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PatchGrid {
    /// The value: `resid_pre`, `attn_out`, `mlp_out`, `z`, `q`, `k`, `v` or `pattern`.
    pub value: &'static str,
    /// What the columns are: `position` or `head`.
    pub columns: &'static str,
    /// `(patched - corrupt) / (clean - corrupt)` of the logit difference, `[n_layers][columns]`: 1 answers as the clean text,
    /// 0 as the corrupt one. No number where both answer alike.
    pub effect: Vec<Vec<f64>>,
    /// [`Answer::logit_difference`] of each patched run, `[n_layers][columns]`.
    pub logit_difference: Vec<Vec<f64>>,
    /// [`Answer::logprob`] of each, `[n_layers][columns]`.
    pub logprob: Vec<Vec<f64>>,
    /// [`Answer::rank`] of each, `[n_layers][columns]`.
    pub rank: Vec<Vec<usize>>,
}

/// What patching found.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Patching {
    /// How the clean text is answered.
    pub clean: Answer,
    /// How the corrupt one is.
    pub corrupt: Answer,
    /// Which text's values went into the other's run.
    pub direction: Direction,
    /// One for each value that was asked for.
    pub grids: Vec<PatchGrid>,
}

impl PatchedValue {
    /// Those of the residual stream: `[n_layers, seq]` each.
    pub const BLOCKS: [Self; 3] = [Self::ResidPre, Self::AttnOut, Self::MlpOut];
    /// Those of the heads: `[n_layers, n_heads]` each, of keys and values `[n_layers, n_kv_heads]`.
    pub const HEADS: [Self; 5] = [Self::Mixed, Self::Query, Self::Key, Self::Value, Self::Pattern];

    /// As TransformerLens calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ResidPre => "resid_pre",
            Self::AttnOut => "attn_out",
            Self::MlpOut => "mlp_out",
            Self::Mixed => "z",
            Self::Query => "q",
            Self::Key => "k",
            Self::Value => "v",
            Self::Pattern => "pattern",
        }
    }

    /// `position` or `head`.
    pub fn columns(self) -> &'static str {
        if Self::BLOCKS.contains(&self) { "position" } else { "head" }
    }

    /// Where it passes in a block.
    pub fn site(self, layer: usize) -> Site {
        match self {
            Self::ResidPre => Site::ResidPre(layer),
            Self::AttnOut => Site::AttnOut(layer),
            Self::MlpOut => Site::MlpOut(layer),
            Self::Mixed => Site::Mixed(layer),
            Self::Query => Site::Query(layer),
            Self::Key => Site::Key(layer),
            Self::Value => Site::Value(layer),
            Self::Pattern => Site::Pattern(layer),
        }
    }

    /// Positions or heads.
    pub(super) fn num_columns(self, Heads { n_heads, n_kv_heads, .. }: Heads, seq: usize) -> usize {
        match self {
            Self::ResidPre | Self::AttnOut | Self::MlpOut => seq,
            Self::Key | Self::Value => n_kv_heads,
            Self::Mixed | Self::Query | Self::Pattern => n_heads,
        }
    }

    fn part(self, column: usize) -> Part {
        if Self::BLOCKS.contains(&self) { Part::Position(column) } else { Part::Head(column) }
    }
}

impl PatchTask {
    /// The text whose run is patched.
    pub fn base(&self) -> &[u32] {
        match self.direction {
            Direction::Denoising => &self.corrupt,
            Direction::Noising => &self.clean,
        }
    }

    /// The text whose values are put there.
    pub fn source(&self) -> &[u32] {
        match self.direction {
            Direction::Denoising => &self.clean,
            Direction::Noising => &self.corrupt,
        }
    }

    /// Refuses texts that cannot be patched into each other.
    pub(super) fn check<B: Backend>(&self, model: &GptModel<B>) -> Result<()> {
        let Self { clean, corrupt, answers, .. } = self;
        for tokens in [clean, corrupt, &answers.to_vec()] {
            check_tokens(model, tokens)?;
        }
        let context_length = model.config().context_length;
        match clean.len() {
            0 => Err(Error::EmptyPrompt),
            length if length != corrupt.len() => {
                Err(Error::UnequalLengths { clean: length, corrupt: corrupt.len() })
            }
            tokens if tokens > context_length => Err(Error::TooLong { tokens, context_length }),
            _ => Ok(()),
        }
    }
}

impl Answer {
    /// Of the logits at one position.
    fn of(logits: &[f32], [right, wrong]: [u32; 2]) -> Self {
        let logit = |token: u32| f64::from(logits[token as usize]);
        Self {
            logit_difference: logit(right) - logit(wrong),
            logprob: TokenLogprob::of(logits, right, 0).logprob,
            rank: rank(logits, right),
        }
    }

    /// Of each row of a stream `[rows, seq, d_model]`, at its last position.
    pub(super) fn of_rows<B: Backend>(
        model: &GptModel<B>,
        stream: burn::tensor::Tensor<B, 3>,
        answers: [u32; 2],
    ) -> Result<Vec<Self>> {
        let [_, seq, _] = stream.dims();
        let logits = to_vec(model.logits(stream.narrow(1, seq - 1, 1), &mut NoTap)); // [rows, 1, vocab]
        let vocab = model.config().vocab_size;
        check_finite(&logits, vocab, seq - 1)?;
        Ok(logits.chunks(vocab).map(|logits| Self::of(logits, answers)).collect())
    }

    /// How the model answers one text.
    pub(super) fn to<B: Backend>(model: &GptModel<B>, tokens: &[u32], answers: [u32; 2]) -> Result<Self> {
        let stream = model.stream(upload(model, tokens), None, &mut NoTap);
        Ok(Self::of_rows(model, stream, answers)?[0])
    }
}

/// Patches each of `values` in every block, at every position or in every head, one at a time.
///
/// `progress` hears how many runs are done, and of how many.
///
/// # Errors
///
/// [`Error::UnequalLengths`], [`Error::EmptyPrompt`], [`Error::TooLong`] or [`Error::UnknownToken`] for the texts and the
/// answers, [`Error::NotFinite`] for the model.
pub fn activation_patching<B: Backend>(
    model: &GptModel<B>,
    task: &PatchTask,
    values: &[PatchedValue],
    mut progress: impl FnMut(usize, usize),
) -> Result<Patching> {
    task.check(model)?;
    let config = model.config();
    let clean = Answer::to(model, &task.clean, task.answers)?;
    let corrupt = Answer::to(model, &task.corrupt, task.answers)?;
    let unchanged = if task.direction == Direction::Denoising { corrupt } else { clean };
    // Until the texts differ, their values do not, and nothing would change.
    let alike = task.clean.iter().zip(&task.corrupt).take_while(|(clean, corrupt)| clean == corrupt).count();
    let columns = |value: &PatchedValue| {
        let columns = value.num_columns(config.heads(), task.clean.len());
        if value.columns() == "position" { alike..columns } else { 0..columns }
    };
    let total = values.iter().map(|value| config.n_layers * columns(value).len()).sum();
    let mut done = 0;
    let mut grids = Vec::new();
    for value in values {
        let columns = columns(value);
        let sites: Vec<Site> = (0..config.n_layers).map(|layer| value.site(layer)).collect();
        let mut source = Recorder::of(sites.clone());
        model.stream(upload(model, task.source()), None, &mut source);
        let of_layer =
            |site: Site| columns.clone().map(move |column| Replacement { site, part: value.part(column) });
        let replacements: Vec<Replacement> = sites.into_iter().flat_map(of_layer).collect();
        let mut patched = Vec::new();
        run_replaced(model, task.base(), &replacements, &source, |rows, stream| {
            patched.extend(Answer::of_rows(model, stream, task.answers)?);
            progress(done + rows.end, total);
            Ok::<_, Error>(())
        })?;
        done += replacements.len();
        let row = |layer: usize| {
            let patched = patched[layer * columns.len()..][..columns.len()].iter().copied();
            std::iter::repeat_n(unchanged, columns.start).chain(patched).collect()
        };
        let answers: Vec<Vec<Answer>> = (0..config.n_layers).map(row).collect();
        grids.push(PatchGrid::of(*value, &answers, [clean, corrupt]));
    }
    Ok(Patching { clean, corrupt, direction: task.direction, grids })
}

impl PatchGrid {
    fn of(value: PatchedValue, answers: &[Vec<Answer>], [clean, corrupt]: [Answer; 2]) -> Self {
        fn grid<T>(answers: &[Vec<Answer>], of: impl Fn(&Answer) -> T) -> Vec<Vec<T>> {
            answers.iter().map(|row| row.iter().map(&of).collect()).collect()
        }
        let range = clean.logit_difference - corrupt.logit_difference;
        Self {
            value: value.name(),
            columns: value.columns(),
            effect: grid(answers, |answer| (answer.logit_difference - corrupt.logit_difference) / range),
            logit_difference: grid(answers, |answer| answer.logit_difference),
            logprob: grid(answers, |answer| answer.logprob),
            rank: grid(answers, |answer| answer.rank),
        }
    }
}
