//! A recording as a file, for other tools.

use std::path::Path;

use kiln_model::{Backend, GptModel, NormSite, Site, write_file};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

use super::head_results::recorded_head_results;
use super::recorder::{Recorded, Recorder};
use crate::error::Result;

/// Writes everything that was recorded as tensors of a safetensors file in f32, by TransformerLens' names and in its layout:
/// heads behind positions, `[batch, seq, n_heads, head_dim]`, and minus infinity where a score is masked. Where
/// [`Site::Mixed`] was recorded, `attn.hook_result` holds what each head adds to the stream, `[batch, seq, n_heads, d_model]`.
///
/// # Errors
///
/// [`Error::Model`](crate::Error::Model) if the file cannot be written.
pub fn write_cache<B: Backend>(model: &GptModel<B>, recorder: &Recorder<B>, path: &Path) -> Result<()> {
    let mut tensors = Vec::new();
    for (site, recorded) in recorder.all() {
        let (shape, values) = laid_out(site, recorded);
        tensors.push((site.to_string(), shape, bytes(&values)));
        if let Site::Mixed(layer) = site {
            let results = recorded_head_results(model, recorder, layer); // [batch, seq, n_heads, d_model]
            let (name, shape) = (format!("blocks.{layer}.attn.hook_result"), results.dims().to_vec());
            tensors.push((name, shape, bytes(&crate::tokens::to_vec(results))));
        }
    }
    let views = tensors.iter().map(|(name, shape, bytes)| {
        let view =
            TensorView::new(Dtype::F32, shape.clone(), bytes).expect("as many numbers as the shape says");
        (name.as_str(), view)
    });
    let file = safetensors::serialize(views, None).expect("names and shapes are ours");
    Ok(write_file(path, file)?)
}

/// A value in the layout of TransformerLens: its shape, and its numbers row by row.
fn laid_out<B: Backend>(site: Site, recorded: &Recorded<B>) -> (Vec<usize>, Vec<f32>) {
    match site {
        Site::Query(_)
        | Site::Key(_)
        | Site::Value(_)
        | Site::Mixed(_)
        | Site::NormScale(NormSite::Query(_) | NormSite::Key(_))
        | Site::Normalized(NormSite::Query(_) | NormSite::Key(_)) => {
            let by_position = recorded.tensor::<4>().swap_dims(1, 2); // [batch, seq, n_heads, head_dim]
            (by_position.dims().to_vec(), crate::tokens::to_vec(by_position))
        }
        Site::AttnScores(_) => {
            let [.., queries, keys] = recorded.shape[..] else { panic!("scores have queries and keys") };
            let mut scores = recorded.to_vec();
            for (place, score) in scores.iter_mut().enumerate() {
                let (query, key) = (place / keys % queries, place % keys);
                // The queries are the last of the positions.
                if key > query + keys - queries {
                    *score = f32::NEG_INFINITY;
                }
            }
            (recorded.shape.clone(), scores)
        }
        _ => (recorded.shape.clone(), recorded.to_vec()),
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}
