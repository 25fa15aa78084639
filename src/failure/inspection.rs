//! What to do about places, autoencoders and control vectors that cannot be used.

use kiln_model::Error;

use crate::nearest::nearest;

/// What the user can do about `error`, if there is something.
pub fn hint(error: &Error) -> Option<String> {
    Some(match error {
        Error::NoAutoencoder { .. } => {
            "name a directory that `kiln sae train` or SAELens' `save_model` wrote".to_owned()
        }
        Error::UnsupportedAutoencoder { key: "architecture", .. } => {
            "an autoencoder that was trained by BatchTopK is saved as jumprelu by SAELens".to_owned()
        }
        Error::NoFeature { features, .. } => {
            format!("name one from 0 to {}; `kiln sae features` lists them", features.saturating_sub(1))
        }
        Error::NoThreshold { .. } => {
            "`kiln sae train` learns an autoencoder whose features have thresholds".to_owned()
        }
        Error::ControlVector { .. } => "take a direction of block 1 or a later one".to_owned(),
        Error::UnknownSite { name, sites } => {
            let meant = nearest(name, sites.iter().map(String::as_str));
            let example = meant.or(sites.last().map(String::as_str)).unwrap_or("blocks.0.hook_resid_post");
            format!("places are called as TransformerLens calls them: {example}")
        }
        _ => return None,
    })
}
