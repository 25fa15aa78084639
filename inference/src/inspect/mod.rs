//! Looking inside: what a model computes on the way from a text to its next token.

mod ablation;
mod attribution_patching;
mod cache;
mod direct_logit_attribution;
mod head_results;
mod head_scores;
mod lens;
mod patching;
mod recorder;
mod replacement;
#[cfg(test)]
mod tests;

pub use self::ablation::{Ablated, Ablation, AblationGrid, ablate};
pub use self::attribution_patching::{AttributionGrid, attribution_patching, correlation};
pub use self::cache::write_cache;
pub use self::direct_logit_attribution::{
    Component, LogitAttribution, attribution_sites, direct_logit_attribution,
};
pub use self::head_results::{head_results, recorded_head_results};
pub(crate) use self::head_scores::head_scores_of;
pub use self::head_scores::{
    DetectedHeads, HeadGrid, HeadScores, RepeatedTokens, head_score_sites, head_scores,
    repeated_token_scores, repeated_tokens,
};
pub use self::lens::{LensNext, LensRow, LensToken, LogitLens, lens_logits, lens_sites, logit_lens};
pub use self::patching::{
    Answer, Direction, PatchGrid, PatchTask, PatchedValue, Patching, activation_patching,
};
pub use self::recorder::{Recorded, Recorder};
