//! The shape ledger: what shape the numbers have at every step, for a batch of two texts.

use burn::tensor::Tensor;
use kiln_model::{Backend, FeedForwardKind, GptConfig, NormKind, NormSite, Site, Tap, Watch, token_tensor};
use serde::Serialize;

use super::pass::Pass;

/// How many texts the ledger's batch has.
const BATCH: usize = 2;

/// Shapes at every step, seen in a pass over the text twice.
#[derive(Clone, Debug, Serialize)]
pub struct ShapesPanel {
    /// Texts in the batch.
    pub batch: usize,
    /// The steps, in the order of the pass. Of the blocks, the first stands for all.
    pub rows: Vec<ShapeRow>,
}

/// One step.
#[derive(Clone, Debug, Serialize)]
pub struct ShapeRow {
    /// What happens.
    pub step: String,
    /// Name of the place, as TransformerLens has it; none for what no tap sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// The shape.
    pub shape: Vec<usize>,
    /// What its dimensions are.
    pub dimensions: &'static str,
    /// How many numbers that is.
    pub numbers: usize,
}

impl ShapesPanel {
    pub(super) fn of<B: Backend>(pass: &Pass<'_, B>) -> Self {
        let (config, seq) = (pass.config(), pass.tokens.len());
        let mut ledger = Ledger(Vec::new());
        let tokens = token_tensor::<B, _>(pass.tokens.repeat(BATCH), [BATCH, seq], &pass.model.device());
        let logits = pass.model.forward_tapped(tokens.clone(), None, &mut ledger);
        let row = |step: &str, dims: &[usize], dimensions| ShapeRow {
            step: step.to_owned(),
            site: None,
            shape: dims.to_vec(),
            dimensions,
            numbers: dims.iter().product(),
        };
        let mut rows = vec![row("token ids", &tokens.dims(), "batch, seq")];
        for (site, shape) in ledger.0 {
            let Some((step, dimensions)) = meaning(site, config) else { continue };
            if site == Site::Query(0) {
                let width = config.heads().qkv_width();
                let joint = [BATCH, seq, width];
                rows.push(row("one matrix makes queries, keys and values", &joint, "batch, seq, all heads"));
            }
            rows.push(ShapeRow { site: Some(site.to_string()), ..row(step, &shape, dimensions) });
            if site == Site::ResidPost(0) && config.n_layers > 1 {
                let step = format!("… the same in each of {} blocks", config.n_layers);
                rows.push(row(&step, &shape, dimensions));
            }
        }
        rows.push(row("logits: a score for every possible next token", &logits.dims(), "batch, seq, vocab"));
        Self { batch: BATCH, rows }
    }
}

/// Writes down the shapes of the first block and of what is around the blocks.
struct Ledger(Vec<(Site, Vec<usize>)>);

impl<B: Backend> Tap<B> for Ledger {
    fn watches(&self) -> Watch {
        Watch::Everything
    }

    fn at<const D: usize>(&mut self, site: Site, value: Tensor<B, D>) -> Tensor<B, D> {
        if site.layer().is_none_or(|layer| layer == 0) {
            self.0.push((site, value.dims().to_vec()));
        }
        value
    }
}

/// What happens at a place, and what the dimensions of the value are.
fn meaning(site: Site, config: &GptConfig) -> Option<(&'static str, &'static str)> {
    const STREAM: &str = "batch, seq, d_model";
    let gated = config.feed_forward == FeedForwardKind::Gated;
    let layer_norm = config.norm == NormKind::LayerNorm;
    Some(match site {
        Site::Embed => ("token embedding: a row of wte for each id", STREAM),
        Site::PosEmbed => ("position embedding: a row of wpe for each place", "batch or 1, seq, d_model"),
        Site::ResidPre(_) => ("residual stream into the block", STREAM),
        Site::Query(_) => ("queries", "batch, n_heads, seq, head_dim"),
        Site::Key(_) => ("keys", "batch, n_kv_heads, seq, head_dim"),
        Site::Value(_) => ("values", "batch, n_kv_heads, seq, head_dim"),
        Site::AttnScores(_) => ("scores: query · key, scaled and masked", "batch, n_heads, query, key"),
        Site::Pattern(_) => ("weights: softmax of each row of scores", "batch, n_heads, query, key"),
        Site::Mixed(_) => ("context vectors: weights · values", "batch, n_heads, seq, head_dim"),
        Site::AttnOut(_) => ("heads side by side, through the output projection", STREAM),
        Site::ResidMid(_) => ("shortcut: what came in is added", STREAM),
        Site::MlpPre(_) if gated => ("feed-forward network: the gate", "batch, seq, d_ff"),
        Site::MlpPre(_) => ("feed-forward network: wider", "batch, seq, d_ff"),
        Site::MlpPreLinear(_) => ("feed-forward network: what the gate lets pass", "batch, seq, d_ff"),
        Site::MlpPost(_) if gated => ("activation(gate) · features", "batch, seq, d_ff"),
        Site::MlpPost(_) => ("activation", "batch, seq, d_ff"),
        Site::MlpOut(_) => ("feed-forward network: back to the stream", STREAM),
        Site::ResidPost(_) => ("shortcut: what came in is added", STREAM),
        Site::Normalized(NormSite::Ln1(_)) if layer_norm => ("layer norm before attention", STREAM),
        Site::Normalized(NormSite::Ln2(_)) if layer_norm => ("layer norm before the network", STREAM),
        Site::Normalized(NormSite::Ln1(_)) => ("RMS norm before attention", STREAM),
        Site::Normalized(NormSite::Ln2(_)) => ("RMS norm before the network", STREAM),
        Site::Normalized(NormSite::Final) => ("the last norm", STREAM),
        _ => return None,
    })
}
