//! A direction from examples: where texts of one kind differ from those of another.

use kiln_model::{Backend, GptModel, Site};

use crate::error::{Error, Result};
use crate::tokens::{check_tokens, to_vec, upload};
use crate::vectors::norm;

/// A direction of the residual stream, and how long vectors are there.
#[derive(Clone, Debug, PartialEq)]
pub struct MeanDifference {
    /// The mean of one kind minus that of the other, `[d_model]`.
    pub direction: Vec<f32>,
    /// Mean norm of the stream over all positions but the first of each text, whose norm is often far from the others'.
    pub mean_norm: f64,
}

/// The mean of the stream at `site` over the last positions of the texts `with`, minus that over the texts `without`
/// (<https://arxiv.org/abs/2312.06681>).
///
/// # Errors
///
/// [`Error::Steering`] if one of the lists is empty, or for a place that is not on the stream; [`Error::EmptyPrompt`] for an empty text, [`Error::TooLong`] or
/// [`Error::UnknownToken`] for one that the model cannot read.
pub fn mean_difference<B: Backend>(
    model: &GptModel<B>,
    with: &[Vec<u32>],
    without: &[Vec<u32>],
    site: Site,
) -> Result<MeanDifference> {
    let mut norms = Norms::default();
    let with = mean_of_last(model, with, site, &mut norms)?;
    let without = mean_of_last(model, without, site, &mut norms)?;
    let direction = with.iter().zip(&without).map(|(with, without)| (with - without) as f32).collect();
    Ok(MeanDifference { direction, mean_norm: norms.sum / norms.positions.max(1) as f64 })
}

#[derive(Default)]
struct Norms {
    sum: f64,
    positions: usize,
}

fn mean_of_last<B: Backend>(
    model: &GptModel<B>,
    texts: &[Vec<u32>],
    site: Site,
    norms: &mut Norms,
) -> Result<Vec<f64>> {
    let (d_model, context_length) = (model.config().d_model, model.config().context_length);
    if !site.is_on_stream() || site == Site::PosEmbed || !Site::all(model.config()).contains(&site) {
        let reason = "the model has no such place on its stream".to_owned();
        return Err(Error::Steering { what: site.to_string(), reason });
    }
    let mut sum = vec![0.0; d_model];
    for text in texts {
        check_tokens(model, text)?;
        match text.len() {
            0 => return Err(Error::EmptyPrompt),
            tokens if tokens > context_length => return Err(Error::TooLong { tokens, context_length }),
            _ => {}
        }
        let stream = to_vec(model.value_at(upload(model, text), site)); // [1, seq, d_model]
        let rows = || stream.chunks(d_model);
        let last = rows().next_back().unwrap_or_default();
        sum.iter_mut().zip(last).for_each(|(sum, number)| *sum += f64::from(*number));
        norms.sum += rows().skip(1).map(|row| f64::from(norm(row))).sum::<f64>();
        norms.positions += text.len() - 1;
    }
    if texts.is_empty() {
        let reason = "a mean of no texts".to_owned();
        return Err(Error::Steering { what: site.to_string(), reason });
    }
    Ok(sum.into_iter().map(|sum| sum / texts.len() as f64).collect())
}
