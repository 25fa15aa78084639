//! Steering, as it is typed.

use std::path::PathBuf;

use clap::Args;
use kiln_inference::{SteeredPositions, SteeringHandle, SteeringMode, SteeringUnit};

/// The heading of these options.
const STEERING: &str = "Steering";

/// What is there to steer with.
#[derive(Args, Debug, Clone, Default)]
pub struct KitArgs {
    /// Sparse autoencoder whose features are turned, as `kiln sae train` or SAELens wrote it.
    #[arg(help_heading = STEERING, long, value_name = "DIR")]
    pub sae: Option<PathBuf>,
    /// Control vector, as llama.cpp, repeng or `kiln steer` wrote it; may be repeated. =STRENGTH adds so much of it; by
    /// itself, it is added once.
    #[arg(help_heading = STEERING, long, value_name = "FILE[=STRENGTH]", value_parser = vector)]
    pub control_vector: Vec<VectorFile>,
}

/// How a model is steered.
#[derive(Args, Debug, Clone, Default)]
pub struct SteeringArgs {
    #[command(flatten)]
    pub kit: KitArgs,
    /// Turn the feature of this number; may be repeated. What a strength of 1 is, --steer-unit says.
    #[arg(help_heading = STEERING, long, value_name = "FEATURE=STRENGTH", value_parser = dial, allow_hyphen_values = true)]
    #[arg(requires = "sae")]
    pub steer: Vec<(SteeringHandle, f32)>,
    /// Set the feature to the strength (clamp), add so much of its direction (add), or take the direction away (ablate).
    #[arg(help_heading = STEERING, long, value_name = "HOW", default_value = "clamp")]
    pub steer_mode: SteeringMode,
    /// A strength of 1 is as long as the residual stream is there on the average (norm), the largest value that the feature was
    /// seen to have (max), or a value of 1 (raw).
    #[arg(help_heading = STEERING, long, value_name = "UNIT", default_value = "norm")]
    pub steer_unit: SteeringUnit,
    /// Steer all positions, only those of generated tokens, or only those at which the clamped feature is active by itself.
    #[arg(help_heading = STEERING, long, value_name = "WHICH", default_value = "all", value_parser = positions)]
    pub steer_positions: SteeredPositions,
}

/// A control vector, and how much of it is added.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorFile {
    pub path: PathBuf,
    pub strength: f32,
}

fn dial(text: &str) -> Result<(SteeringHandle, f32), String> {
    let parsed = text.split_once('=').and_then(|(feature, strength)| {
        let feature = SteeringHandle::Feature(feature.trim().parse().ok()?);
        Some((feature, finite(strength)?))
    });
    parsed
        .ok_or_else(|| "must be the number of a feature, `=` and a strength, for instance 17=0.5".to_owned())
}

fn vector(text: &str) -> Result<VectorFile, String> {
    let (path, strength) = match text.rsplit_once('=') {
        Some((path, strength)) => match finite(strength) {
            Some(strength) => (path, strength),
            None => return Err("must be a file, or a file, `=` and a strength".to_owned()),
        },
        None => (text, 1.0),
    };
    Ok(VectorFile { path: path.into(), strength })
}

fn finite(text: &str) -> Option<f32> {
    text.trim().parse().ok().filter(|number: &f32| number.is_finite())
}

fn positions(text: &str) -> Result<SteeredPositions, String> {
    match text {
        "all" => Ok(SteeredPositions::All),
        "generated" => Ok(SteeredPositions::Generated),
        "active" => Ok(SteeredPositions::Active),
        _ => Err("all, generated or active".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dial_is_a_feature_and_a_number() {
        assert_eq!(dial("17=0.5"), Ok((SteeringHandle::Feature(17), 0.5)));
        assert_eq!(dial("0=-2"), Ok((SteeringHandle::Feature(0), -2.0)));
        for wrong in ["17", "fox=1", "17=", "17=inf", "-1=1"] {
            assert!(dial(wrong).is_err(), "{wrong}");
        }
        let file = |path: &str, strength| Ok(VectorFile { path: path.into(), strength });
        assert_eq!(vector("a/fox.gguf"), file("a/fox.gguf", 1.0));
        assert_eq!(vector("a=b.gguf=-0.5"), file("a=b.gguf", -0.5));
        assert!(vector("fox.gguf=x").is_err());
    }
}
