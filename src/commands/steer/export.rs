//! `kiln steer export`: a feature as a control vector.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use kiln_model::{Backend, ControlVector, Site, SparseAutoencoder};

use crate::backend::{Job, dispatch};
use crate::cli::steer::SteerExport;
use crate::commands::sae;
use crate::output::print_message;

pub fn run(args: &SteerExport) -> Result<()> {
    dispatch(&args.backend, Exporting(args))
}

struct Exporting<'a>(&'a SteerExport);

impl Job for Exporting<'_> {
    type Output = ();

    fn run<B: Backend>(self, device: B::Device, _name: &'static str) -> Result<()> {
        let SteerExport { sae, feature, strength, to, .. } = self.0;
        let directory = sae::directory(sae.path());
        let sae = SparseAutoencoder::<B>::open(&directory, &device)?;
        let (hook, mean_norm) = (sae.config().hook, sae.config().mean_norm);
        // A block's output is what enters the next one.
        let layer = match hook {
            Site::ResidPost(layer) => layer,
            Site::ResidPre(layer) if layer > 0 => layer - 1,
            _ => bail!(
                "{}: its place is {hook}, and a control vector is added to what a block gives out",
                directory.display()
            ),
        };
        let Some(mean_norm) = mean_norm else {
            bail!("{}: its files do not say how long vectors are at {hook}", directory.display())
        };
        let direction: Vec<f32> = sae.feature(*feature)?.direction.into_data().iter::<f32>().collect();
        let norm = direction.iter().map(|number| number * number).sum::<f32>().sqrt().max(f32::MIN_POSITIVE);
        let scale = strength * mean_norm as f32 / norm;
        let direction = direction.into_iter().map(|number| number * scale).collect();
        let vector = ControlVector {
            directions: BTreeMap::from([(layer, direction)]),
            mean_norm: Some(mean_norm),
            ..ControlVector::default()
        };
        vector.save(to).with_context(|| directory.display().to_string())?;
        print_message(format_args!("wrote {}: feature {feature}, behind block {layer}", to.display()));
        Ok(())
    }
}
