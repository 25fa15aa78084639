//! One forward pass over a text, with every value on the way kept.

use burn::tensor::Tensor;
use kiln_datasets::Tokenizer;
use kiln_model::{Backend, GptConfig, GptModel, NormKind, NormSite, Positions, Site};

use super::matrix::{Matrix, mean};
use crate::Recorder;
use crate::tokens::{to_vec, upload};

/// What tokens are called: by the text that each stands for, or where there is no tokenizer by their numbers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Names<'a>(pub Option<&'a Tokenizer>);

impl Names<'_> {
    /// All tokens as one text; what is no whole character in it is U+FFFD.
    pub fn whole(self, tokens: &[u32]) -> String {
        match self.0.and_then(|tokenizer| tokenizer.decode_bytes(tokens).ok()) {
            Some(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            None => tokens.iter().map(|token| format!("#{token} ")).collect(),
        }
    }

    /// The text of a token. One that is a part of a character is its bytes, `\xF0\x9F`; one without text is its number, `#7`.
    pub fn text(self, token: u32) -> String {
        let bytes = self.0.and_then(|tokenizer| tokenizer.token_bytes(token).ok());
        match bytes.map(String::from_utf8) {
            None => format!("#{token}"),
            Some(Ok(text)) if text.is_empty() => format!("#{token}"),
            Some(Ok(text)) => text,
            Some(Err(error)) => error.as_bytes().iter().map(|byte| format!("\\x{byte:02X}")).collect(),
        }
    }
}

/// A pass over one text.
pub(super) struct Pass<'a, B: Backend> {
    pub(super) model: &'a GptModel<B>,
    pub(super) tokens: &'a [u32],
    pub(super) names: Names<'a>,
    /// Logits, `[seq, vocab]`.
    pub(super) logits: Matrix,
    pub(super) recorder: Recorder<B>,
}

impl<'a, B: Backend> Pass<'a, B> {
    /// Keeps the residual stream and, of the blocks for which `open` holds, everything.
    pub(super) fn new(
        model: &'a GptModel<B>,
        tokens: &'a [u32],
        names: Names<'a>,
        open: impl Fn(usize) -> bool,
    ) -> Self {
        let wanted = |site: &Site| match site {
            // Queries and keys tell them.
            Site::AttnScores(_) => false,
            // Attribution reads it in every block.
            Site::Mixed(_) => true,
            site => site.is_on_stream() || site.layer().is_none_or(&open),
        };
        let sites: Vec<Site> = Site::all(model.config()).into_iter().filter(wanted).collect();
        let mut recorder = Recorder::of(sites);
        let logits = model.forward_tapped(upload(model, tokens), None, &mut recorder);
        let logits = Matrix::new(model.config().vocab_size, to_vec(logits));
        Self { model, tokens, names, logits, recorder }
    }

    pub(super) fn config(&self) -> &GptConfig {
        self.model.config()
    }

    /// The values at a place, each position's in a row, `[seq, features]`.
    ///
    /// # Panics
    ///
    /// If they were not kept.
    pub(super) fn values(&self, site: Site) -> Matrix {
        let value = self.recorder.get(site).expect("every place of the model is recorded");
        Matrix::new(value.shape[value.shape.len() - 1], value.to_vec())
    }

    /// The values of one head, `[seq, features]`, of `[1, heads, seq, features]`.
    pub(super) fn head_values(&self, site: Site, head: usize) -> Matrix {
        let value = self.recorder.get(site).expect("every place of the model is recorded");
        let [_, _, seq, features] = value.shape[..].try_into().expect("[batch, heads, seq, features]");
        let numbers = seq * features;
        let of_head = value.tensor::<4>().narrow(1, head, 1).reshape([numbers]);
        Matrix::new(features, to_vec(of_head))
    }

    /// The queries, or keys, of one head as they are multiplied: normalised and turned where the model does that.
    pub(super) fn turned(&self, layer: usize, head: usize, queries: bool) -> Matrix {
        let attention = &self.model.h[layer].attn;
        let (site, norm, norm_site) = match queries {
            true => (Site::Query(layer), &attention.q_norm, NormSite::Query(layer)),
            false => (Site::Key(layer), &attention.k_norm, NormSite::Key(layer)),
        };
        let values = match norm {
            None => self.head_values(site, head),
            Some(norm) => {
                let weight = to_vec(norm.weight.val());
                let normalised = self.head_values(Site::Normalized(norm_site), head);
                let scaled = normalised.rows().flat_map(|row| row.iter().zip(&weight).map(|(x, w)| x * w));
                Matrix::new(weight.len(), scaled.collect())
            }
        };
        match &self.config().positions {
            Positions::Learned => values,
            Positions::Rotary(rotary) => turn(&values, &rotary.frequencies(values.columns())),
        }
    }

    /// What a vector that was added to the stream at `position` adds to what the head reads: centred, divided and weighted as
    /// the final norm does it there. The norm's divisor is taken as given, so the parts of a stream add up.
    pub(super) fn through_final_norm(&self, part: &[f32], position: usize) -> Vec<f32> {
        let divisor = self.values(Site::NormScale(NormSite::Final)).row(position)[0];
        let weight = to_vec(self.model.ln_f.weight.val());
        let centre = match self.config().norm {
            NormKind::LayerNorm => mean(part),
            NormKind::RmsNorm => 0.0,
        };
        part.iter().zip(weight).map(|(x, weight)| (x - centre) / divisor * weight).collect()
    }

    /// The matrix that scores tokens, `[vocab, d_model]`.
    pub(super) fn head(&self) -> Tensor<B, 2> {
        self.model.lm_head.as_ref().unwrap_or(&self.model.wte).weight.val()
    }

    /// What vectors that the head reads say of each token: `[n, d_model] → [n, vocab]`.
    pub(super) fn scores(&self, vectors: &Matrix) -> Matrix {
        let data =
            burn::tensor::TensorData::new(vectors.values().to_vec(), [vectors.len(), vectors.columns()]);
        let vectors = Tensor::<B, 2>::from_data(data, &self.model.device());
        let scores = self.head().matmul(vectors.transpose()).transpose(); // [n, vocab]
        Matrix::new(self.config().vocab_size, to_vec(scores))
    }
}

/// Rotary positions: each pair `(a, b)` of features, `head_dim / 2` apart, becomes `(a cos - b sin, b cos + a sin)`.
fn turn(heads: &Matrix, frequencies: &[f32]) -> Matrix {
    let mut values = Vec::with_capacity(heads.values().len());
    for (position, row) in heads.rows().enumerate() {
        let (first, second) = row.split_at(frequencies.len());
        // In f32, as the model computes the angles.
        let angles = frequencies.iter().map(|frequency| f64::from(position as f32 * frequency));
        let pairs: Vec<(f32, f32)> = angles.map(|angle| (angle.cos() as f32, angle.sin() as f32)).collect();
        let features = || first.iter().zip(second).zip(&pairs);
        values.extend(features().map(|((a, b), (cos, sin))| a * cos - b * sin));
        values.extend(features().map(|((a, b), (cos, sin))| b * cos + a * sin));
    }
    Matrix::new(heads.columns(), values)
}
