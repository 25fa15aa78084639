//! From options to what is done to the residual stream.

use std::path::Path;

use anyhow::{Context, Result};
use kiln_inference::{Steering, SteeringDial, SteeringHandle, SteeringKit, SteeringMode, SteeringUnit};
use kiln_model::{Backend, ControlVector, GptConfig, SparseAutoencoder};

use crate::cli::steering::{KitArgs, SteeringArgs};

/// What was named to steer a model of this configuration with. Vectors have the names of their files.
pub fn kit<B: Backend>(args: &KitArgs, config: &GptConfig, device: &B::Device) -> Result<SteeringKit> {
    let mut kit = SteeringKit::new(config);
    if let Some(directory) = &args.sae {
        let autoencoder = SparseAutoencoder::<B>::open(directory, device)?;
        kit = kit.with_autoencoder(&autoencoder).with_context(|| directory.display().to_string())?;
    }
    for file in &args.control_vector {
        kit = kit.with_vector(name(&file.path), ControlVector::open(&file.path)?)?;
    }
    Ok(kit)
}

/// What is done to the stream of a model of this configuration.
pub fn steering<B: Backend>(args: &SteeringArgs, config: &GptConfig, device: &B::Device) -> Result<Steering> {
    let SteeringArgs { steer_mode: mode, steer_unit: unit, steer_positions: positions, .. } = *args;
    let features = args.steer.iter().map(|(handle, strength)| SteeringDial {
        handle: handle.clone(),
        mode,
        strength: *strength,
        unit,
        layer: None,
        positions,
    });
    let vectors = args.kit.control_vector.iter().map(|file| SteeringDial {
        handle: SteeringHandle::Vector(name(&file.path)),
        mode: SteeringMode::Add,
        strength: file.strength,
        unit: SteeringUnit::Raw,
        layer: None,
        positions,
    });
    let dials: Vec<SteeringDial> = features.chain(vectors).collect();
    Ok(kit::<B>(&args.kit, config, device)?.steering(&dials)?)
}

fn name(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}
