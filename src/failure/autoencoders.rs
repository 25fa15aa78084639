//! What to do about a sparse autoencoder that cannot be used.

use kiln_model::Error;

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
        _ => return None,
    })
}
