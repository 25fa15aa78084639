//! What to explain, and how all of it is computed.

use kiln_model::{AutodiffBackend, GptModel, SparseAutoencoder};

use super::pass::{Names, Pass};
use super::*;
use crate::error::{Error, Result};
use crate::tokens::check_tokens;

/// Longest text of which every block is shown, in tokens.
pub const LONGEST: usize = 128;

/// What to explain.
#[derive(Clone, Debug, Default)]
pub struct ExplainOptions<'a> {
    /// The panels; none is all.
    pub views: Vec<View>,
    /// The block that panels of one block show; without one, the first.
    pub layer: Option<usize>,
    /// The head that panels of one head show; without one, the first.
    pub head: Option<usize>,
    /// The position that panels of one position show; without one, the last.
    pub position: Option<usize>,
    /// The tokens whose logits attribution compares; without them, the two most probable ones.
    pub answers: Option<[u32; 2]>,
    /// Another text with as many tokens, for patching.
    pub corrupt: Option<&'a [u32]>,
    /// Room for queries, keys and values of further heads, in numbers.
    pub vectors: usize,
    /// What tokens are called.
    pub names: Names<'a>,
}

/// Explains a text; with a sparse autoencoder, by its features too. `progress` hears how many runs of patching are done, and of how many.
///
/// # Errors
///
/// [`Error::TooLong`], [`Error::TooShort`] or [`Error::UnknownToken`] for the tokens, [`Error::Explain`] for an option that the
/// model or the text does not have, [`Error::UnfitAutoencoder`] for an autoencoder of another model, [`Error::NotFinite`] for
/// the model.
pub fn explain<B: AutodiffBackend>(
    model: &GptModel<B>,
    tokens: &[u32],
    options: &ExplainOptions,
    sae: Option<&SparseAutoencoder<B::InnerBackend>>,
    progress: impl FnMut(usize, usize),
) -> Result<Explanation> {
    check(model, tokens, options)?;
    let ExplainOptions { ref views, layer, head, position, answers, corrupt, vectors, names } = *options;
    let asked = |view| views.is_empty() || views.contains(&view);
    let long = tokens.len() > LONGEST;
    let (open_layer, position) = (layer.unwrap_or(0), position.unwrap_or(tokens.len() - 1));
    let layers = if long { open_layer..open_layer + 1 } else { 0..model.config().n_layers };
    let open = |block: usize| layers.contains(&block);
    let plain = burn::module::AutodiffModule::valid(model);
    let pass = Pass::new(&plain, tokens, names, open);
    crate::logits::check_finite(pass.logits.values(), plain.config().vocab_size, 0)?;
    let (layer, head) = (open_layer, head.unwrap_or(0));
    let when = |view| asked(view).then_some(());
    let panels = Panels {
        tokens: when(View::Tokens).map(|()| TokensPanel::of(&pass)),
        shapes: when(View::Shapes).map(|()| ShapesPanel::of(&pass)),
        norm: when(View::Norm).map(|()| NormPanel::of(&pass, layer, position)),
        head: when(View::Head).map(|()| HeadPanel::of(&pass, layer, head)),
        vectors: match vectors {
            0 => Vec::new(),
            room => HeadVectors::around(&pass, (layer, head), room, open),
        },
        heads: when(View::Heads).map(|()| HeadsPanel::of(&pass, layers.clone())),
        dropout: when(View::Dropout).map(|()| DropoutPanel::of(&pass, layer, head)),
        mlp: when(View::Mlp).map(|()| MlpPanel::of(&pass, layer, position)),
        residual: when(View::Residual).map(|()| ResidualPanel::of(&pass)),
        gradients: when(View::Gradients).and_then(|()| GradientsPanel::of(model, tokens)),
        lens: when(View::Lens).map(|()| LensPanel::of(&pass)),
        sampling: when(View::Sampling).map(|()| SamplingPanel::of(&pass, position)),
        attribution: match asked(View::Attribution) {
            true => Some(AttributionPanel::of(&pass, position, answers)?),
            false => None,
        },
        patching: match (corrupt, answers) {
            (Some(corrupt), Some(answers)) if asked(View::Patching) => {
                Some(PatchingPanel::of(&pass, corrupt, answers, progress)?)
            }
            _ => None,
        },
        features: match sae {
            Some(sae) if asked(View::Features) => Some(FeaturesPanel::of(&pass, sae)?),
            _ => None,
        },
    };
    Ok(Explanation {
        model: ModelSummary::of(model),
        text: names.whole(tokens),
        ids: tokens.to_vec(),
        texts: tokens.iter().map(|token| names.text(*token)).collect(),
        at: Focus { layer, head, position },
        panels,
    })
}

fn check<B: AutodiffBackend>(model: &GptModel<B>, tokens: &[u32], options: &ExplainOptions) -> Result<()> {
    check_tokens(model, tokens)?;
    let config = model.config();
    let context_length = config.context_length;
    match tokens.len() {
        0 => return Err(Error::TooShort { tokens: 0 }),
        length if length > context_length => return Err(Error::TooLong { tokens: length, context_length }),
        length if length > LONGEST && options.layer.is_none() => {
            return Err(Error::ManyTokens { tokens: length, most: LONGEST });
        }
        _ => {}
    }
    let below = |option, value: Option<usize>, count: usize, what: &str| match value {
        Some(value) if value >= count => {
            let reason = format!("there are {count} {what}, counted from 0");
            Err(Error::Explain { option, value, reason })
        }
        _ => Ok(()),
    };
    below("layer", options.layer, config.n_layers, "blocks")?;
    below("head", options.head, config.n_heads, "heads in a block")?;
    below("pos", options.position, tokens.len(), "tokens in the text")?;
    match options.answers {
        Some(answers) => check_tokens(model, &answers),
        None => Ok(()),
    }
}
