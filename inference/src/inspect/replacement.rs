//! Values of one run in the place of another's, many such runs side by side.

use std::ops::Range;

use burn::tensor::{Bool, Tensor, TensorData};
use kiln_model::{Backend, GptModel, Site, Tap, Watch, token_tensor};

use super::Recorder;

/// Tokens of a forward pass, over all its rows.
const TOKENS_AT_ONCE: usize = 2048;

/// What of a value is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Everything.
    Whole,
    /// One position, of every head.
    Position(usize),
    /// One head, at every position.
    Head(usize),
}

/// A part of the value at a place, to be replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Replacement {
    pub site: Site,
    pub part: Part,
}

/// Runs the model on `tokens` once for each replacement, with the value that `source` recorded there. `hear` is told which
/// replacements a pass held, and the residual stream behind the last block, `[replacements, seq, d_model]`.
pub(super) fn run_replaced<B: Backend, E>(
    model: &GptModel<B>,
    tokens: &[u32],
    replacements: &[Replacement],
    source: &Recorder<B>,
    mut hear: impl FnMut(Range<usize>, Tensor<B, 3>) -> Result<(), E>,
) -> Result<(), E> {
    let rows_at_once = (TOKENS_AT_ONCE / tokens.len()).max(1);
    let mut done = 0;
    for rows in replacements.chunks(rows_at_once) {
        let repeated = token_tensor(tokens.repeat(rows.len()), [rows.len(), tokens.len()], &model.device());
        let stream = model.stream(repeated, None, &mut RowReplacements { rows, source });
        hear(done..done + rows.len(), stream)?;
        done += rows.len();
    }
    Ok(())
}

/// A tap with a replacement for each row of the batch.
struct RowReplacements<'a, B: Backend> {
    rows: &'a [Replacement],
    source: &'a Recorder<B>,
}

impl<B: Backend> RowReplacements<'_, B> {
    /// True where the value at `site` is to be replaced: `[rows, seq, 1]`, or `[rows, n_heads, seq, 1]`.
    fn mask<const D: usize>(&self, site: Site, dims: [usize; D], device: &B::Device) -> Tensor<B, D, Bool> {
        let (heads, seq) = if D == 4 { (dims[1], dims[2]) } else { (1, dims[1]) };
        let mut mask = Vec::with_capacity(dims[0] * heads * seq);
        for replacement in self.rows {
            let places = (0..heads).flat_map(|head| (0..seq).map(move |position| (head, position)));
            mask.extend(places.map(|(head, position)| {
                let inside = match replacement.part {
                    Part::Whole => true,
                    Part::Position(chosen) => chosen == position,
                    Part::Head(chosen) => chosen == head,
                };
                inside && replacement.site == site
            }));
        }
        let mut shape = dims;
        shape[D - 1] = 1;
        Tensor::from_data(TensorData::new(mask, shape), device)
    }
}

impl<B: Backend> Tap<B> for RowReplacements<'_, B> {
    fn watches(&self) -> Watch {
        let on_stream = self.rows.iter().all(|replacement| replacement.site.is_on_stream());
        if on_stream { Watch::Stream } else { Watch::Everything }
    }

    fn at<const D: usize>(&mut self, site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
        if self.rows.iter().all(|replacement| replacement.site != site) {
            return value;
        }
        let dims = value.dims();
        let other = self.source.get(site).expect("what replaces it was recorded").tensor::<D>();
        let mask = self.mask(site, dims, &value.device());
        value.mask_where(mask.expand(dims), other.expand(dims))
    }
}
