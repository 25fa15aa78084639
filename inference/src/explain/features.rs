//! Features of a sparse autoencoder, token by token.

use burn::tensor::Tensor;
use kiln_model::{Backend, SparseAutoencoder};
use serde::Serialize;

use super::matrix::Matrix;
use super::pass::Pass;
use super::top::largest;
use crate::error::{Error, Result};
use crate::tokens::to_vec;

/// Features of each position that are shown.
const SHOWN: usize = 6;

/// What of the values at one place a sparse autoencoder recognises at each position.
#[derive(Clone, Debug, Serialize)]
pub struct FeaturesPanel {
    /// Place whose values it reads.
    pub hook: String,
    /// How many features it has.
    pub d_sae: usize,
    /// Mean number of features that are on at a position.
    pub l0: f32,
    /// `1 - Σ ‖x - x̂‖² / Σ ‖x - x̄‖²` over the positions: what of their variance the features give back. None of one position.
    pub explained_variance: Option<f32>,
    /// The strongest features at each position.
    pub positions: Vec<Vec<Feature>>,
}

/// A feature that is on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Feature {
    /// Its number.
    pub index: usize,
    /// How strong it is.
    pub activation: f32,
}

impl FeaturesPanel {
    pub(super) fn of<B: Backend>(pass: &Pass<'_, B>, sae: &SparseAutoencoder<B>) -> Result<Self> {
        let (hook, d_in, d_sae) = (sae.config().hook, sae.config().d_in, sae.config().d_sae);
        let unfit = |reason| Error::UnfitAutoencoder { hook: hook.to_string(), reason };
        let recorded = pass.recorder.get(hook);
        let recorded =
            recorded.ok_or_else(|| unfit("the model has no such place, or it was not looked at".into()))?;
        let [_, seq, width] = recorded.shape[..] else {
            return Err(unfit("the values there are those of single heads".into()));
        };
        if width != d_in {
            return Err(unfit(format!(
                "the model has {width} features there, and the autoencoder reads {d_in}"
            )));
        }
        let stream: Tensor<B, 2> = recorded.tensor::<3>().reshape([seq, width]);
        let active = sae.encode(stream.clone()); // [seq, d_sae]
        let lost = (sae.decode(active.clone()) - stream.clone()).square().sum(); // [1]
        let variance = (stream.clone() - stream.mean_dim(0)).square().sum(); // [1]
        let ratio = to_vec(lost / variance)[0];
        let active = Matrix::new(d_sae, to_vec(active));
        let on = active.values().iter().filter(|activation| **activation > 0.0).count();
        let strongest = |row: &[f32]| {
            let found = largest(row, SHOWN).into_iter().filter(|index| row[*index] > 0.0);
            found.map(|index| Feature { index, activation: row[index] }).collect()
        };
        Ok(Self {
            hook: hook.to_string(),
            d_sae,
            l0: on as f32 / seq as f32,
            explained_variance: (seq > 1).then_some(1.0 - ratio),
            positions: active.rows().map(strongest).collect(),
        })
    }
}
