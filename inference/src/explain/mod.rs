//! Every number on the way from a text to its next token, one panel after the other.
//!
//! Each panel is one concept of a book on language models, computed on a live model and a text of one's own: plain data that a
//! terminal, a page or another program can show. [`explain`] computes those that are asked for.

mod attribution;
mod compute;
mod dropout;
mod explanation;
mod features;
mod gradients;
mod head;
mod heads;
mod lens;
mod matrix;
mod mlp;
mod norm;
mod pass;
mod patching;
mod residual;
mod sampling;
mod shapes;
mod summary;
#[cfg(test)]
mod tests;
mod tokens;
mod top;
mod view;

pub use self::attribution::AttributionPanel;
pub use self::compute::{ExplainOptions, LONGEST, explain};
pub use self::dropout::DropoutPanel;
pub use self::explanation::{Explanation, Focus, Panels};
pub use self::features::{Feature, FeaturesPanel};
pub use self::gradients::{GradientsPanel, LayerGradients};
pub use self::head::{HeadPanel, HeadVectors};
pub use self::heads::{HeadSummary, HeadsPanel};
pub use self::lens::{LensPanel, LensRow};
pub use self::matrix::Matrix;
pub use self::mlp::{MlpPanel, Neuron};
pub use self::norm::{NormPanel, NormRow};
pub use self::pass::Names;
pub use self::patching::PatchingPanel;
pub use self::residual::{ResidualPanel, ResidualRow};
pub use self::sampling::{Candidate, SamplingPanel};
pub use self::shapes::{ShapeRow, ShapesPanel};
pub use self::summary::ModelSummary;
pub use self::tokens::{Neighbour, TokenRow, TokensPanel};
pub use self::top::TokenValue;
pub use self::view::View;
